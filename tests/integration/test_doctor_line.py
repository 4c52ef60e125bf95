"""`whocalls doctor stream` and `export`: each check is broken on a real broker, page, folder or remote."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Producer

from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import (
    BatchCounters,
    CoverageRecord,
    DnsAnswerBatch,
    InventoryRecord,
    NodeRecord,
    WatermarkRecord,
)
from callgraph.topics import TOPICS, full_name
from tests.doctor_runs import diagnose, kafka_flags
from tests.git_remote import Person, git, make_remote, serve_with_token

SECOND = 1_000_000_000


class Line:
    """The topics of one test, and what the roles would have written there."""

    def __init__(self, kafka, topics):
        Broker(kafka).create_topics(TOPICS, topics)
        self.flags = kafka_flags(kafka, topics)
        self._topics = topics
        self._producer = Producer(producer_config(kafka, client_id="test"))

    def report(self, node, *, seconds_ago=0, cluster="default", **counters):
        batch = DnsAnswerBatch(
            cluster=cluster,
            node=node,
            boot_id="b",
            sequence=0,
            sent_at=time.time_ns() - seconds_ago * SECOND,
            counters=BatchCounters(**counters),
        )
        self._write("dns-answers", encode_key(cluster, node), encode(batch))

    def watch(self, *nodes, seconds_ago=0, **watermark):
        for name in nodes:
            self._inventory("Node", NodeRecord(cluster="default", name=name, uid=name))
        at = time.time_ns() - seconds_ago * SECOND
        self._inventory("Watermark", WatermarkRecord(cluster="default", at=at, **watermark))

    def cover(self, *, observations, unresolved):
        record = CoverageRecord(
            cluster="default",
            node="node-1",
            from_at=time.time_ns(),
            to_at=time.time_ns(),
            observations=observations,
            unresolved={"unknown_server": unresolved},
        )
        self._write("coverage", encode_key("default", "node-1", "w", "today"), encode(record))

    def forget(self, node):
        self._inventory("Node", NodeRecord(cluster="default", name=node, uid=node, to_at=time.time_ns()))

    def ask(self, *arguments):
        return diagnose("stream", *self.flags, *arguments)

    def _inventory(self, kind, obj):
        key = encode_key("default", kind, getattr(obj, "uid", None))
        self._write("inventory", key, encode(InventoryRecord(object=obj)))

    def _write(self, topic, key, value):
        self._producer.produce(full_name(topic, self._topics), key=key, value=value)
        assert self._producer.flush(30) == 0


@pytest.fixture
def line(kafka_settings, topic_settings):
    return Line(kafka_settings, topic_settings)


@contextmanager
def page(text):
    """Serve the metrics of a processor."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"--metrics=http://127.0.0.1:{server.server_address[1]}/metrics"
    server.shutdown()
    server.server_close()


# -- The agents -------------------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_a_line_that_works_is_found_well(line):
    line.report("node-1", received=1000)
    line.report("node-2", received=1000)
    line.watch("node-1", "node-2")
    line.cover(observations=50, unresolved=9)  # replaced by what follows
    line.cover(observations=100, unresolved=1)
    with page("# HELP whocalls_processor_edges x\nwhocalls_processor_edges 99.0\n") as metrics:
        done = line.ask(metrics)
    assert {finding["status"] for finding in done.findings} == {"ok"}
    assert done.of("stream.unresolved")[0]["message"] == "1.0% of 100 observations were not attributed"
    assert done.code == 0


@pytest.mark.kafka
def test_a_node_that_fell_silent_is_named(line):
    line.report("node-1")
    line.report("node-2", seconds_ago=200)
    line.watch("node-1", "node-2")
    done = line.ask()
    assert done.failed("stream.nodes")["message"].startswith("node-2 was last heard 20")
    assert "kubectl logs daemonset/whocalls-agent" in done.failed("stream.nodes")["fix"]
    assert done.code == 5


@pytest.mark.kafka
def test_a_node_without_an_agent_is_named_and_one_that_is_gone_is_not(line):
    line.report("node-1")
    line.watch("node-1", "node-2", "node-3")
    line.forget("node-3")
    done = line.ask()
    assert done.failed("stream.nodes")["message"] == "nothing from node-2 in 300 s"
    assert "agent.tolerations" in done.failed("stream.nodes")["fix"]


@pytest.mark.kafka
def test_agents_of_another_cluster_are_no_agents_of_this_one(line):
    line.report("node-1", cluster="elsewhere")
    line.watch()
    done = line.ask()
    assert done.failed("stream.nodes")["message"] == "no agent has reported in 300 s"
    assert "rollout status" in done.failed("stream.nodes")["fix"]


@pytest.mark.kafka
def test_a_node_that_loses_packets_is_warned_of(line):
    line.report("node-1", received=1000, kernel_dropped=20)
    line.watch("node-1")
    done = line.ask()
    assert done.warned("stream.loss")["message"] == "node-1 lost 20 packets or facts of 1000 in 300 s"
    assert "agent.capture.ring_bytes" in done.warned("stream.loss")["fix"]


# -- The watcher and the processors -----------------------------------------------------------------------------------


