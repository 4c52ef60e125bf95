"""The identity cases: Kubernetes objects, then timed events, and who calls whom in the end.

In: cases as in `identity_cases.json`. `replay` drives one through projector, inventory and attribution in the order of
processing time; between two events the watermark is what a heartbeat of a drained watch would have said.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple, get_args

from callgraph.addresses import canonical_address
from callgraph.records import (
    ConnectionBatch,
    ConnectionObservation,
    DnsAnswerBatch,
    DnsObservation,
    KubeObject,
    ObservationBatch,
    WatermarkRecord,
    Workload,
)
from capture_agent.learned_names import LearnedNames, name_connections
from stream_processor.attribution import Attribution, Decision, Origin
from stream_processor.inventory import Inventory
from stream_processor.kube_types import KUBE_KINDS, decode_kind
from stream_processor.projection import Projector
from stream_processor.resolution import Reason
from stream_processor.settings import AttributionSettings

Case = dict[str, Any]
Identity = tuple[str, str, str]
Ends = tuple[Identity, Identity]
Traits = defaultdict[str, set[Any]]
"""What is known of an edge beside its ends, by the case's word for it."""
Refused = tuple[int, str, str]
"""Event, side and reason."""

CLUSTER = "kind"
CONFIG: dict[str, Any] = {
    "clusterDomain": "cluster.local",
    "skew": 2.0,
    "hold": 3.0,
    "late": 30.0,
    "overrideAnnotations": ["intents.otterize.com/workload-name", "intents.otterize.com/service-name"],
    "overrideLabels": [],
    "forbidden": [],
    "watchNamespaces": None,
    "serviceCIDRs": [],
}
"""What holds where neither a case nor its file says otherwise."""
PATIENCE_SECONDS = 86_400.0
"""The watermark comes when the case says so, whatever the time."""
_SECOND = 1_000_000_000
_RESOURCES = {
    "Pod": "pods",
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Node": "nodes",
    "ReplicaSet": "replicasets",
    "Job": "jobs",
}
_REASONS = get_args(Reason)
_DROPPED = {"loopback", "self_call"}
_CONNECTION_KEYS = {"t", "at", "type", "node", "src", "sport", "dst", "dport", "proto", "origin"}
_UUID = re.compile(r"[0-9a-f]{8}([-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}")


class Step(NamedTuple):
    """What happens at a processing time: an event of the watch, or an observation that reaches the processor."""

    at: int
    number: int
    event: dict[str, Any]


class Seen(NamedTuple):
    """The batch of the one observation that an agent makes of an event; None where it makes none."""

    number: int
    at: int
    batch: ObservationBatch | None


class Outcome(NamedTuple):
    """What a case came to: the decisions by event, and the events that no agent would have made an observation of."""

    decisions: list[tuple[int, Decision]]
    unseen: list[int]


def run_case(case: Case, defaults: dict[str, Any], base: int) -> str | None:
    """Run a case; return None where the code agrees with it, else one line that says how it does not."""
    return compare(case["expect"], replay(case, config_of(case, defaults), base))


