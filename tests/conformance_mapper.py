"""The predecessor's cases, translated: its fixtures have no UIDs, and Endpoints in place of EndpointSlices.

Each runner takes a case and returns None where the code agrees with it, else one line that says how it does not.
`EXCEPTIONS` are the cases where this project's rules decide otherwise on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from callgraph.records import (
    ConnectionObservation,
    DnsObservation,
    KubeObject,
    ServiceRecord,
    WatermarkRecord,
    Workload,
)
from stream_processor.backends import find_backends
from stream_processor.client_end import owner_at
from stream_processor.inventory import ClusterInventory, Inventory
from stream_processor.kube_types import decode_kind
from stream_processor.moment import ALWAYS, Moment
from stream_processor.names import PodName, parse_name
from stream_processor.projection import Projector
from stream_processor.resolve import Observation, resolve, servers_of
from stream_processor.service_index import API_SERVER
from stream_processor.settings import AttributionSettings

Case = dict[str, Any]

CLUSTER = "kind"
_CAPTURED = "2024-01-01T00:01:00Z"
_PORT = 8080
_OUTSIDE = "203.0.113.1"
"""Where the world's resolvers say that any outside name is."""

EXCEPTIONS: dict[str, str] = {
    "res-003": "R9.2: a pod is told by its UID, never by a host name that the workload sets itself",
    "res-004": "R2.2: a deletionTimestamp closes nothing; the pod still has its address",
    "res-013": "R6.1: a Service leads to its endpoints' pods, on the host's network or not",
    "res-017": "R11: there is no name of the destination to compare; the address decides",
    "res-021a": "R3.1: intervals in event time need no minimum age",
    "beat-res-008": "R6.2: several workloads behind a name are the Service, with its backends beside it",
    "beat-res-012": "R9.1: a node's address as a client is refused with a reason, never an edge",
    "wid-003": "R4.1: namespace and name are separate fields, so a dot in a name stays",
    "wid-007": "R4.4: a Job is named by itself or its CronJob, never by its image",
}


class FoundCalls(NamedTuple):
    """What the observations of a case came to: between workloads, to the outside, from the outside.

    A call to the outside is client, server, and the name that was asked for.
    """

    edges: set[Any]
    external: set[Any]
    incoming: set[Any]


def run_resolve(case: Case) -> str | None:
    """Compare edges, calls to the outside, and calls from the outside."""
    return compare_calls(case["expected"], find_calls(case["input"]))


def find_calls(given: dict[str, Any]) -> FoundCalls:
    """Resolve a case's observations."""
    inventory = build_inventory(given, settings_of(given))
    view = inventory.cluster(CLUSTER)
    calls = FoundCalls(set(), set(), set())
    for observation in observe_reports(given):
        found = resolve(observation, inventory, cluster=CLUSTER, node="", final=True)
        for call in found.attributed:
            if call.server.kind == "External":
                calls.external.add((_workload(call.client), call.server.name, call.dns_name))
            else:
                calls.edges.add((_workload(call.client), _workload(call.server), _short(call.service)))
        if any(refusal.reason == "external_client" for refusal in found.refusals):
            end = servers_of(observation, view, Moment(observation.observed_at), final=True)
            calls.incoming.update(
                (observation.client_address, _workload(server.workload), _short(server.service))
                for server in end.servers
                if server.workload.kind != "External"
            )
    return calls


def settings_of(given: dict[str, Any]) -> AttributionSettings:
    """Read a case's configuration."""
    return AttributionSettings(cluster_domain=given.get("cluster_domain") or "cluster.local")


def compare_calls(expected: dict[str, Any], found: FoundCalls) -> str | None:
    """Compare with what a case expects."""
    edges = {_expected_edge(edge, found.edges) for edge in expected.get("edges") or ()}
    external = {_expected_external(each, found.external) for each in expected.get("external") or ()}
    incoming = {
        (each["ip"], _known(each["server"]), each["server"].get("kubernetes_service"))
        for each in expected.get("incoming") or ()
    }
    return (
        _compare("edges", found.edges, edges)
        or _compare("external", found.external, external)
        or _compare("incoming", found.incoming, incoming)
    )


def run_ip_to_pod(case: Case) -> str | None:
    """Compare who has an address."""
    view = build_inventory(case["input"]).cluster(CLUSTER)
    owner = owner_at(view, case["input"]["ip"], Moment(_nanoseconds(_CAPTURED)))
    found = owner.pod.name if owner is not None and owner.pod is not None else None
    return _compare("pod", found, case["expected"].get("pod"))


def run_ip_to_control_plane(case: Case) -> str | None:
    """Compare which addresses are the API server's."""
    settings = AttributionSettings(control_plane_prefix=case["input"].get("prefix_length", 32))
    view = build_inventory(case["input"], settings).cluster(CLUSTER)
    moment = Moment(_nanoseconds(_CAPTURED))
    found = [
        view.services.is_api_server(address, None, moment)
        or any((each.namespace, each.name) == API_SERVER for each in view.services.of_address(address, moment))
        for address in case["input"]["ips"]
    ]
    return _compare("matches", found, case["expected"]["matches"])


