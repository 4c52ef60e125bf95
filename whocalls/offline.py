"""Observations to edges with no broker: the same pure functions as the programs, called one after the other. Pure.

In: observations as agents make them, and the objects of the cluster. Out: the edges, and why the rest gave none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from callgraph.records import (
    Applied,
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
from stream_processor.attribution import Attribution, Decision, Origin
from stream_processor.calls import gather_calls
from stream_processor.fold import edge_key, fold, with_exemplars
from stream_processor.inventory import Inventory
from stream_processor.settings import AttributionSettings

Observation = DnsObservation | ConnectionObservation

ALL_TIME = 2**62
"""Longer than anything waits, in nanoseconds."""

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
    rebuilding = Rebuilding(inventory, attribution)
    for offset, batch in enumerate(_batches(observations, cluster=cluster, node=node)):
        rebuilding.take(batch, Origin("offline", 0, offset))
    rebuilding.finish()
    refused.update(rebuilding.refused)
    return list(rebuilding.edges.values())


class Rebuilding:
    """Both stages of the processor on one thread: batches in, edges out.

    The inventory must know all that it will ever know; batches of a partition come in the order of their offsets.
    """

    def __init__(self, inventory: Inventory, attribution: AttributionSettings) -> None:
        self._attribution = Attribution(inventory, attribution)
        self.edges: dict[bytes, Edge] = {}
        self.refused: Counter[str] = Counter()

    def take(self, batch: ObservationBatch, origin: Origin) -> None:
        """Attribute and fold one batch, as far as the watermark allows."""
        # Time stands still: nothing runs out of patience, and the inventory forgets nothing.
        self._attribution.offer(batch, origin, now=0)
        self._fold(self._attribution.advance(now=0))

    def finish(self) -> None:
        """Decide what still waits: no watermark will come for it."""
        self._fold(self._attribution.advance(now=ALL_TIME))

    def _fold(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            for refusal in decision.refusals:
                self.refused[refusal.reason] += len(decision.indexes)
        lowest: dict[tuple[str, int], int] = {}
        for decision in decisions:
            topic, partition, offset = decision.origin
            lowest[topic, partition] = min(offset, lowest.get((topic, partition), offset))

        def floor(origin: Origin) -> int:
            pending = self._attribution.pending(origin.topic, origin.partition)
            here = lowest[origin.topic, origin.partition]
            return here if pending is None else min(here, pending)

        for call in gather_calls(decisions, floor=floor):
            key = edge_key(call)
            self.edges[key] = fold(self.edges.get(key), call)


def cut_batch(batch: ObservationBatch, *, from_at: int, to_at: int | None) -> ObservationBatch:
    """Keep the observations of [from_at, to_at); None is the end of time. The same batch where that is all of them."""
    kept = tuple(
        each
        for each in batch.observations
        if from_at <= each.observed_at and (to_at is None or each.observed_at < to_at)
    )
    return batch if len(kept) == len(batch.observations) else replace(batch, observations=kept)


def close_edges(edges: Iterable[Edge], ends: Mapping[str, int]) -> list[Edge]:
    """Note on edges that they have counted all below the ends, which are offsets by `topic/partition`."""
    return [
        replace(with_exemplars(edge), applied={partition: Applied(floor=ends[partition]) for partition in edge.applied})
        for edge in edges
    ]


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
