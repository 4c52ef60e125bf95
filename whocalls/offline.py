"""Observations to edges with no broker: the same pure functions as the programs, called one after the other. Pure.

In: observations as agents make them, and the objects of the cluster. Out: the edges, and why the rest gave none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from callgraph.records import (
    BatchCounters,
    ConnectionBatch,
    ConnectionObservation,
    DnsAnswerBatch,
    DnsObservation,
    Edge,
    KubeObject,
    ObservationBatch,
    WatermarkRecord,
)
from stream_processor.attribution import Attribution, Origin
from stream_processor.calls import gather_calls
from stream_processor.fold import edge_key, fold
from stream_processor.inventory import Inventory
from stream_processor.settings import AttributionSettings

Observation = DnsObservation | ConnectionObservation

ALL_IS_KNOWN = 2**63 - 1
"""The watermark of objects from a file: nothing more will come."""

_BATCH = 500


def build_inventory(objects: Iterable[KubeObject], attribution: AttributionSettings, *, cluster: str) -> Inventory:
    """Fill an inventory with objects of which no more will come."""
    inventory = Inventory(attribution)
    for record in objects:
        inventory.apply(record)
    inventory.apply(WatermarkRecord(cluster=cluster, at=ALL_IS_KNOWN, source="file"))
    return inventory


def map_observations(
    observations: Iterable[Observation],
    inventory: Inventory,
    attribution: AttributionSettings,
    *,
    cluster: str,
    node: str = "",
    refused: Counter[str],
) -> list[Edge]:
    """Attribute and fold observations; `refused` counts by reason what gave no edge."""
    state = Attribution(inventory, attribution)
    edges: dict[bytes, Edge] = {}
    for offset, batch in enumerate(_batches(observations, cluster=cluster, node=node)):
        state.offer(batch, Origin("offline", 0, offset), now=batch.sent_at)
        decisions = state.advance(now=batch.sent_at)
        refused.update(refusal.reason for decision in decisions for refusal in decision.refusals)
        for call in gather_calls(decisions, floor=lambda origin: origin.offset):
            key = edge_key(call)
            edges[key] = fold(edges.get(key), call)
    return list(edges.values())


def _batches(observations: Iterable[Observation], *, cluster: str, node: str) -> Iterator[ObservationBatch]:
    """Gather observations of a kind into batches, as an agent sends them."""
    waiting: dict[type, list[Any]] = {DnsObservation: [], ConnectionObservation: []}
    for observation in observations:
        kind = waiting[type(observation)]
        kind.append(observation)
        if len(kind) == _BATCH:
            yield _batch(kind, cluster=cluster, node=node)
            kind.clear()
    for rest in waiting.values():
        if rest:
            yield _batch(rest, cluster=cluster, node=node)


def _batch(observations: list[Any], *, cluster: str, node: str) -> ObservationBatch:
    kind = DnsAnswerBatch if isinstance(observations[0], DnsObservation) else ConnectionBatch
    return kind(
        cluster=cluster,
        node=node,
        boot_id="offline",
        sequence=0,
        sent_at=max(observation.observed_at for observation in observations),
        observations=tuple(observations),
        counters=BatchCounters(received=len(observations), published=len(observations)),
    )
