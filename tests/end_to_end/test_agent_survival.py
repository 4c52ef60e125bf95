"""An agent whose broker, interfaces, ring and metrics port fail it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from callgraph.codec import decode
from callgraph.records import DnsAnswerBatch
from callgraph.settings import KafkaSettings
from callgraph.topics import full_name
from tests.brokers import read_topic
from tests.dns_messages import A, message, record
from tests.end_to_end.lab import Lab, Node, Place, missing_tool, namespace
from tests.end_to_end.processes import WHOCALLS, Roles, run_whocalls, until

pytestmark = pytest.mark.root

NODE = Node("n", ("192.168.92.1/24", "fd92::1/64"), ("10.92.0.0/24", "fd92:1::/64"))
RESOLVER, CLIENT = "10.92.0.53", "10.92.0.7"
FAST = ("--agent-node=n", "--agent-publish-flush-seconds=0.2", "--agent-sockets-enabled=false")


@pytest.fixture
def lab():
    if why := missing_tool():
        pytest.skip(why)
    places = (Place("dns", "n", (RESOLVER,)), Place("client", "n", (CLIENT,)))
    with Lab((NODE,), places, resolver=RESOLVER, search="lab") as lab:
        yield lab


@pytest.fixture
def roles(tmp_path):
    with Roles(tmp_path) as roles:
        yield roles


def answer(lab: Lab, name: str) -> None:
    """Have the resolver answer the client once, unasked: what the agent sees is the same."""
    payload = message(name, A, [record(b"\xc0\x0c", A, bytes((10, 96, 0, 1)))]).hex()
    told = lab.order("dns", "send_datagram", source_port=53, address=CLIENT, port=40000, payload=payload)
    assert not told, told


def start(roles: Roles, lab: Lab, *arguments: str) -> None:
    roles.start("agent", "agent", *FAST, *arguments, wrap=lambda command: lab.inside("n", command))
    roles.await_event("agent", "agent_started")


def names_in(path: Path) -> set[str]:
    return {json.loads(line)["dns_question_name"] for line in path.read_text().splitlines()} if path.exists() else set()


def await_name(roles: Roles, lab: Lab, path: Path, name: str) -> None:
    """Answer once, and wait until the name is written down."""
    answer(lab, name)
    until(lambda: name in names_in(path), seconds=10, what=lambda: f"{name} in {names_in(path)}", check=roles.check)


def await_capture(roles: Roles, lab: Lab, path: Path, name: str) -> None:
    """Answer again and again until the name is written down: the ring may have had no room for the first."""

    def answered() -> bool:
        answer(lab, name)
        return name in names_in(path)

    until(answered, seconds=20, what=lambda: f"{name} in {names_in(path)}", check=roles.check)


@pytest.mark.kafka
def test_a_broker_that_is_killed_and_back_loses_no_pair(lab, roles, start_kafka, topic_settings):
    broker = start_kafka()
    kafka = broker.kafka_settings
    reach = ("--kafka-bootstrap-servers", kafka.bootstrap_servers, f"--kafka-embedded={str(kafka.embedded).lower()}")
    prefix = f"--topics-prefix={topic_settings.prefix}"
    assert run_whocalls("topics", "apply", *reach, prefix).returncode == 0
    lab.open_port("n", int(kafka.bootstrap_servers.rpartition(":")[2]))
    start(roles, lab, *reach, prefix)
    topic = full_name("dns-answers", topic_settings)
    answer(lab, "before.example")
    await_batch(roles, kafka, topic, {"before.example"})
    broker.kill()
    for number in range(50):
        answer(lab, f"while-{number}.example")
    roles.await_event("agent", "kafka_unreachable")
    broker.start()
    answer(lab, "after.example")
    expected = {"before.example", "after.example", *(f"while-{number}.example" for number in range(50))}
    await_batch(roles, kafka, topic, expected)
    roles.stop("agent")
    batches = read_batches(kafka, topic)
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
    received = sum(batch.counters.received for batch in batches)
    accounted = sum(
        batch.counters.published + batch.counters.suppressed + sum(batch.counters.dropped.values()) for batch in batches
    )
    assert received == accounted
    assert sum(each.count for batch in batches for each in batch.observations) == 52


@pytest.mark.kafka
def test_an_agent_ends_in_time_while_its_broker_is_away(lab, roles, start_kafka, topic_settings):
    broker = start_kafka()
    kafka = broker.kafka_settings
    reach = ("--kafka-bootstrap-servers", kafka.bootstrap_servers, f"--kafka-embedded={str(kafka.embedded).lower()}")
    prefix = f"--topics-prefix={topic_settings.prefix}"
    assert run_whocalls("topics", "apply", *reach, prefix).returncode == 0
    lab.open_port("n", int(kafka.bootstrap_servers.rpartition(":")[2]))
    start(roles, lab, *reach, prefix)
    answer(lab, "before.example")
    await_batch(roles, kafka, full_name("dns-answers", topic_settings), {"before.example"})
    broker.kill()
    answer(lab, "while.example")
    roles.await_event("agent", "kafka_unreachable")
    began = time.monotonic()
    roles.stop("agent")
    assert time.monotonic() - began < 6
    [stopped] = [line for line in roles.events("agent") if line["event"] == "agent_stopped"]
    assert stopped["unsent_batches"] + stopped["unsent_observations"] > 0


@pytest.mark.kafka
def test_an_agent_that_starts_before_its_broker_sends_what_it_saw_meanwhile(lab, roles, start_kafka, topic_settings):
    broker = start_kafka()
    kafka = broker.kafka_settings
    reach = ("--kafka-bootstrap-servers", kafka.bootstrap_servers, f"--kafka-embedded={str(kafka.embedded).lower()}")
    prefix = f"--topics-prefix={topic_settings.prefix}"
    assert run_whocalls("topics", "apply", *reach, prefix).returncode == 0
    broker.kill()
    lab.open_port("n", int(kafka.bootstrap_servers.rpartition(":")[2]))
    start(roles, lab, *reach, prefix, "--kafka-connect-seconds=1")
    answer(lab, "early.example")
    roles.await_event("agent", "kafka_unreachable")
    broker.start()
    await_batch(roles, kafka, full_name("dns-answers", topic_settings), {"early.example"})
    roles.stop("agent")


@pytest.mark.kafka
def test_a_missing_topic_ends_the_agent_with_one_sentence(lab, kafka_settings, topic_settings):
    port = int(kafka_settings.bootstrap_servers.rpartition(":")[2])
    lab.open_port("n", port)
    command = ["agent", *FAST, "--kafka-bootstrap-servers", kafka_settings.bootstrap_servers]
    ended = subprocess.run(
        lab.inside("n", [str(WHOCALLS), *command, f"--topics-prefix={topic_settings.prefix}"]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert f"has no topic '{topic_settings.prefix}dns-answers'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_interfaces_may_come_and_go(lab, roles, tmp_path):
    start(roles, lab, "--to", str(tmp_path / "seen"))
    await_name(roles, lab, tmp_path / "seen", "first.example")
    for command in ("link add late type veth peer name later", "link set late up", "link del late"):
        subprocess.run(["ip", "-n", namespace("n"), *command.split()], check=True)
        await_name(roles, lab, tmp_path / "seen", f"{command.split()[1]}.example")
    subprocess.run(["ip", "-n", namespace("n"), "link", "set", "v1", "down"], check=True)
    subprocess.run(["ip", "-n", namespace("n"), "link", "set", "v1", "up"], check=True)
    await_name(roles, lab, tmp_path / "seen", "again.example")
    roles.stop("agent")


def test_what_the_ring_cannot_take_is_counted(lab, roles, tmp_path):
    """The agent is stopped while more arrives than its ring holds."""
    listen = ("--agent-capture-ring-bytes=524288", "--agent-metrics-listen=127.0.0.1:9464")
    start(roles, lab, "--to", str(tmp_path / "seen"), *listen)
    await_name(roles, lab, tmp_path / "seen", "before.example")
    process = roles._processes["agent"]
    process.send_signal(signal.SIGSTOP)
    for _ in range(4000):
        answer(lab, "flood.example")
    process.send_signal(signal.SIGCONT)
    await_capture(roles, lab, tmp_path / "seen", "after.example")
    metrics = fetch(lab, "http://127.0.0.1:9464/metrics")
    dropped = int(re.search(r"^whocalls_agent_kernel_dropped_total (\d+)$", metrics, re.MULTILINE)[1])
    received = int(re.search(r'^whocalls_agent_received_total{source="dns"} (\d+)$', metrics, re.MULTILINE)[1])
    assert dropped > 500
    assert received > 500
    roles.stop("agent")


def test_a_taken_metrics_port_does_not_stop_the_agent(roles, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        roles.start("agent", "agent", *FAST, "--to", str(tmp_path / "seen"), "--agent-metrics-listen", where)
        roles.await_event("agent", "metrics_not_served")
        roles.await_event("agent", "agent_started")
        roles.stop("agent")


def read_batches(kafka: KafkaSettings, topic: str) -> list[DnsAnswerBatch]:
    batches = [decode(value, DnsAnswerBatch) for value in read_topic(kafka, topic)]
    return sorted(batches, key=lambda batch: batch.sequence)


def await_batch(roles: Roles, kafka: KafkaSettings, topic: str, names: set[str]) -> None:
    """Wait until the names are on Kafka."""
    until(
        lambda: names <= names_on(kafka, topic),
        seconds=60,
        what=lambda: f"{names - names_on(kafka, topic)} on Kafka",
        check=roles.check,
    )


def names_on(kafka: KafkaSettings, topic: str) -> set[str]:
    return {each.dns_question_name for batch in read_batches(kafka, topic) for each in batch.observations}


def fetch(lab: Lab, url: str) -> str:
    """Fetch a page from within the node."""
    code = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"
    return subprocess.run(
        lab.inside("n", [sys.executable, "-c", code]), check=True, capture_output=True, text=True
    ).stdout
