"""The second stage: calls in, edges out. Shell: Kafka, through the outbox; what to publish is decided in `edge_state`.

A record of calls is acknowledged when every edge that it changed has been published with it. An edge that only gains a
later `last_seen` is published once in an interval, and its records wait for that: a restart reads them again, and they
are recognised as counted or not. The alternative, to publish each edge for each record, would write the whole graph
many times a minute for nothing that a reader asks for (docs/adr/0004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from callgraph.codec import decode
from callgraph.errors import DecodeError
from callgraph.records import CallBatch, Edge
from stream_processor.counts import Counts
from stream_processor.edge_state import EdgeState, Publication
from stream_processor.ledger import Entry, Ledger
from stream_processor.outbox import Outbox

Acknowledge = Callable[[list[Any]], None]
Reject = Callable[[DecodeError, Any, Callable[[], None]], None]


class Folding:
    """The second stage during one assignment of partitions."""

    def __init__(
        self, *, interval: int, topic: str, outbox: Outbox, counts: Counts, acknowledge: Acknowledge, reject: Reject
    ) -> None:
        self._topic = topic
        self._outbox = outbox
        self._counts = counts
        self._acknowledge = acknowledge
        self._reject = reject
        self.edges: EdgeState[Entry[Any]] = EdgeState(interval=interval)
        self.ledger: Ledger[Any] = Ledger()

    def restore(self, records: Iterable[Any], *, now: int) -> None:
        """Take edges as they were published."""
        for record in records:
            try:
                edge = decode(record.value, Edge) if record.value is not None else None
            except DecodeError as error:
                self._reject(error, record, _nothing)
            else:
                self.edges.restore(record.key, edge, now=now)

    def take(self, message: Any, *, now: int) -> None:
        """Take a record of calls, fold them, and publish what is due."""
        entry = self.ledger.open((message.topic, message.partition), message.offset, message)
        if entry is None:
            return
        try:
            batch = decode(message.value, CallBatch)
        except DecodeError as error:
            self._reject(error, message, partial(self._settle, entry))
            return
        message.value = None
        # The first part is this loop itself, so that nothing is released half-way.
        entry.parts += sum(self.edges.apply(call, entry, now=now) for call in batch.calls)
        self._settle(entry)
        self._counts.add("folded_total", sum(len(call.origin.indexes) for call in batch.calls))
        self._publish(self.edges.take_due(now=now))

    def publish_due(self, *, now: int) -> None:
        """Publish what is due."""
        self._publish(self.edges.take_due(now=now))

    def publish_all(self, *, now: int) -> None:
        """Publish everything that is not published yet, before the partitions are given up."""
        self._publish(self.edges.take_all(now=now))

    def _publish(self, publications: list[Publication[Entry[Any]]]) -> None:
        for publication in publications:
            self._outbox.send(
                self._topic,
                publication.edge,
                key=publication.key,
                then=partial(self._published, publication.receipts),
            )

    def _published(self, receipts: list[Entry[Any]]) -> None:
        for entry in receipts:
            self._settle(entry)

    def _settle(self, entry: Entry[Any]) -> None:
        self._acknowledge(self.ledger.settle(entry))


def _nothing() -> None:
    """Nobody waits for a dead letter about a record that was read without a group."""
