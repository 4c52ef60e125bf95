"""The reading commands on a broker: changes as they happen, policies and labels from the inventory, times replayed."""

import json
import os
import signal
import subprocess
import sys

import pytest
from confluent_kafka import Producer

from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import AddressInterval, ContainerPort, InventoryRecord, PodRecord
from callgraph.topics import TOPICS, full_name
from tests.end_to_end.processes import run_whocalls
from tests.graphs import edge_of, workload
from tests.shop_stream import ShopStream
from tests.worker_processes import await_that, settings_in_environment

pytestmark = pytest.mark.kafka

WEB, API, DB = (workload(name, kind="Pod", cluster="here") for name in ("web", "api", "db"))


def call(client, server, **fields):
    return edge_of(client, server, server_port=8080, network_transport="tcp", **fields)


def pod(name):
    record = PodRecord(
        cluster="here",
        namespace="shop",
        name=name,
        uid=name,
        addresses=(AddressInterval(address="10.0.0.9", from_at=1),),
        labels={"app": name, "team": "front" if name == "web" else "back", "pod-template-hash": "x"},
        ports=(ContainerPort(port=8080, name="http"),),
    )
    return InventoryRecord(object=record)


@pytest.fixture
def place(kafka_settings, topic_settings):
    """A producer for the topics of this test, and the environment that the command finds them by."""
    Broker(kafka_settings).require_topics(TOPICS, topic_settings)
    return Place(kafka_settings, topic_settings)


class Place:
    def __init__(self, kafka, topics):
        self.environment = settings_in_environment(kafka, topics)
        self._topics = topics
        self._producer = Producer(producer_config(kafka, client_id="test"))

    def publish(self, name, **records):
        for key, record in records.items():
            value = None if record is None else encode(record)
            self._producer.produce(full_name(name, self._topics), key=encode_key(key), value=value)
        assert self._producer.flush(30) == 0

    def run(self, *arguments):
        ended = run_whocalls(*arguments, **self.environment)
        return ended.stdout, ended.stderr, ended.returncode


@pytest.fixture
def watching(place, tmp_path):
    """Start `whocalls watch`; gives what it has printed so far."""
    started = []

    def start(*arguments):
        paths = tmp_path / "out", tmp_path / "err"
        with paths[0].open("wb") as out, paths[1].open("wb") as err:
            command = [sys.executable, "-m", "whocalls", "watch", *arguments]
            process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | place.environment)
        started.append(process)
        await_that(lambda: "watching" in paths[1].read_text(), what="the beginning of the watch")
        return process, lambda: paths[0].read_text().splitlines()

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_watch_prints_each_change_as_it_happens_and_ends_on_sigterm(place, watching):
    place.publish("call-graph", known=call(WEB, API))
    process, lines = watching()
    place.publish("call-graph", known=call(WEB, API, last_seen=9), new=call(API, DB), other=edge_of(API, WEB))
    await_that(lambda: len(lines()) == 2, what="two new calls")
    assert sorted(lines()) == ["+ shop/api -> shop/db (dns, 8080/TCP)", "+ shop/api -> shop/web (dns)"]
    place.publish("call-graph", new=None, more=call(API, WEB, evidence=("syn",)))
    await_that(lambda: len(lines()) == 4, what="one gone and one changed")
    assert sorted(lines()[2:]) == ["- shop/api -> shop/db (dns, 8080/TCP)", "~ shop/api -> shop/web: +syn +8080/TCP"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0


def test_watch_keeps_to_its_filter_and_writes_json_lines(place, watching):
    _, lines = watching("--to", "db", "-o", "jsonl")
    place.publish("call-graph", one=call(WEB, API))
    place.publish("call-graph", two=call(API, DB))
    await_that(lines, what="the call to db")
    (found,) = map(json.loads, lines())
    assert (found["change"], found["call"]["client"]["name"], found["call"]["ports"]) == ("added", "api", ["8080/TCP"])


def test_policies_are_drafted_and_checked_with_what_the_inventory_says(place, tmp_path):
    place.publish("inventory", **{name: pod(name) for name in ("web", "api", "db")})
    place.publish("call-graph", one=call(WEB, API), two=call(API, DB))
    policies = tmp_path / "policies"
    policies.mkdir()
    text, _, code = place.run("export", "networkpolicy", "--direction", "both")
    assert code == 0
    assert "pod-template-hash" not in text
    (policies / "all.yaml").write_text(text)
    assert place.run("diff", str(policies), "live") == ("", "", 0)
    place.publish("call-graph", three=call(WEB, DB), two=None)
    found, _, code = place.run("diff", str(policies), "live")
    assert code == 3
    assert found.splitlines() == [
        "blocked: shop/web -> shop/db (8080/TCP): egress by shop/web-pod-calls; ingress by shop/db-pod-calls",
        "never seen: shop/api -> shop/db (8080/TCP): allowed by shop/api-pod-calls, shop/db-pod-calls",
    ]


def test_labels_come_from_the_inventory(place):
    place.publish("inventory", **{name: pod(name) for name in ("web", "api", "db")})
    place.publish("call-graph", one=call(WEB, API), two=call(API, DB))
    assert place.run("list", "--group-by", "team")[0] == "front (team) calls:\n  - back\n"
    assert place.run("list", "-L", "team", "-o", "csv")[0].splitlines()[1].endswith(",back,back")


def test_times_are_replayed_from_the_raw_topics(place, kafka_settings, topic_settings):
    stream = ShopStream(kafka_settings, topic_settings, seed=3)
    stream.send_inventory()
    stream.send_batches(2)
    stream.flush()
    before, _, code = place.run("diff", "2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z")
    pairs = {(edge[0], edge[1]) for edge in stream.expected}
    assert (len(before.splitlines()), code) == (len(pairs), 3)
    assert all(line.startswith("+ shop/pod-") for line in before.splitlines())
    same, _, code = place.run("diff", "2025-12-31T00:00:00Z..", "2026-01-02T00:00:00Z")
    assert (same, code) == ("", 0)


def test_gate_holds_the_live_graph_to_an_older_one(place, tmp_path):
    place.publish("call-graph", one=call(WEB, API))
    (tmp_path / "agreed.yaml").write_text(place.run("export", "yaml")[0])
    assert place.run("gate", "--baseline", str(tmp_path / "agreed.yaml"))[2] == 0
    place.publish("call-graph", two=call(API, DB))
    assert place.run("gate", "--baseline", str(tmp_path / "agreed.yaml"))[::2] == ("shop/api -> shop/db\n", 3)
