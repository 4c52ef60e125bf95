"""The soak's plan and its arithmetic; the run itself is `make soak`."""

import pytest

from tests.cluster.soak_figures import Sample, graph_figures, is_right, role_figures, slope_per_hour
from tests.cluster.soak_plan import CLIENTS, PROBES, SCENARIO, TROUBLES, Traffic

PODS = {pod.name: pod for pod in SCENARIO.pods}


def play_probes():
    """Return the pods that run after each probe, and its steps."""
    traffic, running = Traffic(1), set(SCENARIO.started)
    while steps := traffic.probe():
        start, stop, _ = steps
        running = (running | {start.pod}) - {stop.pod}
        yield running, steps


def test_every_probe_is_a_pair_that_was_never_called():
    pairs = [(PODS[call.pod].workload, call.name) for _, (_, _, call) in play_probes()]
    assert len(pairs) == len(set(pairs)) == PROBES


def test_no_address_has_two_owners_and_every_new_pod_takes_that_of_another_workload():
    owners = {}
    for number, (running, (start, _, _)) in enumerate(play_probes()):
        places = [(PODS[name].node, PODS[name].number) for name in running]
        assert len(set(places)) == len(places) == len(SCENARIO.started)
        pod = PODS[start.pod]
        before = owners.get((pod.node, pod.number))
        assert before != pod.workload, start
        assert before or number <= CLIENTS
        owners |= {(PODS[name].node, PODS[name].number): PODS[name].workload for name in running}


def test_background_is_made_of_running_pods_and_pairs_that_git_has_shown():
    traffic = Traffic(1)
    for running, (_, _, call) in play_probes():
        steps = [traffic.background() for _ in range(20)]
        asked = {(PODS[step.pod].workload, step.name) for step in steps}
        assert (PODS[call.pod].workload, call.name) not in asked
        assert traffic.probe()[2] == call
        assert {traffic.background().pod for _ in range(20)} <= running
        traffic.learn(PODS[call.pod].workload, call.name)


def test_what_fails_in_the_first_half_alone_has_no_second_process():
    alone = {step.pod for trouble in TROUBLES if trouble.first_half_alone for step in trouble.begin}
    assert alone == {"exporter", "watcher"}


@pytest.mark.parametrize(
    ("points", "slope"),
    [([(0, 50.0), (1800, 51.0), (3600, 52.0)], 2.0), ([(0, 5.0), (60, 5.0)], 0.0), ([(7, 1.0)], 0.0)],
)
def test_slope_is_what_is_gained_in_an_hour(points, slope):
    assert slope_per_hour(points) == pytest.approx(slope)


def test_role_is_judged_by_the_life_that_was_longest():
    killed = [Sample(at, 90.0, 9) for at in range(10)]
    long = [Sample(at, 50.0 if at < 50 else at / 60, 20) for at in range(100)]
    figures = role_figures({("processor-1", 1): killed, ("processor-1", 2): killed, ("processor-2", 3): long})
    assert figures.keys() == {"processor"}
    found = figures["processor"]
    assert (found["processes"], found["restarts"]) == (2, 1)
    assert found["longest_life_minutes"] == pytest.approx(99 / 60)
    assert found["megabytes_first_quarter"] == 50.0
    assert found["megabytes_per_hour"] == pytest.approx(60.0)
    assert found["files_per_hour"] == 0.0


def test_graph_that_is_the_truth_counts_nothing_but_its_edges():
    truth = {"client": {"soak/server": "dns syn 8080/TCP"}}
    figures = graph_figures(truth, truth, ever={("client", "soak/server")}, lost=set())
    assert figures["edges"] == 1
    assert is_right(figures)


def test_each_way_of_being_wrong_is_counted_by_itself():
    truth = {"a": {"x": "dns", "y": "dns"}}
    now = {"a": {"x": "syn"}, "b": {"x": "dns"}}
    figures = graph_figures(truth, now, ever={("a", "x"), ("b", "x"), ("c", "x")}, lost={("a", "y")})
    assert figures == {
        "edges": 2,
        "missing_edges_at_the_end": 1,
        "false_edges_at_the_end": 1,
        "edges_with_other_evidence_at_the_end": 1,
        "false_edges_ever": 2,
        "edges_that_went_away_ever": 1,
    }
    assert not any(is_right({"edges": 2, figure: count}) for figure, count in figures.items() if figure != "edges")
