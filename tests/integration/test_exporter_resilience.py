"""An exporter whose place fails it: the last export stands, the failure is told, and what heals is made up for."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger
from callgraph.topics import find_topic, full_name
from sink_exporter.files import OutputError, read_manifest, replace_files
from sink_exporter.graph import build_graph
from sink_exporter.layout import lay_out
from sink_exporter.program import run_exporter
from sink_exporter.settings import ExporterSettings, GitSettings
from tests.git_remote import git, make_remote
from tests.graphs import SHOP_NAMESPACE, SHOP_TEXT, edge_of, shop_edges, workload

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
MORE = edge_of(workload("zz", SHOP_NAMESPACE), workload("frontend", SHOP_NAMESPACE), first_seen=1, last_seen=2)
DAY = 86_400_000_000_000


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 256 KiB; yields where, and how to mount it anew with other options."""
    where = tmp_path / "disk"
    where.mkdir()
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", where)
    yield where, lambda options: mount("-o", f"remount,{options}", where)
    subprocess.run(["umount", where], check=True)


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".whocalls" not in path.parts
    }


def await_that(holds, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


@as_root
def test_a_full_disk_keeps_the_last_export_and_the_next_one_is_whole(small_disk):
    disk, remount = small_disk
    old = lay_out(build_graph(shop_edges()), ["yaml", "text"])
    large = {"callgraph.txt": os.urandom(400_000), **{f"namespaces/{n}.yaml": b"x" * 9000 for n in range(20)}}
    replace_files(disk / "out", old)
    with pytest.raises(OutputError, match="No space left on device"):
        replace_files(disk / "out", large)
    assert files_of(disk / "out") == old
    remount("size=2m")
    replace_files(disk / "out", large)
    assert files_of(disk / "out") == large
    assert read_manifest(disk / "out").complete


@as_root
def test_a_disk_without_room_for_a_manifest_keeps_the_last_one(small_disk):
    disk, _ = small_disk
    old = lay_out(build_graph(shop_edges()), ["yaml", "text"])
    replace_files(disk / "out", old)
    with pytest.raises(OSError, match="No space"):
        (disk / "filler").write_bytes(bytes(300_000))
    with pytest.raises(OutputError, match="No space left on device"):
        replace_files(disk / "out", old | {"callgraph.txt": b"new"})
    assert files_of(disk / "out") == old
    assert read_manifest(disk / "out").complete


@as_root
def test_a_read_only_disk_is_one_sentence_and_keeps_the_last_export(small_disk):
    disk, remount = small_disk
    old = lay_out(build_graph(shop_edges()), ["text"])
    replace_files(disk / "out", old)
    remount("ro")
    with pytest.raises(OutputError, match="Read-only file system"):
        replace_files(disk / "out", {"callgraph.txt": b"new"})
    assert files_of(disk / "out") == old
    remount("rw")


class Line:
    """A topic, an exporter that follows it, and what it logs."""

    def __init__(self, kafka, topics):
        self.log = io.StringIO()
        self._kafka = kafka
        self._topics = topics
        Broker(kafka).require_topics([find_topic("call-graph")], topics)

    def publish(self, *edges):
        self._produce((edge, encode(edge)) for edge in edges)

    def withdraw(self, *edges):
        self._produce((edge, None) for edge in edges)

    def _produce(self, records):
        producer = Producer(producer_config(self._kafka, client_id="test"))
        for edge, value in records:
            key = encode_key(edge.client.name, edge.server.name)
            producer.produce(full_name("call-graph", self._topics), key=key, value=value)
        assert producer.flush(30) == 0

    @contextmanager
    def running(self, **exporter):
        stop, failures = threading.Event(), []

        def run():
            try:
                run_exporter(
                    kafka=self._kafka,
                    topics=self._topics,
                    exporter=ExporterSettings(interval_seconds=0.05, **exporter),
                    log=LeanLogger(LogSettings(format="json"), self.log),
                    stop=stop,
                )
            except Exception as error:  # noqa: BLE001  (a thread's failure must reach the test)
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
        assert failures == []

    def told(self, event):
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == event]


@pytest.fixture
def line(kafka_settings, topic_settings):
    return Line(kafka_settings, topic_settings)