def run_dns_name_to_pods(case: Case) -> str | None:
    """Compare which pods stand behind a name."""
    view = build_inventory(case["input"]).cluster(CLUSTER)
    name, moment = parse_name(case["input"]["name"], "cluster.local"), Moment(_nanoseconds(_CAPTURED))
    service: str | None = None
    addresses: list[str] = []
    if isinstance(name, PodName):
        owner = owner_at(view, name.address, moment)
        addresses = [name.address] if owner is not None and owner.pod is not None else []
    elif name is not None and (known := view.services.named(name.namespace, name.service, moment)) is not None:
        service = known.name
        pods = find_backends(view, known, view.services.slices(known), moment).pods
        addresses = sorted(each.address for pod in pods for each in pod.addresses)
    if "error" in case["expected"]:
        return _compare("pods", addresses, [])
    return _compare("pods", {"service": service, "pod_ips": addresses}, case["expected"])


def run_workload_identity(case: Case) -> str | None:
    """Compare the name and kind of a pod's workload."""
    given, config = case["input"], case["input"].get("config") or {}
    namespace = given["pod"]["metadata"]["namespace"]
    owners = [
        {
            "kind": owner["kind"],
            "metadata": {
                "name": owner["name"],
                "namespace": namespace,
                # The predecessor's look-ups leave the flag out; each has one owner at most.
                "ownerReferences": [{**each, "controller": True} for each in owner["ownerReferences"]],
            },
        }
        for owner in given.get("owner_lookup") or ()
        if owner["result"] == "found" and owner["kind"] in {"ReplicaSet", "Job"}
    ]
    settings = AttributionSettings()
    if "annotation" in config:
        settings = AttributionSettings(override_annotations=(config["annotation"],))
    view = build_inventory({"cluster": [given["pod"], *owners]}, settings).cluster(CLUSTER)
    (pod,) = view.pods
    found, expected = view.workload(pod), case["expected"]
    if expected.get("kind") not in {None, found.kind}:
        return f"kind: expected {expected['kind']!r}, found {found.kind!r}"
    return _compare("name", found.name, expected["name"])


SUITES: dict[str, Callable[[Case], str | None]] = {
    "resolve": run_resolve,
    "beat_resolve": run_resolve,
    "ip_to_pod": run_ip_to_pod,
    "ip_to_control_plane": run_ip_to_control_plane,
    "dns_name_to_pods": run_dns_name_to_pods,
    "workload_identity": run_workload_identity,
}


def build_inventory(given: dict[str, Any], settings: AttributionSettings | None = None) -> Inventory:
    """Build the inventory that a watch of the case's objects gives."""
    settings = settings or AttributionSettings()
    inventory = Inventory(settings)
    inventory.apply_all(project_objects(given, settings, cluster=CLUSTER))
    return inventory


def project_objects(
    given: dict[str, Any], settings: AttributionSettings, *, cluster: str
) -> Iterator[KubeObject | WatermarkRecord]:
    """Project the case's objects, which its last report finds as they are, and promise that they are all."""
    projector = Projector(cluster, settings)
    times = [_seen(each) for report in given.get("reports") or () for each in report["destinations"]]
    arrived_at = max(times, default=0)
    for obj in [*given.get("cluster", ()), *_history(given)]:
        for each in _as_watched(obj):
            record = projector.apply("ADDED", decode_kind(each["kind"], json.dumps(each).encode()), arrived_at)
            if record is not None:
                yield record
    yield WatermarkRecord(cluster=cluster, at=ALWAYS, source="file")


def _as_watched(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    metadata = dict(obj["metadata"])
    namespace = metadata.get("namespace", "")
    metadata["uid"] = _uid(obj["kind"], namespace, metadata["name"])
    metadata["ownerReferences"] = [
        {**each, "uid": _uid(each["kind"], namespace, each["name"])} for each in metadata.get("ownerReferences") or ()
    ]
    if obj["kind"] in {"Pod", "Service", "Node", "ReplicaSet", "Job", "EndpointSlice"}:
        yield {**obj, "metadata": metadata}
    elif obj["kind"] == "Endpoints":
        for number, subset in enumerate(obj.get("subsets") or ()):
            yield _slice_of(metadata, number, subset)


def _slice_of(metadata: dict[str, Any], number: int, subset: dict[str, Any]) -> dict[str, Any]:
    endpoints = []
    for each in [*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())]:
        target = each.get("targetRef")
        if target:
            target = {**target, "uid": _uid(target["kind"], target["namespace"], target["name"])}
        endpoints.append({"addresses": [each["ip"]], "targetRef": target})
    named = {
        **metadata,
        "uid": f"{metadata['uid']}/{number}",
        "labels": {"kubernetes.io/service-name": metadata["name"]},
    }
    return {"kind": "EndpointSlice", "metadata": named, "endpoints": endpoints, "ports": subset.get("ports")}


