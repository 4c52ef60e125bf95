"""The edges that a worker owns, and which of them are due to be published. Pure.

In: edges as restored from the call graph, then calls, each with a receipt that stands for the record it came in. Out:
publications: an edge at once when it is new or says more, otherwise at most once per interval for its `last_seen`, each
with the receipts that its delivery settles. An edge that a call leaves as it was (a replay) asks for no publication.

A receipt is settled only by a publication that holds its calls, so the record is acknowledged behind the published
edge, and a count survives the death of the worker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from callgraph.records import Call, Edge
from stream_processor.edge_store import EdgeStore
from stream_processor.fold import edge_key, fold, says_more, with_exemplars
from stream_processor.partitioner import murmur2

T = TypeVar("T", bound=Hashable)

_SECOND = 1_000_000_000


class Publication(NamedTuple, Generic[T]):
    """An edge to publish, and what its delivery settles."""

    key: bytes
    edge: Edge
    receipts: list[T]


class EdgeState(Generic[T]):
    """Edges by key. `interval` is in nanoseconds; so is every `now`, on one clock."""

    def __init__(self, *, interval: int) -> None:
        self._interval = interval
        self._edges = EdgeStore()
        self._published_at: dict[bytes, int] = {}
        self._waiting: dict[bytes, list[T]] = {}
        self._urgent: dict[bytes, None] = {}
        self._due: defaultdict[int, list[bytes]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._edges)

    def restore(self, key: bytes, edge: Edge | None, *, now: int) -> None:
        """Take an edge as it was published; None is a tombstone."""
        if edge is None:
            self._edges.remove(key)
            self._published_at.pop(key, None)
            return
        self._edges.pack(key, edge)
        # Spread, or all edges would be due again in the same second after a start.
        self._published_at[key] = now - murmur2(key) % (self._interval + 1)

    def apply(self, call: Call, receipt: T, *, now: int) -> bool:
        """Fold a call in; True when the receipt now waits for one publication more than before."""
        key = edge_key(call)
        before = self._edges.get(key)
        after = fold(before, call)
        if after is before:
            return False
        self._edges.put(key, after)
        self._schedule(key, urgent=says_more(after, before), now=now)
        waiting = self._waiting[key]
        if waiting and waiting[-1] == receipt:
            return False
        waiting.append(receipt)
        return True

    def take_due(self, *, now: int) -> list[Publication[T]]:
        """Return what is to be published now."""
        keys = list(self._urgent)
        self._urgent.clear()
        for second in [second for second in self._due if second <= now // _SECOND]:
            keys += [key for key in self._due.pop(second) if self._is_due(key, now)]
        return self._take(keys, now=now)

    def take_all(self, *, now: int) -> list[Publication[T]]:
        """Return everything that is not published yet, due or not."""
        self._urgent.clear()
        self._due.clear()
        return self._take(self._waiting, now=now)

    def _schedule(self, key: bytes, *, urgent: bool, now: int) -> None:
        fresh = key not in self._waiting
        if fresh:
            self._waiting[key] = []
        if urgent:
            self._urgent[key] = None
        elif fresh:
            self._due[max(now, self._due_at(key)) // _SECOND].append(key)

    def _is_due(self, key: bytes, now: int) -> bool:
        """Tell apart a key that was published since it was scheduled."""
        return key in self._waiting and self._due_at(key) // _SECOND <= now // _SECOND

    def _due_at(self, key: bytes) -> int:
        return self._published_at.get(key, -self._interval) + self._interval

    def _take(self, keys: Iterable[bytes], *, now: int) -> list[Publication[T]]:
        publications = []
        for key in dict.fromkeys(keys):
            receipts = self._waiting.pop(key, None)
            edge = self._edges.get(key)
            if receipts is None or edge is None:
                continue
            self._published_at[key] = now
            publications.append(Publication(key, with_exemplars(edge), receipts))
        return publications
