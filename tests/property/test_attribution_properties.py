"""Laws of attribution: the graph depends on what was seen and said, and on nothing else.

The offline resolution against the whole inventory is the yardstick. Many more worlds: `python -m tests.property`.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callgraph.records import ConnectionObservation, PodRecord, WatermarkRecord
from stream_processor.attribution import Attribution, Origin
from stream_processor.inventory import Inventory
from stream_processor.moment import ALWAYS
from stream_processor.resolve import resolve
from tests.property.workers import Worker, batched, edges, offline
from tests.property.worlds import OUTSIDE, SETTINGS, make_world
from tests.storm.cluster import CLUSTER

TOLERANCE = int(SETTINGS.tolerance_seconds * 1e9)

# Seeds, because a world takes hundreds of choices: it is shrunk by the number of sightings only.
randoms = st.builds(random.Random, st.integers(0, 2**32))
worlds = st.builds(make_world, randoms, st.integers(5, 60))
law = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@law
@given(world=worlds, rng=randoms)
def test_interleaving_and_batching_do_not_change_the_edges(world, rng):
    assert edges(Worker(world.topic, batched(world.seen, rng), rng).run()) == offline(world)


@law
@given(world=worlds, rng=randoms)
def test_repeats_do_not_change_the_edges(world, rng):
    assert edges(Worker(world.topic, batched(world.seen, rng), rng).run(repeats=0.3)) == offline(world)


@law
@given(world=worlds, rng=randoms, workers=st.integers(1, 4))
def test_number_of_workers_does_not_change_the_edges(world, rng, workers):
    batches = batched(world.seen, rng)
    shares = [Worker(world.topic, batches[number::workers], rng).run() for number in range(workers)]
    assert {edge for share in shares for edge in edges(share)} == offline(world)


@law
@given(world=worlds, rng=randoms)
def test_restarts_at_any_point_do_not_change_the_edges(world, rng):
    assert edges(Worker(world.topic, batched(world.seen, rng), rng).run(restarts=3)) == offline(world)


@law
@given(world=worlds, rng=randoms)
def test_every_observation_that_was_offered_is_decided_once(world, rng):
    batches = batched(world.seen, rng)
    decided = Counter(
        (found.origin.offset, index) for found in Worker(world.topic, batches, rng).run() for index in found.indexes
    )
    assert decided == Counter(
        (offset, index) for offset, batch in enumerate(batches) for index in range(len(batch.observations))
    )


@law
@given(world=worlds, rng=randoms)
def test_no_edge_is_attributed_to_a_pod_outside_its_interval(world, rng):
    lived = spans(world)
    for found in Worker(world.topic, batched(world.seen, rng), rng).run(restarts=1):
        for end in (end for call in found.attributed for end in (call.client, *servers(call))):
            number = int(end.name.split("-")[1]) if "-" in end.name else 99
            from_at, to_at = lived[number]
            for seen in found.observations:
                assert from_at - TOLERANCE <= seen.observed_at < to_at + TOLERANCE


@law
@given(world=worlds, rng=randoms)
def test_no_outside_server_is_named_by_what_another_pod_asked_for(world, rng):
    lived = spans(world)
    for found in Worker(world.topic, batched(world.seen, rng), rng).run(restarts=1):
        named = [call for call in found.attributed if call.server.name == "outside.example"]
        for seen, call in product(found.observations, named):
            if isinstance(seen, ConnectionObservation) and seen.server_address == OUTSIDE:
                number = int(call.client.name.split("-")[1]) if "-" in call.client.name else 99
                assert lived[number][0] <= seen.dns_observed_at < lived[number][1]


@pytest.mark.parametrize("seed", range(3))
def test_cached_resolution_is_the_plain_one(seed):
    rng = random.Random(seed)
    world = make_world(rng, 2000)
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


def spans(world):
    """From when to when each pod had addresses, by its number."""
    pods = {record.uid: record for record in world.topic if isinstance(record, PodRecord)}
    return {
        int(uid.removeprefix("uid-")): (
            min(each.from_at for each in pod.addresses),
            max(ALWAYS if each.to_at is None else each.to_at for each in pod.addresses),
        )
        for uid, pod in pods.items()
        if pod.addresses
    }


def servers(call):
    """Return the server, unless it is a Service or outside, or stands for one."""
    return () if call.service or call.server.kind in {"Service", "External"} else (call.server,)
