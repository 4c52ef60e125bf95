"""The whole line over every way of securing Kafka: the demo's traffic in, its graph out; and every way of failing.

One Apache Kafka has a listener for each way. The roles are processes that know Kafka from a configuration file, and
secrets from files alone.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import yaml

from callgraph.broker import Broker
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, full_name
from stream_processor.kafka_access import aiokafka_access
from stream_processor.topic_reader import read_topic
from tests.end_to_end.processes import run_whocalls
from tests.kafka_failures import CONNECT_SECONDS, DENIALS, FAILURES, ROLES
from tests.secure_kafka import PASSWORD, USER
from whocalls.drained import await_drained
from whocalls.shop_traffic import write_shop_input
from whocalls.supervisor import Supervisor

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("needs_apache")]

GOLDEN = (Path(__file__).parents[1] / "golden" / "demo.txt").read_text(encoding="utf-8")
SECONDS = 60.0
TOPICS_OF_ALL = TopicSettings(prefix="all.", partitions=2)
WAYS = {
    "PLAINTEXT": ("PLAINTEXT", ""),
    "SSL with a client certificate": ("SSL", ""),
    "SASL PLAIN": ("SASL_SSL", "PLAIN"),
    "SCRAM-SHA-256": ("SASL_SSL", "SCRAM-SHA-256"),
    "SCRAM-SHA-512": ("SASL_SSL", "SCRAM-SHA-512"),
    "OAUTHBEARER": ("SASL_SSL", "OAUTHBEARER"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_shop_input(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("way", WAYS)
def test_the_whole_line_gives_the_graph_over(way, secure, shop, tmp_path):
    protocol, mechanism = WAYS[way]
    granted = secure.endpoint.granted[USER]
    assert _graph_over(secure.kafka(protocol, mechanism), secure, shop, tmp_path) == GOLDEN
    asked = secure.endpoint.granted[USER] - granted
    # Every client asks for itself; the processor has clients of two libraries.
    assert asked >= 7 if mechanism == "OAUTHBEARER" else asked == 0


def _graph_over(kafka, secure, shop, folder):
    """Run the line with the shop's input and return the text that the exporter wrote."""
    topics = TopicSettings(prefix=f"{folder.name}.", partitions=2)
    configuration = {
        "cluster": "demo",
        "kafka": kafka,
        "topics": {"prefix": topics.prefix, "partitions": topics.partitions},
        "processor": {"group": f"{folder.name}-processors", "listen": "127.0.0.1:0", "last_seen_seconds": 0},
        "exporter": {"out": str(folder / "out")},
    }
    file = folder / "whocalls.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    assert PASSWORD not in file.read_text(encoding="utf-8")
    with Supervisor(folder, {"WHOCALLS_CONFIG": str(file)}) as supervisor:
        supervisor.finish(supervisor.start("topics", "topics", "apply"), seconds=SECONDS)
        supervisor.start("processor", "processor")
        ending = [supervisor.start("watcher", "watcher", f"--watcher-objects-file={shop.objects}")]
        for node, capture in shop.captures.items():
            sources = (f"--source=pcap:{capture}", f"--source=proc:{shop.proc_trees[node]}")
            ending.append(supervisor.start(f"agent-{node}", "agent", f"--agent-node={node}", *sources))
        for role in ending:
            supervisor.finish(role, seconds=SECONDS)
        await_drained(
            secure.broker.kafka_settings,
            topics,
            group=configuration["processor"]["group"],
            seconds=SECONDS,
            check=supervisor.check,
        )
        supervisor.finish(supervisor.start("exporter", "exporter", "--once"), seconds=SECONDS)
    return (folder / "out" / "callgraph.txt").read_text(encoding="utf-8")


def test_end_of_a_topic_over_tls_is_told_without_waiting_for_goodbyes(secure):
    """Over TLS, asyncio waits 30 s for the other side to close where a fetch is under way."""
    from stream_processor.event_loop import EventLoop  # noqa: PLC0415  (for this test alone)

    kafka = msgspec.convert(secure.kafka("SSL"), KafkaSettings)
    topics = TopicSettings(prefix="goodbye.", partitions=2)
    Broker(kafka).create_topics(TOPICS, topics)
    access = aiokafka_access(kafka, client_id="test-goodbye")

    async def read():
        return [records async for records in read_topic(access, full_name("calls", topics), [0, 1], follow=False)]

    started = time.monotonic()
    for _ in range(3):
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            assert runner.run(read()) == [None]
    assert time.monotonic() - started < 20


@pytest.fixture(scope="module")
def told(secure, shop, tmp_path_factory):
    """Run every role into every failure, several at a time; return what each did, as futures."""
    secure.allow()
    Broker(secure.broker.kafka_settings).create_topics(TOPICS, TOPICS_OF_ALL)
    folder = tmp_path_factory.mktemp("failures")
    commands = {
        "topics plan": ("topics", "plan"),
        "agent": ("agent", "--agent-node=node-1", f"--source=pcap:{shop.captures['node-1']}"),
        "watcher": ("watcher", f"--watcher-objects-file={shop.objects}"),
        "processor": ("processor", "--processor-listen=127.0.0.1:0"),
        "exporter": ("exporter", "--once", f"--exporter-out={folder}/out"),
    }

    def run(role, kafka):
        configuration = {
            "kafka": {"connect_seconds": CONNECT_SECONDS} | kafka,
            "topics": {"prefix": TOPICS_OF_ALL.prefix},
        }
        file = folder / f"{uuid.uuid4().hex}.yaml"
        file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        # CONNECT_SECONDS, and the start of a Python beside five others; the clients' own patience is a minute and more.
        return run_whocalls(*commands[role], seconds=50, WHOCALLS_CONFIG=str(file))

    with ThreadPoolExecutor(6) as pool:
        yield {
            (role, name): pool.submit(run, role, failure.kafka(secure))
            for name, failure in (FAILURES | DENIALS).items()
            for role in commands
        }


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("failure", FAILURES)
def test_whoever_cannot_get_in_is_told_why_and_ends(failure, role, told):
    _check_sentence(told[role, failure].result(), FAILURES[failure].sentence, code=6)


@pytest.mark.parametrize(
    ("role", "denial"), [(role, name) for name, denied in DENIALS.items() for role in denied.roles]
)
def test_missing_right_is_named(role, denial, told):
    _check_sentence(told[role, denial].result(), DENIALS[denial].roles[role], code=1)


def _check_sentence(ended, sentence, *, code):
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert re.match(f"whocalls: {sentence}\n$", ended.stderr), ended.stderr
