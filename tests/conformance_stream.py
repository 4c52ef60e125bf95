"""The conformance cases as they cross Kafka: what is sent of a case, and how what comes back is judged.

In: cases of `identity_cases.json` and the suites `resolve` and `beat_resolve` of `network_mapper_cases.json`. Each is a
cluster of its own, named by the case, so that one processor can take many at once. Out: a `Script` for each.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec

from callgraph.records import (
    ConnectionBatch,
    DnsAnswerBatch,
    DnsObservation,
    Edge,
    KubeObject,
    ObservationBatch,
    UnresolvedRecord,
    WatermarkRecord,
)
from stream_processor.resolution import Refusal
from stream_processor.resolve import Observation, resolve
from stream_processor.settings import AttributionSettings
from tests import conformance_identity as identity
from tests import conformance_mapper as mapper
from tests.conformance_identity import ends_of

Case = dict[str, Any]
Sent = KubeObject | WatermarkRecord | ObservationBatch

MAPPER_SUITES = {"resolve", "beat_resolve"}


class Output(NamedTuple):
    """What a processor published, of all cases that it was given."""

    edges: list[Edge]
    unresolved: list[UnresolvedRecord]

    def edges_of(self, cluster: str) -> list[Edge]:
        """Return the edges of one case."""
        return [edge for edge in self.edges if edge.client.cluster == cluster]

    def unresolved_of(self, cluster: str) -> list[UnresolvedRecord]:
        """Return what one case shows of its refusals."""
        return [record for record in self.unresolved if record.cluster == cluster]

    def shows(self, cluster: str, reason: str, text: str) -> bool:
        """Tell whether a case shows a reason for an address that a text holds.

        The sample shows each reason and address once a minute, so two events of one case may share a record.
        """
        return any(record.reason == reason and f'"{record.address}"' in text for record in self.unresolved_of(cluster))


class Script(NamedTuple):
    """One case: what is sent in its order, how often the pure core refuses by reason, and the judgement."""

    case: str
    settings: AttributionSettings
    sent: list[Sent]
    refused: Counter[str]
    judge: Callable[[Output], str | None]


def identity_scripts(document: dict[str, Any]) -> Iterator[Script]:
    """Write the scripts of the identity cases."""
    base = identity.base_of(document)
    for case in document["cases"]:
        config = identity.config_of(case, document.get("config_defaults") or {})
        items = list(identity.drive(case, config, base, cluster=case["id"]))
        seen = [item for item in items if isinstance(item, identity.Seen)]
        times = {item.number: item.batch.observations[0].observed_at for item in seen if item.batch is not None}
        outcome = identity.replay(case, config, base)
        yield Script(
            case["id"],
            identity.settings_of(config),
            [sent for item in items if (sent := _unwrap(item)) is not None],
            _count_refused((found.attributed, found.refusals) for _, found in outcome.decisions),
            partial(_judge_identity, case, times, outcome),
        )


def mapper_scripts(document: dict[str, Any]) -> Iterator[Script]:
    """Write the scripts of the cases that resolve reports."""
    for case in document["cases"]:
        if case["suite"] not in MAPPER_SUITES:
            continue
        given = case["input"]
        settings = msgspec.structs.replace(mapper.settings_of(given), patience_seconds=identity.PATIENCE_SECONDS)
        inventory = mapper.build_inventory(given, settings)
        observations = list(mapper.observe_reports(given))
        found = [resolve(each, inventory, cluster=mapper.CLUSTER, node="", final=True) for each in observations]
        yield Script(
            case["id"],
            settings,
            [
                *mapper.project_objects(given, settings, cluster=case["id"]),
                *(_batch(case["id"], number, each) for number, each in enumerate(observations)),
            ],
            _count_refused((each.attributed, each.refusals) for each in found),
            partial(_judge_mapper, case),
        )


def _unwrap(item: KubeObject | WatermarkRecord | identity.Seen) -> Sent | None:
    return item.batch if isinstance(item, identity.Seen) else item


def _batch(cluster: str, number: int, observation: Observation) -> ObservationBatch:
    at = observation.observed_at
    if isinstance(observation, DnsObservation):
        return DnsAnswerBatch(
            cluster=cluster, node="", boot_id="b", sequence=number, sent_at=at, observations=(observation,)
        )
    return ConnectionBatch(
        cluster=cluster, node="", boot_id="b", sequence=number, sent_at=at, observations=(observation,)
    )


def _count_refused(found: Iterable[tuple[tuple[Any, ...], tuple[Refusal, ...]]]) -> Counter[str]:
    return Counter(refusals[0].reason for attributed, refusals in found if refusals and not attributed)


def _judge_identity(case: Case, times: dict[int, int], outcome: identity.Outcome, output: Output) -> str | None:
    # An edge of the topic does not carry the backends of its server; the pure runner compares those.
    found = _gather(output.edges_of(case["id"]))
    return identity.compare_edges(case["expect"]["edges"], found) or _judge_refusals(case, times, outcome, output)


def _judge_refusals(case: Case, times: dict[int, int], outcome: identity.Outcome, output: Output) -> str | None:
    """Compare what was refused; events that no agent sends (`not_an_answer`) leave no trace on Kafka."""
    refusals = [each for each in identity.expected_refusals(case["expect"], outcome) if each[0] in times]
    wanted = {(times[event], side, reason): event for event, side, reason in refusals}
    shown = {(record.observed_at, record.side, record.reason) for record in output.unresolved_of(case["id"])}
    beside_a_call = {
        (found.observation.observed_at, each.side, each.reason)
        for _, found in outcome.decisions
        if found.attributed
        for each in found.refusals
    }
    missing = [
        refusal
        for refusal, event in wanted.items()
        if refusal not in shown and not output.shows(case["id"], refusal[2], json.dumps(case["events"][event]))
    ]
    if missing or shown - wanted.keys() - beside_a_call:
        return f"unresolved: expected {sorted(wanted)}, found {sorted(shown)}"
    return None


def _gather(edges: list[Edge]) -> dict[identity.Ends, identity.Traits]:
    """Gather edges by their ends, as the pure runner has them."""
    found: dict[identity.Ends, identity.Traits] = {}
    for edge in edges:
        traits = found.setdefault((ends_of(edge.client), ends_of(edge.server)), defaultdict(set))
        traits["evidence"].update("dns" if each == "dns" else "conn" for each in edge.evidence)
        traits["service"].update(edge.services or (None,))
        traits["port"].add(edge.server_port)
    return found


def _judge_mapper(case: Case, output: Output) -> str | None:
    """Compare with what the case expects, unless a rule decides otherwise, and with the pure resolver in any case."""
    resolved = mapper.find_calls(case["input"])
    found = mapper.FoundCalls(set(), set(), _incoming(case, resolved.incoming, output))
    for edge in output.edges_of(case["id"]):
        client, server = ends_of(edge.client), ends_of(edge.server)
        if edge.server.kind == "External":
            found.external.update((client, edge.server.name, name) for name in edge.dns_names or (None,))
        else:
            services = [name.partition("/")[2] for name in edge.services]
            found.edges.update((client, server, service) for service in services or (None,))
    if found != resolved:
        return f"expected as from the resolver {resolved}, found {found}"
    return None if case["id"] in mapper.EXCEPTIONS else mapper.compare_calls(case["expected"], found)


def _incoming(case: Case, resolved: set[Any], output: Output) -> set[Any]:
    """Find the calls from the outside: a refusal tells the address alone, so the server is taken from the resolver."""
    addresses = {address for address, _, _ in resolved}
    own = {each.address for each in output.unresolved_of(case["id"]) if each.reason == "external_client"}
    known = {each for each in resolved if output.shows(case["id"], "external_client", json.dumps(each[0]))}
    return known | {(address, None, None) for address in own - addresses}
