"""Laws of attribution: the graph depends on what was seen and said, and on nothing else.

Worlds of a few addresses that are given on quickly; kubelets and the watch are up to 2.5 s late, now and then a relist
stands in for what was missed. The offline resolution against the whole inventory is the yardstick.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callgraph.records import (
    ConnectionBatch,
    ConnectionObservation,
    DnsAnswerBatch,
    DnsObservation,
    KubeObject,
    ObservationBatch,
    PodRecord,
    WatermarkRecord,
)
from stream_processor.attribution import Attribution, Decision, Origin
from stream_processor.inventory import Inventory
from stream_processor.kube_types import decode_kind
from stream_processor.moment import ALWAYS
from stream_processor.projection import Projector
from stream_processor.resolve import resolve
from stream_processor.settings import AttributionSettings
from tests.storm.cluster import Life, Observation, nanoseconds, pod_object, raw

CLUSTER = "storm"
SETTINGS = AttributionSettings(patience_seconds=1e6, tombstone_seconds=1e6, pod_cidrs=("10.0.0.0/16",))
ENDS_AT = 60.0

Edge = tuple[str, str]
Topic = list[KubeObject | WatermarkRecord]


class World(NamedTuple):
    """What truly happened, what the inventory topic holds, and what the agents saw of it."""

    lives: list[Life]
    topic: Topic
    seen: list[tuple[str, Observation]]

    def __repr__(self) -> str:
        return "\n".join(map(str, [*self.lives, *self.seen]))


# Seeds, because a world takes hundreds of choices: it is shrunk by the number of sightings only.
randoms = st.builds(random.Random, st.integers(0, 2**32))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    rng = draw(randoms)
    lives = [*_lives(rng), Life(99, "steady", 0, "10.0.0.99", -100, 10 * ENDS_AT, "")]
    relist_at = rng.choice([None, rng.uniform(10, 50)])
    topic = list(_topic(lives, rng, relist_at))
    seen = [_sighting(rng, lives) for _ in range(draw(st.integers(5, 60)))]
    return World(lives, topic, seen)


def _lives(rng: random.Random) -> Iterator[Life]:
    number = 0
    for address in range(3):
        start = rng.uniform(-20, 20)
        while start < ENDS_AT:
            end = start + rng.choice([rng.uniform(1, 8), rng.uniform(5, 40), 20 * ENDS_AT])
            ends = rng.choice(["graceful", "forced", "completed"])
            yield Life(number, f"app-{number}", rng.randrange(2), f"10.0.0.{address}", start, end, ends)
            number, start = number + 1, end + rng.choice([rng.uniform(0.2, 3), rng.uniform(3, 10)])


def _topic(lives: list[Life], rng: random.Random, relist_at: float | None) -> Iterator[KubeObject | WatermarkRecord]:
    """Project what the API server says, in its order, with a heartbeat every second; a gap before a relist."""
    projector = Projector(CLUSTER, SETTINGS)
    said = sorted((each for life in lives for each in _said(life, rng)), key=lambda each: each[0])
    gap = (relist_at - rng.uniform(0, 8), relist_at) if relist_at is not None else (ALWAYS, ALWAYS)
    events: list[tuple[float, Any]] = [each for each in said if not gap[0] <= each[0] <= gap[1]]
    events += [(float(second), None) for second in range(150) if not gap[0] <= second <= gap[1]]
    if relist_at is not None:
        events.append((relist_at, _existing(said, relist_at)))
    for at, event in sorted(events, key=lambda each: each[0]):
        if event is None:
            projector.promise(nanoseconds(at))
            yield WatermarkRecord(cluster=CLUSTER, at=nanoseconds(at))
        elif isinstance(event, list):
            yield from projector.relist("Pod", event, nanoseconds(at))
        elif (record := projector.apply(event[0], raw(event[1]), nanoseconds(at))) is not None:
            yield record


def _said(life: Life, rng: random.Random) -> Iterator[tuple[float, tuple[str, dict[str, Any]]]]:
    lag = rng.uniform(0.1, 2.4)
    yield life.start + rng.uniform(0.1, 2.4), ("MODIFIED", pod_object(life))
    if life.end > 10 * ENDS_AT:
        return
    told = max(life.end + lag, life.start + 2.4)
    if life.ends == "graceful":
        terminated = pod_object(life, state="terminated", deleted_at=life.end + 25)
        yield told - 0.01, ("MODIFIED", pod_object(life, deleted_at=life.end + 25))
        yield told, ("DELETED", terminated)
    elif life.ends == "forced":
        yield told, ("DELETED", pod_object(life))
    else:
        yield told, ("MODIFIED", pod_object(life, phase="Succeeded", state="terminated"))
        yield told + 30, ("DELETED", pod_object(life, phase="Succeeded", state="terminated"))


def _existing(said: list[tuple[float, tuple[str, dict[str, Any]]]], at: float) -> list[Any]:
    pods = {}
    for told, (op, pod) in said:
        if told <= at:
            pods[pod["metadata"]["uid"]] = pod
            if op == "DELETED":
                del pods[pod["metadata"]["uid"]]
    return [decode_kind("Pod", raw(pod)) for pod in pods.values()]


def _sighting(rng: random.Random, lives: list[Life]) -> tuple[str, Observation]:
    """See something of an address, mostly about when it is given on."""
    life = rng.choice(lives)
    at = nanoseconds(rng.choice([life.start, life.end, rng.uniform(0, ENDS_AT)]) + rng.uniform(-3, 4))
    at = min(max(at, nanoseconds(0)), nanoseconds(ENDS_AT))
    address = life.address if rng.random() < 0.9 else "10.0.0.3"
    ends = (address, "10.0.0.99") if rng.random() < 0.7 else ("10.0.0.99", address)
    node = f"node-{rng.randrange(2)}"
    if rng.random() < 0.3:
        return node, DnsObservation(
            observed_at=at,
            network_transport="udp",
            client_address=ends[0],
            server_address="10.96.0.10",
            dns_question_name="outside.example",
            dns_question_type="A",
            addresses=(ends[1],) if rng.random() < 0.5 else ("203.0.113.7",),
        )
    outside = rng.random() < 0.2
    return node, ConnectionObservation(
        observed_at=at,
        network_transport="tcp",
        client_address=ends[0],
        server_address="203.0.113.7" if outside else ends[1],
        server_port=8080,
        evidence="syn",
        dns_question_name="outside.example",
        dns_observed_at=at - nanoseconds(rng.uniform(0, 30)),
    )


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


def compacted(topic: Topic) -> Topic:
    """Keep the last record of each key, as the broker does, each where it stood."""
    last = {getattr(record, "uid", "watermark"): position for position, record in enumerate(topic)}
    return [topic[position] for position in sorted(last.values())]


def offline(world: World) -> set[Edge]:
    """Resolve everything against the whole inventory."""
    inventory = Inventory(SETTINGS)
    inventory.apply_all(world.topic)
    return {
        (call.client.name, call.server.name)
        for node, observation in world.seen
        for call in resolve(observation, inventory, cluster=CLUSTER, node=node, final=True).attributed
    }


def edges(decisions: list[Decision]) -> set[Edge]:
    return {(call.client.name, call.server.name) for found in decisions for call in found.attributed}


law = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@law
@given(world=worlds(), rng=randoms)
def test_interleaving_and_batching_do_not_change_the_edges(world, rng):
    assert edges(Worker(world.topic, batched(world.seen, rng), rng).run()) == offline(world)


@law
@given(world=worlds(), rng=randoms)
def test_repeats_do_not_change_the_edges(world, rng):
    assert edges(Worker(world.topic, batched(world.seen, rng), rng).run(repeats=0.3)) == offline(world)


@law
@given(world=worlds(), rng=randoms, workers=st.integers(1, 4))
def test_number_of_workers_does_not_change_the_edges(world, rng, workers):
    batches = batched(world.seen, rng)
    shares = [Worker(world.topic, batches[number::workers], rng).run() for number in range(workers)]
    assert {edge for share in shares for edge in edges(share)} == offline(world)


@law
@given(world=worlds(), rng=randoms)
def test_restarts_at_any_point_do_not_change_the_edges(world, rng):
    assert edges(Worker(world.topic, batched(world.seen, rng), rng).run(restarts=3)) == offline(world)


@law
@given(world=worlds(), rng=randoms)
def test_every_observation_that_was_offered_is_decided_once(world, rng):
    batches = batched(world.seen, rng)
    decided = Counter(
        (found.origin.offset, index) for found in Worker(world.topic, batches, rng).run() for index in found.indexes
    )
    assert decided == Counter(
        (offset, index) for offset, batch in enumerate(batches) for index in range(len(batch.observations))
    )


@law
@given(world=worlds(), rng=randoms)
def test_no_edge_is_attributed_to_a_pod_outside_its_interval(world, rng):
    pods = {record.owner.name: record for record in world.topic if isinstance(record, PodRecord) and record.owner}
    tolerance = int(SETTINGS.tolerance_seconds * 1e9)
    for found in Worker(world.topic, batched(world.seen, rng), rng).run(restarts=1):
        for end in (end for call in found.attributed for end in (call.client, call.server) if end.kind != "External"):
            (interval,) = pods[end.name].addresses
            for seen in found.observations:
                assert interval.from_at - tolerance <= seen.observed_at < (interval.to_at or ALWAYS) + tolerance


@law
@given(world=worlds(), rng=randoms)
def test_no_outside_server_is_named_by_what_another_pod_asked_for(world, rng):
    pods = {record.owner.name: record for record in world.topic if isinstance(record, PodRecord) and record.owner}
    for found in Worker(world.topic, batched(world.seen, rng), rng).run(restarts=1):
        for seen, call in product(found.observations, found.attributed):
            if isinstance(seen, ConnectionObservation) and seen.server_address == "203.0.113.7":
                (interval,) = pods[call.client.name].addresses
                asked = interval.from_at <= seen.dns_observed_at < (interval.to_at or ALWAYS)
                assert call.server.name == ("outside.example" if asked else "203.0.113.7")


@pytest.mark.parametrize("seed", range(3))
def test_cached_resolution_is_the_plain_one(seed):
    rng = random.Random(seed)
    lives = list(_lives(rng))
    world = World(lives, list(_topic(lives, rng, None)), [_sighting(rng, lives) for _ in range(2000)])
    inventory = Inventory(SETTINGS)
    inventory.apply_all(world.topic)
    attribution = Attribution(inventory, SETTINGS)
    for offset, batch in enumerate(batched(world.seen, rng)):
        attribution.offer(batch, Origin("t", 0, offset), now=0)
    inventory.apply(WatermarkRecord(cluster=CLUSTER, at=ALWAYS))
    for found in attribution.advance(now=0):
        for observation in found.observations:
            plain = resolve(observation, inventory, cluster=CLUSTER, node=found.node, final=True)
            assert (found.attributed, found.refusals) == (plain.attributed, plain.refusals)
