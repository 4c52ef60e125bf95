"""Workers that read a world's topics at any pace, and the offline resolution that they are measured by."""

from __future__ import annotations

import random
from typing import Any

from callgraph.records import ConnectionBatch, DnsAnswerBatch, DnsObservation, ObservationBatch
from stream_processor.attribution import Attribution, Decision, Origin
from stream_processor.inventory import Inventory
from stream_processor.resolution import Attributed
from stream_processor.resolve import resolve
from tests.property.worlds import SETTINGS, Topic, World, compacted
from tests.storm.cluster import CLUSTER, Observation

Edge = tuple[str, ...]


def batched(seen: list[tuple[str, Observation]], rng: random.Random) -> list[ObservationBatch]:
    """Cut what was seen into batches of any size, each of one node and kind."""
    batches: list[ObservationBatch] = []
    groups: dict[tuple[str, bool], list[Observation]] = {}
    for node, observation in seen:
        groups.setdefault((node, isinstance(observation, DnsObservation)), []).append(observation)
    for (node, dns), observations in groups.items():
        make: Any = DnsAnswerBatch if dns else ConnectionBatch
        while observations:
            size = rng.randint(1, 10)
            cut = tuple(observations[:size])
            del observations[:size]
            batches.append(
                make(cluster=CLUSTER, node=node, boot_id="b", sequence=0, sent_at=cut[-1].observed_at, observations=cut)
            )
    rng.shuffle(batches)
    return batches


class Worker:
    """One worker with its own copy of the inventory, reading both of its topics at any pace, dying at any time."""

    def __init__(self, topic: Topic, batches: list[ObservationBatch], rng: random.Random) -> None:
        self._topic, self._batches, self._rng = topic, batches, rng
        self.decisions: list[Decision] = []
        self._start(position=0, offset=0)

    def _start(self, *, position: int, offset: int) -> None:
        self._inventory, self._position, self._offset = Inventory(SETTINGS), position, offset
        self._inventory.apply_all(compacted(self._topic[:position]))
        self._attribution = Attribution(self._inventory, SETTINGS)

    def run(self, *, restarts: int = 0, repeats: float = 0.0) -> list[Decision]:
        """Decide everything."""
        while self._position < len(self._topic) or self._offset < len(self._batches):
            if restarts and self._rng.random() < 0.05:
                self._restart()
                restarts -= 1
            elif self._rng.random() < 0.5:
                self._read_inventory(repeats)
            else:
                self._take_batch(repeats)
            if self._rng.random() < 0.8:
                self._advance()
        self._advance()
        assert self._attribution.held == 0
        assert self._attribution.pending("t", 0) is None
        return self.decisions

    def _read_inventory(self, repeats: float) -> None:
        count = self._rng.choice([1, 1, 2, 3, 30])
        self._inventory.apply_all(self._topic[self._position : self._position + count])
        self._position = min(self._position + count, len(self._topic))
        if self._rng.random() < repeats:
            again = self._rng.randint(0, self._position)
            self._inventory.apply_all(self._topic[again : self._position])

    def _take_batch(self, repeats: float) -> None:
        if self._offset < len(self._batches):
            self._attribution.offer(self._batches[self._offset], Origin("t", 0, self._offset), now=0)
            self._offset += 1
        if self._offset and self._rng.random() < repeats:
            again = self._rng.randrange(self._offset)
            self._attribution.offer(self._batches[again], Origin("t", 0, again), now=0)

    def _advance(self) -> None:
        self.decisions += self._attribution.advance(now=0)

    def _restart(self) -> None:
        """Die; whoever follows reads the inventory to where it has come by then, and what was not settled again."""
        pending = self._attribution.pending("t", 0)
        offset = self._offset if pending is None else pending
        self._start(position=self._rng.randint(self._position, len(self._topic)), offset=offset)


def offline(world: World) -> set[Edge]:
    """Resolve everything against the whole inventory."""
    inventory = Inventory(SETTINGS)
    inventory.apply_all(world.topic)
    return {
        spell(call)
        for node, observation in world.seen
        for call in resolve(observation, inventory, cluster=CLUSTER, node=node, final=True).attributed
    }


def edges(decisions: list[Decision]) -> set[Edge]:
    """Return the edges of decisions."""
    return {spell(call) for found in decisions for call in found.attributed}


def spell(call: Attributed) -> Edge:
    """Return what tells an edge from others."""
    ends = (call.client.kind, call.client.name, call.server.kind, call.server.name)
    return (*ends, str(call.server_port), str(call.network_transport))
