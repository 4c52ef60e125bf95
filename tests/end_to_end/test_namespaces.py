"""Real packets through the whole line: pods in network namespaces, a DNS server, agents, Kafka, files.

The line runs once, with rubbish thrown in at every joint; each test then looks at one thing that it left behind.
"""

from __future__ import annotations

import json
import random
import urllib.request
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka import Producer

from callgraph.clients import producer_config
from callgraph.codec import decode
from callgraph.records import DeadLetter, ObservationBatch
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import full_name
from tests.apache_kafka import free_ports
from tests.brokers import read_topic
from tests.end_to_end.lab import Lab, missing_tool
from tests.end_to_end.lab_cluster import FULL_TRUTH, SEARCH, SHOP, Cluster
from tests.end_to_end.processes import Roles, run_whocalls, until
from tests.exported_files import exported

pytestmark = [pytest.mark.root, pytest.mark.kafka]

NODES = ("node-a", "node-b")
ALREADY_OPEN = {("shop", "cart"): FULL_TRUTH["shop", "cart"]}
RUBBISH = {"dns-answers": b"\xc1rubbish", "connections": b'{"schema":"connections.v1"}', "call-graph": b'{"schema"'}
# An answer without an error and with one record (RFC 1035, 4.1.1), whose question ends in the middle of a name.
MALFORMED_ANSWER = "1234 8180 0001 0001 0000 0000 3f616263".replace(" ", "")


class Line(NamedTuple):
    """What one run of the whole line left behind."""

    graph: dict[Any, Any]
    batches: list[ObservationBatch]
    dead_letters: list[DeadLetter]
    exporter_metrics: str


class Setting(NamedTuple):
    """What the line runs in."""

    lab: Lab
    cluster: Cluster
    kafka: KafkaSettings
    topics: TopicSettings
    folder: Path
    listen: str
    """Where the exporter serves its metrics."""


@pytest.fixture(scope="module")
def line(kafka, tmp_path_factory):
    if why := missing_tool():
        pytest.skip(why)
    cluster = Cluster(random.randrange(64, 224))
    topics = TopicSettings(prefix=f"lab-{uuid.uuid4().hex[:10]}.", partitions=4)
    folder = tmp_path_factory.mktemp("line")
    with Lab(cluster.nodes(), cluster.places(), resolver=cluster.resolver, search=SEARCH) as lab:
        lab.serve_names("coredns", cluster.dns_records())
        with Roles(folder) as roles:
            listen = f"127.0.0.1:{free_ports(1)[0]}"
            return run_line(Setting(lab, cluster, kafka.kafka_settings, topics, folder, listen), roles)


def test_exported_graph_is_who_really_called_whom(line):
    assert line.graph == FULL_TRUTH


def test_records_that_do_not_decode_are_dead_letters_with_their_reason(line):
    told = {(letter.topic.rpartition(".")[2], letter.reason, letter.value) for letter in line.dead_letters}
    assert told == {
        ("dns-answers", "malformed", RUBBISH["dns-answers"]),
        ("connections", "wrong_shape", RUBBISH["connections"]),
    }


def test_edge_that_does_not_decode_is_skipped_by_the_exporter(line):
    wanted = 'whocalls_exporter_dead_letters_total{reason="malformed"} 1.0'
    assert wanted in line.exporter_metrics.splitlines()


def test_malformed_answer_is_counted_by_its_reason(line):
    dropped = sum((Counter(batch.counters.dropped) for batch in line.batches), Counter())
    assert sum(count for reason, count in dropped.items() if reason.startswith("malformed")) > 0, dropped


@pytest.mark.parametrize("node", NODES)
def test_agents_account_for_everything_that_they_received(line, node):
    counters = [batch.counters for batch in line.batches if batch.node == node]
    received = sum(each.received for each in counters)
    accounted = sum(each.published + each.suppressed + sum(each.dropped.values()) for each in counters)
    assert received == accounted > 0


@pytest.mark.parametrize("node", NODES)
def test_no_batch_of_an_agent_is_missing(line, node):
    for kind in ("dns-answers.v1", "connections.v1"):
        found = [batch for batch in line.batches if batch.node == node and batch.__struct_config__.tag == kind]
        assert sorted(batch.sequence for batch in found) == list(range(len(found)))


