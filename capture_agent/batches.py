"""Observations to batches, numbered, bounded in size, with the counters since the last one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from callgraph.codec import Codec, encode
from callgraph.records import BatchCounters, ConnectionBatch, DnsAnswerBatch
from callgraph.topics import TopicName
from capture_agent.suppression import Observation

SourceName = Literal["dns", "syn", "socket"]
SOURCES: tuple[SourceName, ...] = ("dns", "syn", "socket")

MAX_BATCH_BYTES = 900_000
"""Kafka's default limit is 1 MB a record, headers and framing included."""


class SourceCounters:
    """What one source did: received = published + suppressed + sum(dropped) + what waits to be sent."""

    def __init__(self) -> None:
        self.received = 0
        self.published = 0
        self.suppressed = 0
        self.dropped: dict[str, int] = {}
        self.kernel_dropped = 0

    def drop(self, reason: str, count: int = 1) -> None:
        """Count something received that is not used."""
        self.received += count
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def snapshot(self) -> BatchCounters:
        """Return the totals so far."""
        return BatchCounters(
            received=self.received,
            published=self.published,
            suppressed=self.suppressed,
            dropped=dict(self.dropped),
            kernel_dropped=self.kernel_dropped,
        )


class Identity(Struct, frozen=True):
    """Who sends: in every batch once."""

    cluster: str
    node: str
    boot_id: str


class Batch(Struct, frozen=True):
    """A batch ready to send."""

    topic: TopicName
    record: DnsAnswerBatch | ConnectionBatch
    value: bytes
    """The record encoded; empty where the series has no codec."""
    size: int
    """Observations in it."""


class BatchSeries:
    """The batches of one topic since the agent started."""

    def __init__(self, topic: TopicName, identity: Identity, codec: Codec | None = "json") -> None:
        """Without a codec nothing is encoded, for a publisher that takes records."""
        self.topic: TopicName = topic
        self._record = DnsAnswerBatch if topic == "dns-answers" else ConnectionBatch
        self._identity = identity
        self._codec = codec
        self._sequence = 0
        self._told = BatchCounters()

    def build(self, observations: Sequence[Observation], totals: BatchCounters, *, sent_at: int) -> list[Batch]:
        """Build as many batches as the size limit asks for; the first carries the counters since the last call."""
        counters = subtract_counters(totals, self._told)
        self._told = totals
        batches: list[Batch] = []
        parts = [observations]
        while parts:
            part = parts.pop(0)
            record = self._wrap(part, sent_at, BatchCounters() if batches else counters)
            value = encode(record, self._codec) if self._codec else b""
            if len(value) > MAX_BATCH_BYTES and len(part) > 1:
                middle = len(part) // 2
                parts[:0] = [part[:middle], part[middle:]]
            else:
                batches.append(Batch(self.topic, record, value, len(part)))
                self._sequence += 1
        return batches

    def lags(self, totals: BatchCounters) -> bool:
        """Tell whether the counters hold anything that no batch has told."""
        return totals != self._told

    def take_back(self, batch: Batch) -> None:
        """Tell the counters of a batch that was not delivered once more with the next one."""
        self._told = subtract_counters(self._told, batch.record.counters)

    def _wrap(
        self, observations: Sequence[Observation], sent_at: int, counters: BatchCounters
    ) -> DnsAnswerBatch | ConnectionBatch:
        return self._record(
            cluster=self._identity.cluster,
            node=self._identity.node,
            boot_id=self._identity.boot_id,
            sequence=self._sequence,
            sent_at=sent_at,
            observations=tuple(observations),  # type: ignore[arg-type]  # the topic decides the kind
            counters=counters,
        )


def add_counters(parts: Sequence[BatchCounters]) -> BatchCounters:
    """Sum counters of several sources."""
    dropped: dict[str, int] = {}
    for part in parts:
        for reason, count in part.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return BatchCounters(
        received=sum(part.received for part in parts),
        published=sum(part.published for part in parts),
        suppressed=sum(part.suppressed for part in parts),
        dropped=dropped,
        kernel_dropped=sum(part.kernel_dropped for part in parts),
    )


def subtract_counters(total: BatchCounters, earlier: BatchCounters) -> BatchCounters:
    """Return what came between two totals."""
    dropped = {reason: count - earlier.dropped.get(reason, 0) for reason, count in total.dropped.items()}
    return BatchCounters(
        received=total.received - earlier.received,
        published=total.published - earlier.published,
        suppressed=total.suppressed - earlier.suppressed,
        dropped={reason: count for reason, count in dropped.items() if count},
        kernel_dropped=total.kernel_dropped - earlier.kernel_dropped,
    )
