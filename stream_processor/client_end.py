"""Who opened a connection, or asked a name. Pure.

In: an address at a moment, the node that saw it, perhaps the pod's UID. Out: a workload, or the reason why none is
named. Rules R3, R8.1, R9.1, R9.2, R10, R11 and R13 of `docs/identity.md`.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from callgraph.addresses import is_silent
from callgraph.records import PodRecord, Workload
from stream_processor.inventory import ClusterInventory
from stream_processor.moment import ALWAYS, Moment, token
from stream_processor.pod_index import Holding
from stream_processor.resolution import Reason, Refusal
from stream_processor.service_index import API_SERVER, DNS_PORT

_RESOLVER_LABELS = {
    "k8s-app": {"kube-dns", "coredns", "node-local-dns"},
    "app.kubernetes.io/name": {"kube-dns", "coredns", "node-local-dns"},
}
_OPENSHIFT_RESOLVER_LABEL = "dns.operator.openshift.io/daemonset-dns"
_RESOLVER_NAMES = ("coredns-", "kube-dns-", "node-local-dns-")


class Ownership(NamedTuple):
    """Who had an address at a moment: one pod's workload, or why not.

    `settled`: nothing expected can change it. `begun`: the moment is not before all who ever had it.
    """

    pod: PodRecord | None
    workload: Workload | None
    reason: Reason | None
    settled: bool
    begun: bool = True


class ClientEnd(Struct, frozen=True, gc=False):
    """One end of a call. Either `workload` or `refusal` is given; `wait`: it may still change."""

    workload: Workload | None
    pod: PodRecord | None
    refusal: Refusal | None
    wait: bool


def find_client(
    inventory: ClusterInventory, address: str, moment: Moment, *, node: str, pod_uid: str | None = None
) -> ClientEnd:
    """Name the workload that had an address as a client. The address must be in canonical form."""
    if is_silent(address):
        return _refused("loopback", address, side="event")
    if pod_uid:
        moment.looked_at.add(token("pod", pod_uid))
    hinted = inventory.pods.get(pod_uid) if pod_uid else None
    if hinted is not None and is_alive(hinted, moment, inventory.tolerance):
        return ClientEnd(inventory.workload(hinted), hinted, None, wait=False)
    moment.looked_at.add(address)
    if inventory.space.node_names(address, moment):
        # A process that the agent saw belongs to a pod that the watch will show.
        return _refused("ambiguous_host_network", address, wait=pod_uid is not None and hinted is None)
    owner = owner_at(inventory, address, moment, node=node)
    if owner is None or not owner.begun:
        return _without_pod(inventory, address, moment, owner)
    if owner.workload is None:
        return _refused(owner.reason or "no_owner_at_time", address, wait=True)
    return ClientEnd(owner.workload, owner.pod, None, wait=not owner.settled)


def _without_pod(inventory: ClusterInventory, address: str, moment: Moment, owner: Ownership | None) -> ClientEnd:
    if inventory.services.is_api_server(address, None, moment):
        return ClientEnd(api_server(inventory.name), None, None, wait=False)
    if owner is not None and owner.reason is not None:
        return _refused(owner.reason, address, wait=True)
    side = inventory.space.side(address, moment)
    if side == "inside":
        return _refused("unknown_client_ip", address, wait=True)
    return _refused("external_client", address, wait=side == "perhaps")


def owner_at(inventory: ClusterInventory, address: str, moment: Moment, *, node: str | None = None) -> Ownership | None:
    """Name the pod that had the address (R3); None where no pod ever had it.

    With `node`, two live holders are told apart by the node that saw the traffic (R3.5): for clients only.
    """
    moment.looked_at.add(address)
    holdings = inventory.pods.holdings(address)
    if not holdings:
        return None
    near = [each for each in holdings if moment.near(each.from_at, each.to_at, inventory.tolerance)]
    live = [each for each in near if moment.within(each.from_at, each.to_at)]
    if not near:
        begun = moment.within(holdings[0].from_at, None)
        return Ownership(None, None, "no_owner_at_time", settled=False, begun=begun)
    if len(near) == 1 and near[0].sure_until is None:  # nearly always
        return _sole_owner(inventory, near[0], lives=bool(live))
    here = [each for each in live if each.pod.node == node]
    if node and len(live) > 1 and len(here) == 1:
        near = here
    workload = inventory.workload(near[-1].pod)
    sure = [each for each in near if each.sure_until is None or moment.within(-ALWAYS, each.sure_until)]
    if not sure or any(inventory.workload(each.pod) != workload for each in near[:-1]):
        return Ownership(None, None, "ambiguous_owner", settled=False)
    chosen = next((each for each in near if each in live), near[-1])
    return Ownership(chosen.pod, workload, None, settled=chosen in live and not _on_the_move(chosen))


def _sole_owner(inventory: ClusterInventory, holding: Holding, *, lives: bool) -> Ownership:
    return Ownership(holding.pod, inventory.workload(holding.pod), None, lives and not _on_the_move(holding))


def is_alive(pod: PodRecord, moment: Moment, tolerance: int) -> bool:
    """Tell whether a pod lived at the moment, on whichever network."""
    if pod.addresses:
        return any(moment.near(each.from_at, each.to_at, tolerance) for each in pod.addresses)
    return moment.near(pod.created_at, pod.ended_at, tolerance)


def is_resolver(inventory: ClusterInventory, pod: PodRecord, moment: Moment) -> bool:
    """Tell whether a pod answers DNS for others, so that what it is answered is recursion (R8.1)."""
    for service in inventory.services.of_port(DNS_PORT, moment):
        moment.looked_at.add(token("namespace", service.namespace))
        listed = inventory.services.endpoints(inventory.services.slices(service), moment)
        if any(endpoint.target_uid == pod.uid for endpoint in listed):
            return True
    return _looks_like_a_resolver(pod)


def _looks_like_a_resolver(pod: PodRecord) -> bool:
    if any(pod.labels.get(label) in names for label, names in _RESOLVER_LABELS.items()):
        return True
    if _OPENSHIFT_RESOLVER_LABEL in pod.labels or any(port.port == DNS_PORT for port in pod.ports):
        return True
    return pod.namespace == "kube-system" and pod.name.startswith(_RESOLVER_NAMES)


def api_server(cluster: str) -> Workload:
    """Return the identity of the API server (R10)."""
    namespace, name = API_SERVER
    return Workload(cluster=cluster, namespace=namespace, kind="Service", name=name)


def _on_the_move(holding: Holding) -> bool:
    """A terminating pod's end, and a weak start's true time, are about to be told."""
    return holding.to_at is None and (holding.pod.terminating or not holding.firm)


def _refused(reason: Reason, address: str, *, side: str = "client", wait: bool = False) -> ClientEnd:
    refusal = Refusal("event" if side == "event" else "client", address, reason, wait)
    return ClientEnd(None, None, refusal, wait)
