"""What was taken from each partition and is not finished yet, finished in order. Pure.

In: records as they are taken (`open`) and the parts of them that are done (`settle`). Out: the records that may be
acknowledged (`release`), per partition strictly in the order of their offsets.

The order matters. Faust commits the end of the first run of acknowledged offsets; but when nothing is committed yet it
takes whatever was acknowledged first for the start of that run, and otherwise it forgives a hole of one record
(faust 0.15.3, transport/consumer.py, Consumer._new_offset). With acknowledgements in order there is never a hole.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

Partition = tuple[str, int]
"""A topic's full name and a partition number."""


class Entry(Generic[T]):
    """One record that was taken; `parts` of it are still to be done."""

    __slots__ = ("handle", "offset", "partition", "parts")

    def __init__(self, partition: Partition, offset: int, handle: T, parts: int) -> None:
        self.partition = partition
        self.offset = offset
        self.handle = handle
        self.parts = parts


class Ledger(Generic[T]):
    """The open records of the partitions that a worker owns."""

    def __init__(self) -> None:
        self._open: dict[Partition, deque[Entry[T]]] = {}
        self._taken: dict[Partition, int] = {}

    def open(self, partition: Partition, offset: int, handle: T, *, parts: int = 1) -> Entry[T] | None:
        """Enter a record with so many parts to do; None when it was entered before (a second delivery)."""
        if offset <= self._taken.get(partition, -1):
            return None
        self._taken[partition] = offset
        entry = Entry(partition, offset, handle, parts)
        self._open.setdefault(partition, deque()).append(entry)
        return entry

    def settle(self, entry: Entry[T], parts: int = 1) -> list[T]:
        """Mark parts of a record as done; return what may now be acknowledged, oldest first."""
        entry.parts -= parts
        return self._release(entry.partition) if entry.parts <= 0 else []

    def floor(self, partition: Partition) -> int | None:
        """Return the oldest open offset: everything below it is finished for good. None when nothing is open."""
        entries = self._open.get(partition)
        return entries[0].offset if entries else None

    def oldest(self, partition: Partition) -> T | None:
        """Return the oldest open record; None when nothing is open."""
        entries = self._open.get(partition)
        return entries[0].handle if entries else None

    def taken(self, partition: Partition) -> int | None:
        """Return the offset up to which everything was taken; None when nothing was."""
        last = self._taken.get(partition)
        return None if last is None else last + 1

    def finished(self, partition: Partition) -> int | None:
        """Return the offset up to which everything is finished; None when nothing was taken."""
        floor = self.floor(partition)
        return self.taken(partition) if floor is None else floor

    def held(self) -> int:
        """Return how many records are open."""
        return sum(len(entries) for entries in self._open.values())

    def _release(self, partition: Partition) -> list[T]:
        entries, released = self._open[partition], []
        while entries and entries[0].parts <= 0:
            released.append(entries.popleft().handle)
        return released
