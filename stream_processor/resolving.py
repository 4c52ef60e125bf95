"""The first stage: batches of observations in, calls out. Shell: Kafka, through the outbox; attribution decides.

A record of the raw topics is acknowledged when every observation in it is decided and everything that follows from them
has arrived: calls, and dead letters for what does not decode. What is held meanwhile is not acknowledged, so a restart
reads it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from callgraph.codec import Codec, decode
from callgraph.errors import DecodeError
from callgraph.records import Call, CallBatch, ObservationBatch
from stream_processor.attribution import Attribution, Decision, Origin
from stream_processor.calls import EdgePartitions, encode_calls, gather_calls, partition_calls
from stream_processor.counts import Counts
from stream_processor.coverage import Coverage
from stream_processor.ledger import Entry, Ledger
from stream_processor.outbox import Outbox
from stream_processor.unresolved import UnresolvedSample

DECIDED_BEFORE_SENDING = 4000
"""Observations whose calls are gathered into records before they are sent, unless the timer comes first."""

_BATCHES: Any = ObservationBatch
"""A union of types serves where a type is asked for."""

Acknowledge = Callable[[list[Any]], None]
Reject = Callable[[DecodeError, Any, Callable[[], None]], None]


class CallsTopic(NamedTuple):
    """Where calls go."""

    name: str
    partitions: int
    codec: Codec


class Resolving:
    """The first stage during one assignment of partitions."""

    def __init__(
        self,
        attribution: Attribution,
        *,
        calls: CallsTopic,
        outbox: Outbox,
        counts: Counts,
        acknowledge: Acknowledge,
        reject: Reject,
    ) -> None:
        self._attribution = attribution
        self._calls = calls
        self._outbox = outbox
        self._counts = counts
        self._acknowledge = acknowledge
        self._reject = reject
        self._entries: dict[Origin, Entry[Any]] = {}
        self._decided: Counter[Origin] = Counter()
        self._gathered: list[Call] = []
        self._partitions = EdgePartitions(calls.partitions)
        self.ledger: Ledger[Any] = Ledger()
        self.unresolved = UnresolvedSample()
        self.coverage = Coverage()

    @property
    def held(self) -> int:
        """How many observations wait for the inventory."""
        return self._attribution.held

    def take(self, message: Any, *, now: int) -> None:
        """Take a record: its observations are offered to attribution."""
        origin = Origin(message.topic, message.partition, message.offset)
        entry = self.ledger.open((message.topic, message.partition), message.offset, message)
        if entry is None:
            return
        try:
            batch: ObservationBatch = decode(message.value, _BATCHES)
        except DecodeError as error:
            self._reject(error, message, partial(self._settle, entry, 1))
            return
        self._count(message.topic, len(batch.observations))
        # The bytes are of no more use, and what is held keeps its message.
        message.value = None
        self.coverage.open(origin, batch)
        if not batch.observations:
            self.coverage.close(origin)
            self._settle(entry, 1)
            return
        entry.parts = len(batch.observations)
        self._entries[origin] = entry
        self._attribution.offer(batch, origin, now=now)
        self._decide(now=now)
        if self._decided.total() >= DECIDED_BEFORE_SENDING:
            self._send()

    def settle(self, *, now: int) -> None:
        """Send what has been decided by now."""
        self._decide(now=now)
        if self._decided:
            self._send()

    def _decide(self, *, now: int) -> None:
        """Make calls of what can be decided, batch by batch, while the observations are in the processor's caches."""
        decisions = self._attribution.advance(now=now)
        if decisions:
            self._report(decisions, now=now)
            self._gathered += gather_calls(decisions, floor=self._floor)
            for decision in decisions:
                self._decided[decision.origin] += len(decision.indexes)

    def _send(self) -> None:
        calls, self._gathered = self._gathered, []
        parts, self._decided = self._decided, Counter()
        values = [
            (partition, value)
            for partition, found in partition_calls(calls, self._partitions).items()
            for value in encode_calls(found, self._calls.codec)
        ]
        arrived = partial(self._arrived, _Countdown(len(values)), parts)
        if not values:
            self._settle_all(parts)
        for partition, value in values:
            self._outbox.send_value(
                self._calls.name, value, record=CallBatch, key=None, partition=partition, then=arrived
            )

    def _floor(self, origin: Origin) -> int:
        floor = self.ledger.floor((origin.topic, origin.partition))
        return origin.offset if floor is None else floor

    def _arrived(self, countdown: _Countdown, parts: Counter[Origin]) -> None:
        countdown.left -= 1
        if not countdown.left:
            self._settle_all(parts)

    def _settle_all(self, parts: Counter[Origin]) -> None:
        for origin, count in parts.items():
            entry = self._entries[origin]
            self._settle(entry, count)
            if entry.parts <= 0:
                del self._entries[origin]
                self.coverage.close(origin)

    def _settle(self, entry: Entry[Any], parts: int) -> None:
        self._acknowledge(self.ledger.settle(entry, parts))

    def _count(self, topic: str, observations: int) -> None:
        self._counts.add("batches_total", topic=topic)
        self._counts.add("observations_total", observations, topic=topic)

    def _report(self, decisions: list[Decision], *, now: int) -> None:
        self._counts.add("calls_total", sum(len(decision.indexes) for decision in decisions if decision.attributed))
        self.coverage.decide(decisions)
        for reason, count in self.unresolved.take(decisions, now=now).items():
            self._counts.add("unresolved_total", count, reason=reason)


class _Countdown:
    """Records of one sending that have not arrived yet."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left
