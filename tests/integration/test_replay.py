"""`whocalls replay` on a broker: the graph of the processor once more, from what the raw topics keep."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from callgraph.codec import decode
from callgraph.records import Edge
from callgraph.settings import TopicSettings
from tests.brokers import read_messages
from tests.end_to_end.processes import run_whocalls
from tests.shop_stream import BEGIN, ShopStream
from tests.worker_processes import WorkerProcess, await_that, settings_in_environment

pytestmark = pytest.mark.kafka

ALL = "2025-12-31T00:00:00Z"
BETWEEN = "2026-01-01T00:30:00Z"
LATER = BEGIN + 3_600_000_000_000


@pytest.fixture(scope="module")
def topics_of_module():
    return TopicSettings(prefix=f"replay-{uuid.uuid4().hex[:8]}.", create=True, partitions=3)


@pytest.fixture(scope="module")
def live(kafka, topics_of_module, tmp_path_factory):
    """What the processor made of batches of two hours, and how to reach it all."""
    settings = kafka.kafka_settings
    stream = ShopStream(settings, topics_of_module, seed=7)
    stream.send_inventory()
    stream.send_batches(2)
    stream.send_batches(2, at=LATER)
    stream.send("connections", b'{"schema":"connections.v1","cluster":')
    stream.flush()
    environment = settings_in_environment(settings, topics_of_module, last_seen_seconds=0)
    worker = WorkerProcess(environment, tmp_path_factory.mktemp("live") / "log")
    try:
        await_that(lambda: stream.graph() == stream.expected, what="the graph of the processor")
    finally:
        worker.kill()
    return environment, edges_of(settings, topics_of_module.prefix + "call-graph")


def edges_of(settings, topic):
    return by_ends(decode(message.value(), Edge) for message in read_messages(settings, topic))


def by_ends(edges):
    """Key edges by their ends; where the counting stands is no part of what they say."""
    kept = (msgspec.structs.replace(edge, applied={}, exemplars=()) for edge in edges)
    return {(edge.client, edge.server, edge.server_port, edge.network_transport): edge for edge in kept}


def edges_in(lines):
    return [msgspec.json.decode(line, type=Edge) for line in lines.splitlines()]


def replay(live, *arguments):
    ended = run_whocalls("replay", *arguments, **live[0])
    assert ended.returncode == 0, ended.stderr
    return ended


def test_replay_gives_the_edges_of_the_live_graph(live, tmp_path):
    file = tmp_path / "edges.jsonl"
    said = replay(live, "--from", ALL, "--into", str(file)).stderr
    replayed = edges_in(file.read_text(encoding="utf-8"))
    assert by_ends(replayed) == live[1]
    assert f"replay: wrote {len(replayed)} edges to {file}" in said
    assert "replay: left out: 1 malformed" in said


def test_lines_are_read_by_the_reading_commands(live, tmp_path):
    file = tmp_path / "edges.jsonl"
    file.write_text(replay(live, "--from", ALL).stdout, encoding="utf-8")
    read = run_whocalls("list", "--input", str(file))
    assert read.stdout == run_whocalls("list", **live[0]).stdout != ""


def test_replay_into_a_topic_is_a_graph_of_its_own(live, kafka):
    prefix = f"again-{live[0]['WHOCALLS_TOPICS_PREFIX']}"
    replay(live, "--from", ALL, "--into", f"{prefix}call-graph")
    assert edges_of(kafka.kafka_settings, f"{prefix}call-graph") == live[1]
    text = run_whocalls("list", **live[0]).stdout
    assert text
    assert run_whocalls("list", **live[0] | {"WHOCALLS_TOPICS_PREFIX": prefix}).stdout == text


def test_span_takes_what_was_observed_in_it(live):
    first = edges_in(replay(live, "--from", ALL, "--to", BETWEEN).stdout)
    second = edges_in(replay(live, "--from", BETWEEN).stdout)
    assert max(edge.last_seen for edge in first) < LATER <= min(edge.first_seen for edge in second)
    counted = sum(edge.observations for edge in (*first, *second))
    assert counted == sum(edge.observations for edge in live[1].values())
    nothing = replay(live, "--from", "2h")
    assert nothing.stdout == ""
    assert "replay: no observation lies in the span" in nothing.stderr


def test_graph_of_the_running_processor_is_not_written_to(live):
    ended = run_whocalls(
        "replay", "--from", "7d", "--into", f"{live[0]['WHOCALLS_TOPICS_PREFIX']}call-graph", **live[0]
    )
    assert ended.returncode == 2
    assert "belongs to the running processor (replay into another topic" in ended.stderr


def test_missing_topic_to_write_to_is_one_sentence_before_any_work(live):
    environment = live[0] | {"WHOCALLS_TOPICS_CREATE": "false"}
    ended = run_whocalls("replay", "--from", "7d", "--into", "nowhere.call-graph", **environment)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "has no topic 'nowhere.call-graph' (create it with cleanup.policy=compact" in ended.stderr


def test_span_that_ends_before_it_begins_is_refused(live):
    ended = run_whocalls("replay", "--from", "2h", "--to", "3h", **live[0])
    assert ended.returncode == 2
    assert "nothing lies between --from 2h and --to 3h" in ended.stderr
