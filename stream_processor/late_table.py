"""Observations that wait for news of their addresses. Pure, but for what it holds.

In: observations with the time until which they may wait. Out: those whose time is over, and those whose addresses the
inventory has learnt something about since they were last looked at.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from callgraph.records import DnsObservation
from stream_processor.inventory import ClusterInventory
from stream_processor.resolve import Observation

_SECOND = 1_000_000_000


class Origin(NamedTuple):
    """Where a batch stands in Kafka."""

    topic: str
    partition: int
    offset: int


class Held(NamedTuple):
    """One observation on its way to a decision."""

    origin: Origin
    position: int
    observation: Observation
    cluster: str
    node: str
    offered_at: int


class LateTable:
    """What waits of one cluster."""

    def __init__(self, view: ClusterInventory) -> None:
        self._view = view
        self._version = view.version
        self._everything = False
        self._looked_at_all = 0
        self._sequence = 0
        self._held: dict[int, Held] = {}
        self._waiting_for: dict[str, set[int]] = {}
        self._deadlines: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: Held, deadline: int) -> None:
        """Let an observation wait until the watermark reaches the deadline."""
        self._sequence += 1
        self._held[self._sequence] = held
        heapq.heappush(self._deadlines, (deadline, self._sequence))
        for address in _addresses(held.observation):
            self._waiting_for.setdefault(address, set()).add(self._sequence)

    def take_final(self, watermark: int) -> list[Held]:
        """Take out what has waited long enough."""
        taken: list[Held] = []
        while self._deadlines and self._deadlines[0][0] <= watermark:
            number = heapq.heappop(self._deadlines)[1]
            if number in self._held:
                taken.append(self.remove(number))
        return taken

    def with_news(self, *, now: int) -> list[tuple[int, Held]]:
        """Return what the inventory has news for, with the number to `remove` it by.

        News of a Service, a slice or a node concerns everything; everything is looked at once a second at most.
        """
        if not self._held:
            self._version, self._everything = self._view.version, False
            return []
        touched = self._view.changes_since(self._version)
        self._version = self._view.version
        self._everything |= touched is None
        if self._everything and now - self._looked_at_all >= _SECOND:
            self._everything, self._looked_at_all = False, now
            return list(self._held.items())
        numbers: set[int] = set()
        for address in touched or ():
            numbers |= self._waiting_for.get(address, set())
        return [(number, self._held[number]) for number in sorted(numbers)]

    def take_oldest(self, count: int, *, offered_until: int) -> list[Held]:
        """Take out what came first: up to a count, and whatever was offered up to a time."""
        taken: list[Held] = []
        while self._held:
            number, held = next(iter(self._held.items()))
            if held.offered_at > offered_until and len(taken) >= count:
                break
            taken.append(self.remove(number))
        return taken

    def forget(self, topic: str, partition: int) -> int:
        """Drop what came from a partition; return how many that were."""
        numbers = [number for number, held in self._held.items() if held.origin[:2] == (topic, partition)]
        for number in numbers:
            self.remove(number)
        return len(numbers)

    def remove(self, number: int) -> Held:
        """Take one out."""
        held = self._held.pop(number)
        for address in _addresses(held.observation):
            waiting = self._waiting_for[address]
            waiting.discard(number)
            if not waiting:
                del self._waiting_for[address]
        return held


def _addresses(observation: Observation) -> set[str]:
    if isinstance(observation, DnsObservation):
        return {observation.client_address, *observation.addresses}
    return {observation.client_address, observation.server_address}
