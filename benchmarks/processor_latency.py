"""How long after a packet its call stands in the graph, on a quiet system.

`python -m benchmarks.processor_latency [--packets N]` (root): in a network namespace of its own, with Apache Kafka, the
watcher on a fake API server, `whocalls agent` capturing on all interfaces and `whocalls processor`, all with their
defaults. DNS answers with names that nobody asked for before are put on the loopback interface, five a second; the time
of each ends when the record of its edge is read from the call graph. The hold (`attribution.hold_seconds` and
`tolerance_seconds`, 5 s) is waited for on purpose, and is named apart.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks.report import report
from callgraph.broker import Broker
from callgraph.clients import consumer_config
from callgraph.codec import decode
from callgraph.records import Edge
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, full_name
from stream_processor.settings import AttributionSettings
from tests.brokers import ApacheKafka, fetch_jars
from tests.chaos.roles import make_cast
from tests.chaos.traffic import pod_address
from tests.dns_messages import A, message, record
from tests.fake_api_server import FakeApiServer
from tests.ip_packets import udp
from tests.kube_objects import a_node, a_pod
from tests.worker_processes import await_that

_INSIDE = "WHOCALLS_BENCH_INSIDE"
_ETHERNET = bytes(12) + b"\x08\x00"
_APART_SECONDS = 0.2


class Arrivals:
    """When the edge of each name was first read from the call graph."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.at: dict[str, float] = {}
        self._consumer = Consumer(consumer_config(kafka, client_id="bench-latency"))
        topic = full_name("call-graph", topics)
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while True:
            found = self._consumer.poll(0.1)
            if found is not None and not found.error():
                self.at.setdefault(decode(found.value(), Edge).server.name, time.monotonic())


def send_answers(count: int) -> dict[str, float]:
    """Put answers on the loopback interface; return when each was sent."""
    sent = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("lo", 0))
        for number in range(count):
            name = f"asked-{number}.example"
            said = message(name, A, [record(b"\xc0\x0c", A, bytes((203, 0, 113, 9)))])
            raw.send(_ETHERNET + udp(("10.96.0.10", 53), (pod_address(0), 40_000), said))
            sent[name] = time.monotonic()
            time.sleep(_APART_SECONDS)
    return sent


def measure_latency(kafka: KafkaSettings, folder: Path, *, packets: int) -> dict[str, float]:
    """Start everything, send packets, and wait for their edges."""
    topics = TopicSettings(prefix="latency.", create=True)
    Broker(kafka).require_topics(TOPICS, topics)
    make = make_cast(folder, kafka, topics)
    with FakeApiServer() as server:
        server.put(a_node("node-1"), a_pod("pod-0", pod_address(0)))
        roles = [
            make("watcher", ["whocalls", "watcher"], watcher_kubeconfig=server.write_kubeconfig(folder)),
            make("processor", ["whocalls", "processor"]),
            make("agent", ["whocalls", "agent"], agent_node="node-1"),
        ]
        for role in roles:
            role.start()
        arrivals = Arrivals(kafka, topics)
        try:
            # The first answer that comes through shows that everything runs.
            await_that(lambda: send_answers(1) and "asked-0.example" in arrivals.at, seconds=120, what="the first edge")
            sent = send_answers(packets)
            del sent["asked-0.example"]
            await_that(lambda: sent.keys() <= arrivals.at.keys(), seconds=60, what="an edge for each packet")
        finally:
            for role in roles:
                role.kill()
    hold = AttributionSettings().hold_seconds + AttributionSettings().tolerance_seconds
    beyond = [arrivals.at[name] - at - hold for name, at in sent.items()]
    hundredths = statistics.quantiles(beyond, n=100)
    return {
        "hold_seconds": hold,
        "p50_seconds_beyond_the_hold": hundredths[49],
        "p99_seconds_beyond_the_hold": hundredths[98],
        "most_seconds_beyond_the_hold": max(beyond),
        "packets": len(beyond),
    }


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=300)
    options = parser.parse_args()
    if _INSIDE not in os.environ:
        again = [sys.executable, "-m", "benchmarks.processor_latency", *sys.argv[1:]]
        inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *again]
        fetch_jars()
        sys.exit(subprocess.run(inside, env=os.environ | {_INSIDE: "1"}, check=False).returncode)
    with tempfile.TemporaryDirectory(prefix="whocalls-bench-") as scratch:
        broker = ApacheKafka(Path(scratch) / "kafka")
        broker.start()
        try:
            figures = measure_latency(broker.kafka_settings, Path(scratch), packets=options.packets)
        finally:
            broker.stop()
    report("processor_latency", {"whole_line": figures}, packages=("faust-streaming", "aiokafka", "msgspec"))


if __name__ == "__main__":
    main()