def _history(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Make pods of the former holders of an address, as a watch would have left them in the inventory."""
    for number, each in enumerate(given.get("ip_history") or ()):
        workload, ended = each["workload"], each["to"]
        state = (
            {"terminated": {"startedAt": each["from"], "finishedAt": ended}}
            if ended
            else {"running": {"startedAt": each["from"]}}
        )
        yield {
            "kind": "Pod",
            "metadata": {
                "name": f"former-{number}",
                "namespace": workload["namespace"],
                "creationTimestamp": each["from"],
                "ownerReferences": [{"kind": workload["kind"], "name": workload["name"], "controller": True}],
            },
            "status": {
                "phase": "Succeeded" if ended else "Running",
                "podIP": each["ip"],
                "containerStatuses": [{"state": state}],
            },
        }


def observe_reports(given: dict[str, Any]) -> Iterator[Observation]:
    """Make the observations that a case's reports stand for."""
    domain = settings_of(given).cluster_domain
    view = build_inventory(given, settings_of(given)).cluster(CLUSTER)
    for report in given["reports"]:
        for each in report["destinations"]:
            at, address = _seen(each), each.get("destination_ip")
            if given["report_source"] == "dns":
                name = each["destination"].lower()
                answer = _Answer((address,)) if address else _answer(name, view, at, domain)
                if answer.addresses:
                    yield _dns(report["src_ip"], name, answer, at)
            else:
                yield ConnectionObservation(
                    observed_at=at,
                    network_transport="tcp",
                    client_address=report["src_ip"],
                    server_address=address or each["destination"],
                    server_port=each.get("destination_port") or _PORT,
                    evidence="socket" if given["report_source"] == "socket" else "syn",
                )


def _seen(destination: dict[str, Any]) -> int:
    return _nanoseconds(destination.get("last_seen") or _CAPTURED)


class _Answer(NamedTuple):
    addresses: tuple[str, ...]
    cnames: tuple[str, ...] = ()


def _dns(client: str, name: str, answer: _Answer, at: int) -> DnsObservation:
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address=client,
        server_address="10.0.0.10",
        dns_question_name=name,
        dns_question_type="A",
        addresses=answer.addresses,
        cnames=answer.cnames,
    )


def _answer(name: str, view: ClusterInventory, at: int, domain: str) -> _Answer:
    """Answer as CoreDNS would, where the predecessor's report leaves the address out."""
    parsed = parse_name(name, domain)
    if isinstance(parsed, PodName):
        return _Answer((parsed.address,))
    service = view.services.named(parsed.namespace, parsed.service, Moment(at)) if parsed else None
    if service is None:
        return _Answer(())
    if service.external_name:
        target = _answer(service.external_name, view, at, domain)
        return _Answer(target.addresses or (_OUTSIDE,), (service.external_name, *target.cnames))
    return _Answer(service.addresses or _headless(view, service, at))


def _headless(view: ClusterInventory, service: ServiceRecord, at: int) -> tuple[str, ...]:
    endpoints = view.services.endpoints(view.services.slices(service), Moment(at))
    return tuple(sorted(address for endpoint in endpoints for address in endpoint.addresses))


def _uid(kind: str, namespace: str, name: str) -> str:
    return f"{kind}/{namespace}/{name}"


def _workload(workload: Workload) -> tuple[str, str, str]:
    return workload.namespace, workload.kind, workload.name


def _known(expected: dict[str, Any]) -> tuple[Any, Any, Any]:
    return expected["namespace"], expected.get("kind"), expected["name"]


def _short(service: str | None) -> str | None:
    return service.partition("/")[2] if service else None


def _expected_edge(edge: dict[str, Any], found: set[Any]) -> Any:
    """Leave a kind open where the case does not name it."""
    client, server = _known(edge["client"]), _known(edge["server"])
    service = edge["server"].get("kubernetes_service")
    for each in found:
        same = each[0] == client and (each[1][0], each[1][2], each[2]) == (server[0], server[2], service)
        if server[1] is None and same:
            return each
    return client, server, service


def _expected_external(each: dict[str, Any], found: set[Any]) -> Any:
    """Take either name for a server outside, its own or the one asked for; its address where the case has no name."""
    client, name = _known(each["client"]), each.get("dns_name")
    names = {name} if name else set(each.get("ips") or ())
    return next((one for one in found if one[0] == client and names.intersection(one[1:])), (client, name, None))


def _compare(what: str, found: object, expected: object) -> str | None:
    return None if found == expected else f"{what}: expected {expected!r}, found {found!r}"


def _nanoseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000
