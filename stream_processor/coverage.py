"""What the call graph rests on: sums by node and day of what was taken, dropped and not attributed. Pure.

In: batches as they are taken, decisions, and which batches are finished. Out: `CoverageRecord`s that changed since the
last time. A batch counts once it is finished, all of it at once: what is read again after a restart was not counted,
unless the worker died between the last delivery and the commit of its offset (Faust commits every few seconds).
Only counters and names of nodes are kept, so the cost is that of the nodes, not of the traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from callgraph.records import CoverageRecord, ObservationBatch
from stream_processor.attribution import Decision, Origin

_DAY = 86_400_000_000_000


class NodeDay(NamedTuple):
    """What one record sums up; `day` counts from the epoch, in UTC, by the clock of the node."""

    cluster: str
    node: str
    day: int


class _Open(NamedTuple):
    """One batch that is not finished: its share of the sum so far."""

    place: NodeDay
    share: CoverageRecord
    unresolved: Counter[str]


class Coverage:
    """The sums of one assignment of partitions."""

    def __init__(self) -> None:
        self._sequences: dict[tuple[str, str, str], tuple[str, int]] = {}
        self._open: dict[Origin, _Open] = {}
        self._sums: dict[NodeDay, CoverageRecord] = {}
        self._changed: set[NodeDay] = set()

    def open(self, origin: Origin, batch: ObservationBatch) -> None:
        """Take note of a batch that has just been taken."""
        place = NodeDay(batch.cluster, batch.node, batch.sent_at // _DAY)
        share = CoverageRecord(
            cluster=batch.cluster,
            node=batch.node,
            from_at=batch.sent_at,
            to_at=batch.sent_at,
            batches=1,
            lost_batches=self._gap_before(batch, origin.topic),
            received=batch.counters.received,
            dropped=sum(batch.counters.dropped.values()),
            kernel_dropped=batch.counters.kernel_dropped,
            observations=len(batch.observations),
        )
        self._open[origin] = _Open(place, share, Counter())

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Take note of observations that were not attributed, each by its first reason."""
        for decision in decisions:
            if decision.refusals and not decision.attributed:
                self._open[decision.origin].unresolved[decision.refusals[0].reason] += len(decision.indexes)

    def close(self, origin: Origin) -> None:
        """Count a batch that is finished."""
        place, share, unresolved = self._open.pop(origin)
        share = msgspec.structs.replace(share, unresolved=dict(unresolved))
        known = self._sums.get(place)
        self._sums[place] = _add(known, share) if known else share
        self._changed.add(place)

    def take_changed(self) -> list[tuple[NodeDay, CoverageRecord]]:
        """Hand out the sums that changed since the last time; each stands for its node and day as a whole."""
        changed, self._changed = self._changed, set()
        return [(place, self._sums[place]) for place in sorted(changed)]

    def _gap_before(self, batch: ObservationBatch, topic: str) -> int:
        """Return how many batches are missing before this one; nobody knows before the first of a boot."""
        source = (topic, batch.cluster, batch.node)
        boot_id, last = self._sequences.get(source, ("", -1))
        self._sequences[source] = (batch.boot_id, batch.sequence)
        return max(batch.sequence - last - 1, 0) if boot_id == batch.boot_id else 0


def _add(one: CoverageRecord, other: CoverageRecord) -> CoverageRecord:
    return CoverageRecord(
        cluster=one.cluster,
        node=one.node,
        from_at=min(one.from_at, other.from_at),
        to_at=max(one.to_at, other.to_at),
        batches=one.batches + other.batches,
        lost_batches=one.lost_batches + other.lost_batches,
        received=one.received + other.received,
        dropped=one.dropped + other.dropped,
        kernel_dropped=one.kernel_dropped + other.kernel_dropped,
        observations=one.observations + other.observations,
        unresolved=dict(Counter(one.unresolved) + Counter(other.unresolved)),
    )
