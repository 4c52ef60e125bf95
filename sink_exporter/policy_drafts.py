"""What each workload must be allowed, drawn from the calls that were seen: what all policy languages share. Pure.

Ports are the pod's own, because policies are enforced after the Service address has been replaced. A direction in which
one seen call cannot be put into words is left open, and the draft says why: a draft never blocks what was seen.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from callgraph.records import Workload
from sink_exporter.graph import Arrow, CallGraph, is_external
from sink_exporter.kube_facts import KubeFacts, Selector, WorkloadFacts

API_SERVER = ("default", "Service", "kubernetes")


class PodPort(Struct, frozen=True, order=True):
    """A port of a pod: its number, or its name where only that is known."""

    transport: str
    number: int
    name: str = ""

    @property
    def value(self) -> int | str:
        """The port as a policy writes it."""
        return self.name or self.number


class Peer(Struct, frozen=True, kw_only=True):
    """The other end of an allowed call.

    `pods` are selected by `selector` in `namespace`; `name` and `address` lie outside the cluster; `host` and
    `api-server` have no pods to select; of `unknown` the objects do not tell how to select it.
    """

    kind: Literal["pods", "name", "address", "host", "api-server", "unknown"]
    workload: Workload
    namespace: str = ""
    selector: Selector = Selector()


class Allowance(Struct, frozen=True, kw_only=True):
    """A peer and the ports that it may use; none means that the ports are not known, so all."""

    peer: Peer
    ports: tuple[PodPort, ...] = ()


class Draft(Struct, frozen=True, kw_only=True):
    """Everything that was seen of one workload whose pods can be selected."""

    workload: Workload
    selector: Selector
    evidence: tuple[str, ...]
    ingress: tuple[Allowance, ...] = ()
    egress: tuple[Allowance, ...] = ()


def draft_policies(graph: CallGraph, facts: KubeFacts) -> list[Draft]:
    """Return a draft for each workload whose pods can be selected, sorted by namespace, name and kind."""
    callers: dict[Workload, list[Arrow]] = {}
    callees: dict[Workload, list[Arrow]] = {}
    for arrow in graph.arrows:
        callees.setdefault(arrow.client, []).append(arrow)
        for server in workloads_behind(arrow.server, facts):
            callers.setdefault(server, []).append(arrow)
    drafts = []
    for workload in sorted({*callers, *callees}, key=_order_of):
        known = facts.find(workload)
        if known and known.selector and not known.host_network:
            into, out = callers.get(workload, []), callees.get(workload, [])
            drafts.append(_draft_of(workload, known, facts, into=into, out=out))
    return drafts


def _draft_of(
    workload: Workload, known: WorkloadFacts, facts: KubeFacts, *, into: list[Arrow], out: list[Arrow]
) -> Draft:
    return Draft(
        workload=workload,
        selector=known.selector,
        evidence=tuple(sorted({evidence for arrow in (*into, *out) for evidence in arrow.via})),
        ingress=tuple(
            Allowance(peer=_peer_of(arrow.client, workload, facts), ports=_pod_ports(arrow, workload, facts))
            for arrow in into
        ),
        egress=tuple(
            Allowance(peer=_peer_of(arrow.server, workload, facts), ports=_reached_ports(arrow, facts)) for arrow in out
        ),
    )


def _reached_ports(arrow: Arrow, facts: KubeFacts) -> tuple[PodPort, ...]:
    """Return the ports of all pods that the call may reach."""
    servers = tuple(workloads_behind(arrow.server, facts)) or (arrow.server,)
    return tuple(sorted({port for server in servers for port in _pod_ports(arrow, server, facts)}))


def workloads_behind(server: Workload, facts: KubeFacts) -> Iterator[Workload]:
    """Return the workloads that a call to this server reaches: itself, or those that a Service selects."""
    if is_external(server):
        return
    service = facts.services.get((server.namespace, server.name)) if server.kind == "Service" else None
    if service is None:
        yield server
    elif service.selector:
        for (namespace, kind, name), known in facts.workloads.items():
            if namespace == server.namespace and service.selector.items() <= known.labels.items():
                yield Workload(cluster=server.cluster, namespace=namespace, kind=kind, name=name)


def _peer_of(workload: Workload, home: Workload, facts: KubeFacts) -> Peer:
    if is_external(workload):
        return Peer(kind="address" if is_address(workload.name) else "name", workload=workload)
    if workload.cluster != home.cluster:
        return Peer(kind="unknown", workload=workload)
    if (workload.namespace, workload.kind, workload.name) == API_SERVER:
        return Peer(kind="api-server", workload=workload)
    known = facts.find(workload)
    if known and known.host_network:
        return Peer(kind="host", workload=workload)
    selector = known.selector if known else _service_selector(workload, facts)
    kind: Literal["pods", "unknown"] = "pods" if selector else "unknown"
    return Peer(kind=kind, workload=workload, namespace=workload.namespace, selector=selector)


def _service_selector(workload: Workload, facts: KubeFacts) -> Selector:
    service = facts.services.get((workload.namespace, workload.name)) if workload.kind == "Service" else None
    return Selector(match_labels=service.selector) if service else Selector()


def _pod_ports(arrow: Arrow, server: Workload, facts: KubeFacts) -> tuple[PodPort, ...]:
    return tuple(sorted({pod_port for port in arrow.ports for pod_port in find_pod_ports(port, server, facts)}))


def find_pod_ports(port: str, server: Workload, facts: KubeFacts) -> Iterator[PodPort]:
    """Return the pod's ports that a port of a Service leads to; a port that no Service has is the pod's own."""
    number, _, transport = port.partition("/")
    transport = transport or "TCP"
    known = facts.find(server)
    named = known.ports if known else {}
    found = False
    for service in facts.services_of(server):
        for mapping in service.ports:
            if (mapping.port, mapping.transport) == (int(number), transport):
                found = True
                yield _pod_port(mapping.target, transport, named)
    if not found or int(number) in named.values():
        yield PodPort(transport, int(number))


def _pod_port(target: int | str, transport: str, named: dict[str, int]) -> PodPort:
    if isinstance(target, str) and target not in named:
        return PodPort(transport, 0, target)
    return PodPort(transport, named[target] if isinstance(target, str) else target)


def is_address(name: str) -> bool:
    """Tell whether the name of an external workload is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _order_of(workload: Workload) -> tuple[str, ...]:
    return workload.cluster, workload.namespace, workload.name, workload.kind


def describe_peers(allowances: Iterable[Allowance]) -> str:
    """Name peers in one line, as an annotation."""
    places = {(one.peer.workload.namespace, one.peer.workload.name) for one in allowances}
    return ", ".join("/".join(filter(None, place)) for place in sorted(places))
