"""A whole cluster in a box: every scenario against its ground truth, through the real line.

The cluster runs once, acts one after another and the scenarios of an act side by side; each test looks at one thing.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.dns_traffic import write_traffic
from benchmarks.report import describe_machine
from callgraph.codec import decode
from callgraph.records import ObservationBatch, UnresolvedRecord
from tests.brokers import read_topic
from tests.cluster.box import Box, missing_tool
from tests.cluster.control_plane import ControlPlane
from tests.cluster.coredns_program import (
    build_coredns,
    coredns_version,
    missing_go,
)
from tests.cluster.line import PREFIX, Line
from tests.cluster.name_servers import serve_names
from tests.cluster.player import LOOK_SECONDS, Flood, Outcome, Player, Watched, await_truth
from tests.cluster.regularly import regularly
from tests.cluster.scenarios import SCENARIOS as ALL_SCENARIOS
from tests.cluster.steps import Scenario, Truth, edges_of
from tests.cluster.world import NODES
from tests.fake_api_server import FakeApiServer

pytestmark = [pytest.mark.root, pytest.mark.kafka]

_CHOSEN = os.environ.get("SCENARIOS", "").split(",")
SCENARIOS = tuple(each for each in ALL_SCENARIOS if each.name in _CHOSEN) or ALL_SCENARIOS
"""`SCENARIOS=shop,reuse` plays these alone."""
RESULTS = Path("build/cluster/results.json")
CONCEPTS = Path("docs/concepts.md")


def needs(name: str):
    """Leave a test out where its scenario was not chosen."""
    return pytest.mark.skipif(name not in {each.name for each in SCENARIOS}, reason=f"{name} was not chosen")


class Finished(NamedTuple):
    """What the cluster left behind."""

    outcomes: dict[str, Outcome]
    final: dict[str, Truth]
    ever: dict[str, set[tuple[str, str]]]
    on_page: dict[str, Truth]
    flooded: list[tuple[int, float]]
    batches: list[ObservationBatch]
    unresolved: list[UnresolvedRecord]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, kafka_choice):
    if why := missing_tool() or missing_go():
        pytest.skip(why)
    if kafka_choice != "apache":
        pytest.skip(f"needs Apache Kafka, and this session uses {kafka_choice}")
    began = time.monotonic()
    coredns, flood = build_coredns(), make_flood()
    built = time.monotonic()
    folder = tmp_path_factory.mktemp("box")
    with FakeApiServer(history=100_000) as api, Box(folder) as box, Line(folder, box, api) as line:
        plane = ControlPlane(box, api, SCENARIOS)
        serve_names(coredns, box, plane, api, folder)
        found = play_all(Player(box, plane, line, api, flood), plane, line, folder / "commits")
    write_results(found, built_seconds=built - began, seconds=time.monotonic() - built)
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
def test_exported_graph_is_who_really_called_whom(finished, scenario: Scenario):
    outcome = finished.outcomes[scenario.name]
    assert outcome.exported == scenario.truth, f"{scenario.what}, {outcome.seconds:.1f} s"
    assert finished.final[scenario.name] == scenario.truth


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
def test_no_false_edge_was_exported_at_any_time(finished, scenario: Scenario):
    true = edges_of(scenario.truth)
    assert finished.ever[scenario.name] == true


def test_nobody_calls_but_the_clients_of_the_scenarios(finished):
    assert finished.final.keys() == {scenario.name for scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.blind_spot], ids=lambda each: each.name)
def test_what_is_not_seen_is_named_in_the_documents(scenario: Scenario):
    assert scenario.blind_spot in CONCEPTS.read_text(encoding="utf-8")


def test_page_shows_what_was_exported(finished):
    assert finished.on_page == finished.final


@needs("hostnetwork")
def test_client_on_the_network_of_its_node_is_refused_with_its_reason(finished):
    assert "ambiguous_host_network" in {record.reason for record in finished.unresolved}


@pytest.mark.parametrize("node", NODES)
def test_agents_account_for_everything_that_they_received(finished, node):
    counters = [batch.counters for batch in finished.batches if batch.node == node]
    received = sum(each.received for each in counters)
    accounted = sum(each.published + each.suppressed + sum(each.dropped.values()) for each in counters)
    assert received == accounted > 0


@needs("hostile")
def test_hostile_packets_are_counted_by_their_reason(finished):
    assert sum(count for reason, count in dropped(finished).items() if reason.startswith("malformed")) > 0


def make_flood() -> Flood:
    """Build the sender, and the answers that it repeats."""
    folder = Path("build/cluster").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    flood = Flood(folder / "blast", folder / "answers.pcap")
    subprocess.run(["cc", "-O2", "-o", str(flood.sender), "benchmarks/blast.c"], check=True)
    write_traffic(flood.frames, kind="answers", frames=50_000)
    return flood


def play_all(player: Player, plane: ControlPlane, line: Line, commits: Path) -> Finished:
    """Play all acts, and gather what is left."""
    for scenario in SCENARIOS:
        for pod in scenario.pods if scenario.started is None else scenario.started:
            plane.start(scenario.name, pod if isinstance(pod, str) else pod.name)
    for scenario in SCENARIOS:
        player.play(scenario, scenario.before)
    line.start()
    outcomes: dict[str, Outcome] = {}
    # What a thread starts ends with that thread (prctl, PR_SET_PDEATHSIG), the restarted broker too: so all stay.
    watched = Watched(line.remote, commits)
    with ThreadPoolExecutor(len(SCENARIOS)) as pool, regularly(watched.look, seconds=LOOK_SECONDS):
        for act in sorted({scenario.act for scenario in SCENARIOS}):
            scenarios = [scenario for scenario in SCENARIOS if scenario.act == act]
            played = pool.map(lambda each: play_one(each, player, watched, line), scenarios)
            outcomes |= {outcome.scenario.name: outcome for outcome in played}
        flooded, on_page = player.flooded(), line.read_page()
        line.stop()
        left = left_behind(line)
    return Finished(outcomes, watched.now, watched.ever, on_page, flooded, *left)


def play_one(scenario: Scenario, player: Player, watched: Watched, line: Line) -> Outcome:
    last = player.play(scenario, scenario.steps)
    return await_truth(scenario, watched, last, line.roles.check)


def left_behind(line: Line) -> tuple[list[ObservationBatch], list[UnresolvedRecord]]:
    topics = (f"{PREFIX}{name}" for name in ("dns-answers", "connections"))
    batches = [decode(value, ObservationBatch) for topic in topics for value in read_topic(line.kafka, topic)]
    refused = read_topic(line.kafka, f"{PREFIX}unresolved")
    return batches, [decode(value, UnresolvedRecord) for value in refused]


def dropped(finished: Finished) -> Counter[str]:
    return sum((Counter(batch.counters.dropped) for batch in finished.batches), Counter())


def write_results(finished: Finished, *, built_seconds: float, seconds: float) -> None:
    """Write down what docs/proving-ground.md is made from."""
    scenarios = [
        {
            "name": name,
            "what": outcome.scenario.what,
            "is_truth": outcome.exported == outcome.scenario.truth,
            "edges": sum(map(len, outcome.exported.values())),
            "blind_spot": outcome.scenario.blind_spot,
            "seconds": round(outcome.seconds, 1),
        }
        for name, outcome in finished.outcomes.items()
    ]
    document = {
        "machine": describe_machine(),
        "coredns": coredns_version(),
        "seconds": round(seconds),
        "build_seconds": round(built_seconds),
        "flooded": finished.flooded,
        "dropped": dict(sorted(dropped(finished).items())),
        "kernel_dropped": sum(batch.counters.kernel_dropped for batch in finished.batches),
        "scenarios": scenarios,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