def run_line(setting, roles):
    """Run all roles while the pods call each other, and return what is left when all have ended."""
    lab, out = setting.lab, setting.folder / "out"
    config = write_config(setting)
    lab.call("cart", "redis", 6379, keep=True)
    for node in NODES:
        start_agent(setting, roles, node, config)
    for role in ("watcher", "processor", "exporter"):
        roles.start(role, role, "--config", config)
    for node in NODES:
        roles.await_event(f"agent-{node}", "agent_started")
    roles.finish("watcher")
    await_graph(out, ALREADY_OPEN, roles)
    throw_rubbish(setting)
    make_calls(lab, setting.cluster)
    await_graph(out, FULL_TRUTH, roles)
    exporter_metrics = urllib.request.urlopen(f"http://{setting.listen}/metrics", timeout=10).read().decode()
    for role in (*(f"agent-{node}" for node in NODES), "processor", "exporter"):
        roles.stop(role)
    return Line(
        graph=exported(out),
        batches=[decode(value, ObservationBatch) for value in left_behind(setting, "dns-answers", "connections")],
        dead_letters=[decode(value, DeadLetter) for value in left_behind(setting, "dead-letters")],
        exporter_metrics=exporter_metrics,
    )


def write_config(setting):
    """Write one configuration file for all roles, and make the topics."""
    objects = setting.folder / "objects.json"
    objects.write_text(json.dumps(setting.cluster.objects(datetime.now(UTC))), encoding="utf-8")
    kafka, topics = setting.kafka, setting.topics
    settings = {
        "cluster": "lab",
        "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "embedded": kafka.embedded},
        "topics": {"prefix": topics.prefix, "partitions": topics.partitions},
        "agent": {"publish": {"flush_seconds": 0.3}},
        "watcher": {"objects_file": str(objects)},
        "processor": {"group": topics.prefix, "listen": "127.0.0.1:0"},
        "exporter": {
            "out": str(setting.folder / "out"),
            "interval_seconds": 0.2,
            "formats": ["yaml"],
            "listen": setting.listen,
        },
    }
    file = setting.folder / "whocalls.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    made = run_whocalls("topics", "apply", "--config", str(file))
    assert made.returncode == 0, made.stderr
    return str(file)


def start_agent(setting, roles, node, config):
    """Start an agent in the namespace of a node, from where Kafka is on the same address as here."""
    lab = setting.lab
    lab.open_port(node, int(setting.kafka.bootstrap_servers.rpartition(":")[2]))
    roles.start(
        f"agent-{node}",
        *("agent", "--config", config, "--agent-node", node),
        wrap=lambda command: lab.inside(node, command),
    )


def make_calls(lab, cluster):
    """Make every call of the ground truth once, but for the one that is open already."""
    lab.call("loadgenerator", "frontend", 8080)
    lab.call("loadgenerator", cluster.addresses_of("payment")[0], 50051)
    lab.call("frontend", "cart.shop", 7070)
    lab.call("frontend", f"checkout.{SHOP}", 5050)
    lab.call("checkout", "payment.payments.svc.cluster.local.", 50051)
    lab.call("checkout", "api.example.org", 443)
    lab.call("report", "frontend.shop.svc", 8080)


def throw_rubbish(setting):
    """Put what cannot be read on the wire and into the topics."""
    (frontend,) = setting.cluster.addresses_of("frontend")
    answer = {"address": frontend, "port": 40_000, "source_port": 53, "payload": MALFORMED_ANSWER}
    assert not setting.lab.order("outside", "send_datagram", **answer)
    producer = Producer(producer_config(setting.kafka, client_id="rubbish"))
    refused = []
    for name, value in RUBBISH.items():
        topic = full_name(name, setting.topics)
        producer.produce(topic, value, b"rubbish", on_delivery=lambda error, _: refused.append(error))
    producer.flush(30)
    assert refused == [None] * len(RUBBISH)


def left_behind(setting, *names):
    """Return the values in topics, but for our rubbish."""
    values = [value for name in names for value in read_topic(setting.kafka, full_name(name, setting.topics))]
    return [value for value in values if value not in RUBBISH.values()]


def await_graph(folder, truth, roles):
    until(
        lambda: exported(folder) == truth,
        seconds=60,
        what=lambda: f"{truth}, but {exported(folder)}",
        check=roles.check,
    )