def config_of(case: Case, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration that a case runs under."""
    return {**CONFIG, **defaults, **(case.get("config") or {})}


def replay(case: Case, config: dict[str, Any], base: int) -> Outcome:
    """Drive a case through the pure core."""
    settings = settings_of(config)
    inventory = Inventory(settings)
    attribution = Attribution(inventory, settings)
    outcome = Outcome([], [])
    for item in drive(case, config, base, cluster=CLUSTER):
        if not isinstance(item, Seen):
            inventory.apply(item)
        elif item.batch is None:
            outcome.unseen.append(item.number)
        else:
            attribution.offer(item.batch, Origin("observations", 0, item.number), now=item.at)
        if isinstance(item, WatermarkRecord):
            outcome.decisions.extend((found.origin.offset, found) for found in attribution.advance(now=item.at))
    return outcome


def drive(
    case: Case, config: dict[str, Any], base: int, *, cluster: str
) -> Iterator[KubeObject | WatermarkRecord | Seen]:
    """Yield what the watcher publishes and what reaches the processor from the agents, in the order of processing."""
    projector = Projector(cluster, settings_of(config))

    def promise(at: int) -> WatermarkRecord:
        projector.promise(at)
        namespaces = tuple(config["watchNamespaces"] or ())
        return WatermarkRecord(cluster=cluster, at=at, denied=denied(config), namespaces=namespaces)

    steps = steps_of(case, base)
    observed = observe_all(case, base, cluster=cluster)
    objects = case.get("objects") or []
    yield from project(projector, "ADDED", objects, config, min([base, *(step.at for step in steps)]))
    for step in steps:
        yield promise(step.at - 1)
        if step.event["type"] == "k8s":
            yield from project_event(projector, step, config)
        else:
            yield Seen(step.number, step.at, observed.get(step.number))
    yield promise(max([base, *(step.at for step in steps)]) + 3600 * _SECOND)


def steps_of(case: Case, base: int) -> list[Step]:
    """Return the events in the order of their processing; those of a type without a meaning here are passed over."""
    steps = [
        Step(_nanoseconds(event.get("at", event["t"]), base), index, event)
        for index, event in enumerate(case["events"])
        if event["type"] in {"k8s", "dns", "conn"}
    ]
    return sorted(steps, key=lambda step: step.at)


def settings_of(config: dict[str, Any]) -> AttributionSettings:
    """Read a case's configuration."""
    return AttributionSettings(
        cluster_domain=config["clusterDomain"],
        hold_seconds=config["hold"],
        late_seconds=config["late"],
        tolerance_seconds=config["skew"],
        override_annotations=tuple(config["overrideAnnotations"]),
        override_labels=tuple(config["overrideLabels"]),
        service_cidrs=tuple(config["serviceCIDRs"]),
        pod_cidrs=tuple(config.get("podCIDRs") or ()),
        patience_seconds=PATIENCE_SECONDS,
    )


def denied(config: dict[str, Any]) -> tuple[str, ...]:
    """Name the resources that a case forbids."""
    return tuple(_RESOURCES[kind] for kind in config["forbidden"])


def project(
    projector: Projector, op: Any, objects: list[dict[str, Any]], config: dict[str, Any], at: int
) -> Iterator[KubeObject]:
    """Project the objects that a case's watcher may see."""
    for obj in objects:
        if _visible(obj, config) and (record := projector.apply(op, json.dumps(obj).encode(), at)) is not None:
            yield record


def project_event(projector: Projector, step: Step, config: dict[str, Any]) -> Iterator[KubeObject]:
    """Project one event of the watch."""
    if step.event["op"] not in {"ADDED", "MODIFIED", "DELETED", "RELIST"}:
        return  # bookmarks and errors of the watch say nothing of objects
    if step.event["op"] != "RELIST":
        yield from project(projector, step.event["op"], [step.event["object"]], config, step.at)
        return
    listed = step.event.get("items") or ()
    kinds = {item["kind"] for item in listed} or {step.event.get("kind", "Pod")}
    for kind in sorted(kinds.intersection(KUBE_KINDS)):
        items = [item for item in listed if item["kind"] == kind and _visible(item, config)]
        decoded = [decode_kind(kind, json.dumps(item).encode()) for item in items]
        yield from projector.relist(kind, decoded, step.at)


def observe_all(case: Case, base: int, *, cluster: str) -> dict[int, ObservationBatch]:
    """Make the observations that the agents make of a case, each node in the order of what happened, by event."""
    batches: dict[int, ObservationBatch] = {}
    names: defaultdict[str, LearnedNames] = defaultdict(LearnedNames)
    for index, event in sorted(enumerate(case["events"]), key=lambda numbered: numbered[1]["t"]):
        if event["type"] not in {"dns", "conn"}:
            continue
        node = event.get("node", "")
        for seen in name_connections(observe(event, base), names[node]):
            make: Any = DnsAnswerBatch if isinstance(seen, DnsObservation) else ConnectionBatch
            at = seen.observed_at
            batches[index] = make(cluster=cluster, node=node, boot_id="b", sequence=0, sent_at=at, observations=(seen,))
    return batches


def observe(event: dict[str, Any], base: int) -> list[DnsObservation | ConnectionObservation]:
    """Make the observation that an agent makes of an event by itself, if it makes one."""
    at = _nanoseconds(event["t"], base)
    if event["type"] == "dns":
        answer = observe_dns(event, at)
        return [answer] if answer else []
    return [
        ConnectionObservation(
            observed_at=at,
            network_transport=event.get("proto", "tcp"),
            client_address=_canonical(event["src"]),
            server_address=_canonical(event["dst"]),
            server_port=event["dport"],
            client_port=event.get("sport"),
            evidence="syn" if event.get("origin") == "syn" else "socket",
            pod_uid=_hint(event),
        )
    ]


def observe_dns(event: dict[str, Any], at: int) -> DnsObservation | None:
    """Follow the answer's chain as the agent does; NXDOMAIN, NODATA and PTR are nothing to it (R7.6)."""
    if event.get("rcode", "NOERROR") != "NOERROR":
        return None
    answers = [{**each, "name": _fold(each["name"])} for each in event.get("answers") or ()]
    aliases = {each["name"]: _fold(each["data"]) for each in answers if each["type"] == "CNAME"}
    chain = [_fold(event["qname"])]
    while chain[-1] in aliases and len(chain) <= len(aliases):
        chain.append(aliases[chain[-1]])
    ends = [each for each in answers if each["name"] == chain[-1] and each["type"] != "CNAME"]
    addresses = sorted({_canonical(each["data"]) for each in ends if each["type"] in {"A", "AAAA"}})
    targets = sorted({_fold(each["data"].split()[-1]) for each in ends if each["type"] in {"SRV", "HTTPS", "SVCB"}})
    if not addresses and not targets:
        return None
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address=_canonical(event["client"]),
        server_address=_canonical(event["server"]),
        dns_question_name=chain[0],
        dns_question_type=event.get("qtype") or ends[0]["type"],
        addresses=tuple(addresses),
        cnames=tuple(chain[1:]),
        targets=tuple(targets),
        ttl_seconds=min(each.get("ttl", 0) for each in ends),
    )