@pytest.mark.kafka
@as_root
def test_a_disk_that_fails_for_a_while_is_waited_for(line, small_disk):
    disk, remount = small_disk
    line.publish(*shop_edges())
    text = disk / "out/callgraph.txt"
    with line.running(out=str(disk / "out")):
        await_that(text.exists)
        remount("ro")
        line.publish(MORE)
        await_that(lambda: line.told("export_postponed"))
        assert "Read-only file system" in line.told("export_postponed")[0]["reason"]
        assert text.read_text() == SHOP_TEXT
        remount("rw")
        await_that(lambda: "zz in namespace" in text.read_text())


@pytest.mark.kafka
def test_a_remote_that_vanishes_for_a_while_is_waited_for(line, tmp_path):
    remote = make_remote(tmp_path / "remote.git")
    line.publish(*shop_edges())
    with line.running(git=GitSettings(url=str(remote))):
        await_that(lambda: line.told("graph_pushed"))
        remote.rename(tmp_path / "gone.git")
        line.publish(MORE)
        await_that(lambda: line.told("export_postponed"))
        (tmp_path / "gone.git").rename(remote)
        await_that(lambda: len(line.told("graph_pushed")) == 2)
    assert "zz in namespace" in git(remote, "show", "main:callgraph/callgraph.txt")
    assert len(git(remote, "log", "--format=%h", "main").splitlines()) == 2


@pytest.mark.kafka
def test_a_graph_that_shrinks_meanwhile_leaves_the_map_as_it_was(line, tmp_path):
    remote = make_remote(tmp_path / "remote.git")
    edges = shop_edges()
    line.publish(*edges)
    with line.running(git=GitSettings(url=str(remote))):
        await_that(lambda: line.told("graph_pushed"))
        line.withdraw(*edges[:8])
        await_that(lambda: line.told("export_postponed"))
        assert "8 of 16 calls would vanish" in line.told("export_postponed")[0]["reason"]
        assert git(remote, "show", "main:callgraph/callgraph.txt") == SHOP_TEXT
        line.publish(*edges[:8], MORE)  # whole again, and larger: to end before it is read would be one more refusal
        await_that(lambda: len(line.told("graph_pushed")) == 2)


@pytest.mark.kafka
def test_calls_that_were_not_seen_for_too_long_leave_the_files(line, tmp_path):
    """Of the two records, only the time differs, which by itself is no reason to write."""
    now = time.time_ns()
    line.publish(*(replace(edge, last_seen=now) for edge in (*shop_edges(), MORE)))
    text = tmp_path / "out/callgraph.txt"
    with line.running(out=str(tmp_path / "out"), retain_days=1):
        await_that(text.exists)
        assert text.read_text() == SHOP_TEXT + f"zz in namespace {SHOP_NAMESPACE} calls:\n  - frontend\n"
        line.publish(replace(MORE, last_seen=now - DAY))
        await_that(lambda: text.read_text() == SHOP_TEXT)


@pytest.mark.kafka
def test_without_a_word_on_retention_nothing_leaves(line, tmp_path):
    line.publish(*shop_edges())  # last seen in 1970
    with line.running(out=str(tmp_path / "out")):
        await_that((tmp_path / "out/callgraph.txt").exists)
    assert (tmp_path / "out/callgraph.txt").read_text() == SHOP_TEXT


@pytest.mark.kafka
def test_the_command_follows_the_topic_into_a_repository(line, kafka_settings, topic_settings, tmp_path):
    remote = make_remote(tmp_path / "remote.git")
    line.publish(*shop_edges())
    whocalls = Path(sys.executable).with_name("whocalls")
    flags = ["--branch", "maps", "--path", "prod", "--interval", "0.1s", "--topics-prefix", topic_settings.prefix]
    environment = os.environ | {
        "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "WHOCALLS_KAFKA_EMBEDDED": str(kafka_settings.embedded).lower(),
        "WHOCALLS_TOPICS_CREATE": "true",
    }
    running = subprocess.Popen(
        [whocalls, "export", "--git", str(remote), *flags], env=environment, stderr=subprocess.PIPE
    )
    try:
        await_that(lambda: git(remote, "log", "--format=%h", "maps", check=False))
        line.publish(MORE)
        await_that(lambda: len(git(remote, "log", "--format=%h", "maps").splitlines()) == 2)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, told
    assert git(remote, "show", "maps:prod/callgraph.txt").startswith(SHOP_TEXT)
