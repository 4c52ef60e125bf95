"""What the chaos takes for the truth."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.schedule import plan_faults
from tests.chaos.traffic import (
    LATE_EVERY,
    SECOND,
    Traffic,
    all_edges,
    count_edges,
    late_pods,
    name_edge,
    observe_slot,
)

STEADY = Traffic("steady", 1_000 * SECOND, slots=3 * LATE_EVERY, rate=50)
LIVES = Traffic("lives", 1_000 * SECOND, slots=4, rate=5, nodes=1)


@pytest.mark.parametrize("traffic", [STEADY, LIVES])
def test_a_slot_is_the_same_whenever_it_is_asked_for(traffic):
    assert list(observe_slot(traffic, 0, 2)) == list(observe_slot(traffic, 0, 2))


@pytest.mark.parametrize("traffic", [STEADY, LIVES])
def test_what_a_slot_holds_happens_in_its_second(traffic):
    for slot in range(traffic.slots):
        for seen in observe_slot(traffic, 0, slot):
            assert (seen.observed_at - traffic.began_at) // SECOND == slot


def test_one_in_ten_is_an_edge_that_is_seen_once():
    seen = [each for node in (0, 1) for slot in range(STEADY.slots) for each in observe_slot(STEADY, node, slot)]
    times = Counter(name_edge(STEADY, each) for each in seen)
    once = [edge for edge in times if edge[1].startswith("once-")]
    assert len(once) == 2 * STEADY.slots * STEADY.rate // 10
    assert {times[edge] for edge in once} == {1}


def test_a_pod_that_comes_later_is_there_before_it_is_seen():
    came = {}
    for slot in range(STEADY.slots):
        came |= dict.fromkeys((name for name, _ in late_pods(slot)), slot)
        for seen in observe_slot(STEADY, 0, slot):
            client = name_edge(STEADY, seen)[0]
            assert not client.startswith("late-") or came[client] == slot - 2


def test_a_reused_address_is_somebody_elses_in_each_second():
    assert {client for client, _, _ in all_edges(LIVES)} == {f"life-{n}-{slot}" for n in range(5) for slot in range(4)}


def test_what_is_seen_again_counts_again():
    once = count_edges(STEADY, observe_slot(STEADY, 0, 0))
    assert count_edges(STEADY, [*observe_slot(STEADY, 0, 0)] * 2) == Counter({edge: 2 * n for edge, n in once.items()})


def test_faults_are_the_same_for_the_same_seed_and_spare_no_role():
    roles = ["worker", "broker", "agent"]
    faults = plan_faults(roles, count=9, first=5, last=50, seed=7)
    assert faults == plan_faults(roles, count=9, first=5, last=50, seed=7)
    assert faults != plan_faults(roles, count=9, first=5, last=50, seed=8)
    assert Counter(fault.role for fault in faults) == dict.fromkeys(roles, 3)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(5 <= fault.at <= 50 for fault in faults)