def compare(expect: dict[str, Any], outcome: Outcome) -> str | None:
    """Compare edges as a set of (client, server), their other keys where given, and refusals as a set."""
    difference = compare_edges(expect["edges"], _edges(outcome))
    if difference is not None:
        return difference
    wanted, found = expected_refusals(expect, outcome), _refusals(outcome)
    return None if found == wanted else f"unresolved: expected {sorted(wanted)}, found {sorted(found)}"


def compare_edges(expect: list[dict[str, Any]], edges: dict[Ends, Traits]) -> str | None:
    """Compare edges as a set of (client, server), and their other keys where given, but for those unknown here."""
    expected = {(_identity(edge["client"]), _identity(edge["server"])): edge for edge in expect}
    if edges.keys() != expected.keys():
        return f"edges: expected {sorted(expected)}, found {sorted(edges)}"
    for ends, edge in expected.items():
        for key in edge.keys() & edges[ends].keys():
            found = edges[ends][key]
            wanted = _wanted(key, edge[key])
            if not (wanted <= found if key in {"service", "port"} else wanted == found):
                return f"{key} of {ends}: expected {edge[key]!r}, found {found!r}"
    return None


def _wanted(key: str, value: Any) -> set[Any]:
    if key == "backends":
        return set(map(_identity, value))
    return set(value) if key == "evidence" else {value}


def _edges(outcome: Outcome) -> dict[Ends, Traits]:
    """Gather calls by their ends."""
    edges: dict[Ends, Traits] = {}
    for _, decision in outcome.decisions:
        for call in decision.attributed:
            traits = edges.setdefault((ends_of(call.client), ends_of(call.server)), defaultdict(set))
            traits["evidence"].add("dns" if call.evidence == "dns" else "conn")
            traits["service"].add(call.service)
            traits["backends"].update(map(ends_of, call.backends))
            traits["port"].add(call.server_port)
    return edges


def ends_of(workload: Workload) -> Identity:
    """Return what a case calls a workload."""
    return workload.namespace, workload.kind, workload.name


def expected_refusals(expect: dict[str, Any], outcome: Outcome) -> set[Refused]:
    """Return what a case expects to be refused, in the words of this project.

    A reason that has another name here is one where event and side agree. What R13 drops may go unmentioned: it is no
    call, whoever the ends are.
    """
    found = _refusals(outcome)
    named = {(event, side): reason for event, side, reason in found}
    wanted = {(each["event"], each["side"], each["reason"]) for each in expect.get("unresolved") or ()}
    mentioned = {event for event, _, _ in wanted}
    return {
        (event, side, reason if reason in _REASONS else named.get((event, side), reason))
        for event, side, reason in wanted
    } | {each for each in found if each[2] in _DROPPED and each[0] not in mentioned}


def _refusals(outcome: Outcome) -> set[Refused]:
    found = {(index, "event", "not_an_answer") for index in outcome.unseen}
    for index, decision in outcome.decisions:
        if not decision.attributed:
            found |= {(index, each.side, each.reason) for each in decision.refusals}
    return found


def _identity(workload: dict[str, str]) -> Identity:
    return workload["namespace"], workload["kind"], workload["name"]


def _visible(obj: dict[str, Any], config: dict[str, Any]) -> bool:
    namespace, namespaces = obj["metadata"].get("namespace"), config["watchNamespaces"]
    return obj["kind"] not in config["forbidden"] and (namespaces is None or not namespace or namespace in namespaces)


def _hint(event: dict[str, Any]) -> str | None:
    """Find the pod's UID in what a connection says beyond its ends: by itself, or within a cgroup's path."""
    beyond = json.dumps({key: value for key, value in event.items() if key not in _CONNECTION_KEYS})
    found = _UUID.search(beyond)
    return found[0].replace("_", "-") if found else None


def _fold(name: str) -> str:
    return name.rstrip(".").lower()


def _canonical(address: str) -> str:
    try:
        return canonical_address(address)
    except ValueError:
        return address


def _nanoseconds(seconds: float, base: int) -> int:
    # Thousandths are as fine as any case is; floats of whole nanoseconds would not be exact.
    return base + round(seconds * 1000) * 1_000_000


def base_of(document: dict[str, Any]) -> int:
    """Return the time that a file's times count from."""
    return int(datetime.fromisoformat(document["time_base"]).timestamp()) * _SECOND