@pytest.mark.kafka
def test_without_a_watermark_nothing_can_be_attributed(line):
    line.report("node-1")
    done = line.ask()
    assert "published no watermark" in done.failed("stream.inventory")["message"]
    assert "deployment/whocalls-watcher" in done.failed("stream.inventory")["fix"]
    assert done.code == 5


@pytest.mark.kafka
def test_a_watermark_that_stands_still_fails(line):
    line.report("node-1")
    line.watch("node-1", seconds_ago=120)
    done = line.ask()
    assert done.failed("stream.inventory")["message"].startswith("the inventory's watermark is 12")


@pytest.mark.kafka
def test_what_the_watcher_may_not_read_is_warned_of(line):
    line.report("node-1")
    line.watch("node-1", denied=("jobs",))
    assert line.ask().warned("stream.inventory")["message"] == "the watcher may not read jobs"


@pytest.mark.kafka
def test_a_share_of_unresolved_observations_above_a_fifth_is_warned_of(line):
    line.report("node-1")
    line.watch("node-1")
    line.cover(observations=100, unresolved=30)
    done = line.ask()
    assert done.warned("stream.unresolved")["message"] == "30.0% of 100 observations were not attributed"
    assert "whocalls.unresolved" in done.warned("stream.unresolved")["fix"]


@pytest.mark.kafka
def test_processors_that_do_not_keep_up_are_warned_of(line):
    line.report("node-1")
    line.watch("node-1")
    with page('whocalls_processor_lag_records{topic="calls",partition="0"} 2000\n') as metrics:
        done = line.ask(metrics)
    assert done.warned("stream.lag")["message"] == "2000 batches are not finished"
    assert "processor.replicas" in done.warned("stream.lag")["fix"]


@pytest.mark.kafka
def test_a_processor_that_does_not_answer_fails(line):
    line.report("node-1")
    line.watch("node-1")
    done = line.ask("--metrics=http://127.0.0.1:1/metrics")
    assert "Connection refused" in done.failed("stream.processor")["message"]
    assert "deployment/whocalls-processor" in done.failed("stream.processor")["fix"]
    assert done.code == 5


@pytest.mark.kafka
def test_a_topic_that_is_missing_is_one_failure(kafka_settings, topic_settings):
    done = diagnose("stream", *kafka_flags(kafka_settings, topic_settings))
    assert f"{topic_settings.prefix}dns-answers" in done.failed("stream.topics")["message"]
    assert done.code == 5


def test_without_kafka_the_stream_is_unreachable_and_not_asked_twice():
    flags = ["--kafka-bootstrap-servers=127.0.0.1:1", "--kafka-connect-seconds=0.5"]
    assert diagnose("stream", *flags).code == 6
    assert diagnose("kafka", "stream", *flags).states("stream.topics") == {"skip"}


# -- The exporter -----------------------------------------------------------------------------------------------------


def test_a_folder_that_can_be_written_is_found_well_and_not_made(tmp_path):
    done = diagnose("export", f"--exporter-out={tmp_path}/new/out")
    assert done.states("export.folder") == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named():
    done = diagnose("export", "--exporter-out=/proc/out")
    assert "'/proc/out' cannot be written" in done.failed("export.folder")["message"]
    assert "exporter.out" in done.failed("export.folder")["fix"]
    assert done.code == 5


@pytest.fixture
def remote(tmp_path):
    remote = make_remote(tmp_path / "graph.git")
    Person(tmp_path / "person", remote).push("README.md", "ours\n")
    return remote


def test_a_remote_that_takes_a_push_is_found_well_and_gets_none(remote):
    before = git(remote, "rev-parse", "main")
    done = diagnose("export", f"--exporter-git-url={remote}")
    assert {finding["status"] for finding in done.findings} == {"ok"}
    assert git(remote, "for-each-ref", "--format=%(objectname)").split() == [before.strip()]


def test_an_empty_remote_is_found_well(tmp_path):
    done = diagnose("export", f"--exporter-git-url={make_remote(tmp_path / 'empty.git')}")
    assert {finding["status"] for finding in done.findings} == {"ok"}


def test_a_remote_that_is_not_there_is_named(tmp_path):
    done = diagnose("export", f"--exporter-git-url={tmp_path}/none.git")
    assert "none.git" in done.failed("export.remote")["message"]
    assert "exporter.git" in done.failed("export.remote")["fix"]


def test_a_remote_that_does_not_answer_is_unreachable():
    done = diagnose("export", "--exporter-git-url=http://127.0.0.1:1/graph.git")
    assert "exporter.git.url" in done.failed("export.remote")["fix"]
    assert done.code == 6


def test_a_wrong_token_and_a_remote_that_may_only_be_read_are_told_apart(remote, tmp_path):
    (tmp_path / "token").write_text("right\n")
    (tmp_path / "wrong").write_text("guessed\n")
    with serve_with_token(tmp_path, "right") as address:
        url = f"--exporter-git-url={address}/graph.git"
        wrong = diagnose("export", url, f"--exporter-git-token-file={tmp_path}/wrong")
        git(remote, "config", "http.receivepack", "false")
        read_only = diagnose("export", url, f"--exporter-git-token-file={tmp_path}/token")
    assert "its key or token" in wrong.failed("export.remote")["fix"]
    assert read_only.states("export.remote") == {"ok"}
    assert read_only.failed("export.push")["fix"] == "let the key or token of exporter.git push to that branch"
    assert read_only.code == 5
