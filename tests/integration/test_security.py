"""The whole line over every way of securing Kafka: the demo's traffic in, the demo's graph out.

One Apache Kafka has a listener for each way. The roles are processes that know Kafka from a configuration file, and
secrets from files alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from callgraph.settings import TopicSettings
from tests.brokers import make_broker
from tests.secure_kafka import PASSWORD, USER, SecureKafka
from whocalls.drained import await_drained
from whocalls.shop_traffic import write_shop_input
from whocalls.supervisor import Supervisor

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("needs_apache")]

GOLDEN = (Path(__file__).parents[1] / "golden" / "demo.txt").read_text(encoding="utf-8")
SECONDS = 60.0
WAYS = {
    "PLAINTEXT": ("PLAINTEXT", ""),
    "SSL with a client certificate": ("SSL", ""),
    "SASL PLAIN": ("SASL_SSL", "PLAIN"),
    "SCRAM-SHA-256": ("SASL_SSL", "SCRAM-SHA-256"),
    "SCRAM-SHA-512": ("SASL_SSL", "SCRAM-SHA-512"),
    "OAUTHBEARER": ("SASL_SSL", "OAUTHBEARER"),
}


@pytest.fixture(scope="module")
def secure(kafka_choice, tmp_path_factory):
    if kafka_choice != "apache":
        pytest.skip(f"needs Apache Kafka, and this session uses {kafka_choice}")
    started = []

    def start(**shape):
        broker = make_broker("apache", tmp_path_factory.mktemp("secure") / "kafka", **shape)
        started.append(broker)
        broker.start()
        return broker

    kafka = SecureKafka(tmp_path_factory.mktemp("secrets"), start)
    with kafka.endpoint:
        yield kafka
    for broker in started:
        broker.kill()


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
