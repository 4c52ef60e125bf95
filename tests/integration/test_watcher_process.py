"""The watcher as it runs: a process, a broker, an API server; killed, followed, restarted."""

from __future__ import annotations

import time
import urllib.request

import pytest
from confluent_kafka import KafkaException

from callgraph.records import PodRecord, WatermarkRecord
from callgraph.settings import TopicSettings
from tests.apache_kafka import free_ports
from tests.brokers import make_broker
from tests.fake_api_server import FakeApiServer
from tests.inventory_records import read_back
from tests.kube_objects import a_pod
from tests.watcher_processes import WatcherProcess
from tests.watching import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def server():
    with FakeApiServer() as server:
        yield server


@pytest.fixture
def where(kafka_settings, topic_settings):
    return {"kafka": kafka_settings, "topics": topic_settings}


def pods(where) -> list[PodRecord]:
    return [each for each in read_back(**where) if isinstance(each, PodRecord)]


def watermark(where) -> int:
    """The last watermark; 0 while there is none, or a broker that has just started does not answer yet."""
    try:
        return max((each.at for each in read_back(**where) if isinstance(each, WatermarkRecord)), default=0)
    except KafkaException:
        return 0


def test_a_restarted_watcher_repeats_nothing_and_closes_what_vanished_meanwhile(server, where, tmp_path):
    kubeconfig = server.write_kubeconfig(tmp_path)
    server.put(a_pod("a"), a_pod("b", "10.0.0.6"))
    with WatcherProcess(kubeconfig, tmp_path / "first.log", **where) as first:
        wait_until(lambda: first.lines("inventory_synced"), seconds=20)
        first.process.kill()
        first.process.wait(10)
    seen_until = watermark(where)
    server.remove("pods", "a", namespace="shop")
    with WatcherProcess(kubeconfig, tmp_path / "second.log", **where) as second:
        wait_until(lambda: second.lines("inventory_synced"), seconds=20)
        said = pods(where)
        assert [each.name for each in said] == ["a", "b", "a"]
        assert [each.ended_at is None for each in said] == [True, True, False]
        assert said[-1].ended_after == seen_until


def test_when_the_active_watcher_is_killed_a_standby_publishes_within_fifteen_seconds(server, where, tmp_path):
    kubeconfig = server.write_kubeconfig(tmp_path)
    settings = where | {"lease_name": "whocalls"}
    with (
        WatcherProcess(kubeconfig, tmp_path / "first.log", **settings) as first,
        WatcherProcess(kubeconfig, tmp_path / "second.log", **settings) as second,
    ):
        wait_until(lambda: first.lines("inventory_synced") or second.lines("inventory_synced"), seconds=20)
        active, standby = (first, second) if first.lines("inventory_synced") else (second, first)
        assert standby.lines("inventory_synced") == []
        active.process.kill()
        killed_at = time.time_ns()
        server.put(a_pod("a"))
        wait_until(lambda: standby.lines("inventory_synced"), seconds=15, what="the standby has taken over")
        wait_until(lambda: watermark(where) > killed_at)
        assert [each.name for each in pods(where)] == ["a"]


def test_a_watcher_told_to_stop_hands_over_at_once_and_ends_with_success(server, where, tmp_path):
    kubeconfig = server.write_kubeconfig(tmp_path)
    settings = where | {"lease_name": "whocalls"}
    with WatcherProcess(kubeconfig, tmp_path / "first.log", **settings) as first:
        wait_until(lambda: first.lines("inventory_synced"), seconds=20)
        first.process.terminate()
        assert first.process.wait(5) == 0
        assert server.store.get("leases", "default", "whocalls")["spec"]["holderIdentity"] == ""


def test_what_changes_while_the_broker_is_down_is_published_when_it_is_back(
    server, start_kafka, topic_settings, tmp_path
):
    broker = start_kafka()
    where = {"kafka": broker.kafka_settings, "topics": topic_settings}
    with WatcherProcess(server.write_kubeconfig(tmp_path), tmp_path / "w.log", **where) as watcher:
        wait_until(lambda: watcher.lines("inventory_synced"), seconds=20)
        broker.stop()
        server.put(a_pod("a"))
        down_at = time.time_ns()
        broker.start()
        wait_until(lambda: watermark(where) > down_at, seconds=60, what=watcher.log.read_text()[-2000:])
        assert [each.name for each in pods(where)] == ["a"]
        assert watcher.process.poll() is None


@pytest.fixture
def forgetful_broker(tmp_path):
    """The embedded broker: what it was told in its last three seconds is gone when it is killed."""
    broker = make_broker("embedded", tmp_path / "kafka")
    broker.start()
    yield broker
    broker.kill()


def test_a_broker_that_lost_its_data_is_given_the_inventory_again(server, forgetful_broker, tmp_path):
    broker = forgetful_broker
    where = {"kafka": broker.kafka_settings, "topics": TopicSettings(prefix="forgotten.", create=True, partitions=4)}
    server.put(a_pod("a"))
    with WatcherProcess(server.write_kubeconfig(tmp_path), tmp_path / "w.log", **where) as watcher:
        wait_until(lambda: watcher.lines("inventory_synced"), seconds=20)
        broker.kill()
        broker.start()
        wait_until(lambda: len(watcher.lines("inventory_synced")) == 2, seconds=40)
        assert {each.name for each in pods(where)} == {"a"}
        assert watcher.process.poll() is None


def test_an_api_that_does_not_answer_is_one_sentence_and_exit_code_six(server, where, tmp_path):
    kubeconfig = server.write_kubeconfig(tmp_path)
    server.stop()
    with WatcherProcess(kubeconfig, tmp_path / "w.log", watch_connect_seconds="0.5", **where) as watcher:
        assert watcher.process.wait(20) == 6
        assert "cannot reach the Kubernetes API at http://127.0.0.1" in watcher.log.read_text()
        assert "Traceback" not in watcher.log.read_text()


def test_metrics_health_and_readiness_are_served_where_asked_for(server, where, tmp_path):
    server.put(a_pod("a"))
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    with WatcherProcess(server.write_kubeconfig(tmp_path), tmp_path / "w.log", listen=listen, **where) as watcher:
        wait_until(lambda: watcher.lines("inventory_synced"), seconds=20)
        wait_until(lambda: 'objects{kind="Pod"} 1.0' in _get(listen, "/metrics"))
        assert _get(listen, "/readyz").startswith("watching 6 of 6 resources")
        assert _get(listen, "/healthz").startswith("last turn")


def _get(listen: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{listen}{path}", timeout=5) as answer:
        return answer.read().decode()
