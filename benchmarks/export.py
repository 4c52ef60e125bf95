"""What an export of a large graph costs.

`python -m benchmarks.export [HOST:PORT]`: 100,000 edges of 5,000 workloads in 500 namespaces, from a broker (the
embedded one, without an address) to files. In a process of its own: the seconds from start to the last file, imports
included, and the peak of resident memory; in this one: the seconds of each part, of each format, and of an interval in
which nothing changed.
"""

from __future__ import annotations

import gc
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import msgspec
from confluent_kafka import Producer

from benchmarks.report import Figures, report
from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import Applied, Edge, Workload
from callgraph.settings import KafkaSettings, LogSettings, TopicSettings
from callgraph.telemetry import LeanLogger
from callgraph.topics import find_topic, full_name
from sink_exporter.edge_table import EdgeTable
from sink_exporter.files import replace_files
from sink_exporter.formats import FORMATS
from sink_exporter.graph import build_graph
from sink_exporter.layout import lay_out
from sink_exporter.program import find_revision, read_table, run_exporter
from sink_exporter.publishers import open_publisher
from sink_exporter.settings import ExporterSettings
from whocalls.embedded_broker import EmbeddedBroker

NAMESPACES, WORKLOADS, EDGES = 500, 5_000, 100_000
TOPICS = TopicSettings(prefix="bench-export.", create=True)
T = TypeVar("T")


def make_edges() -> Iterator[Edge]:
    """Make edges as a busy cluster has them, bookkeeping of the fold included; always the same."""
    chance = random.Random(1)
    workloads = [
        Workload(cluster="prod", namespace=f"team-{n % NAMESPACES:03d}", kind="Deployment", name=f"service-{n:05d}")
        for n in range(WORKLOADS)
    ]
    pairs = set()
    while len(pairs) < EDGES:
        pairs.add((chance.randrange(WORKLOADS), chance.randrange(WORKLOADS)))
    for number, (client, server) in enumerate(sorted(pairs)):
        name = f"{workloads[server].name}.{workloads[server].namespace}.svc.cluster.local"
        yield Edge(
            client=workloads[client],
            server=workloads[server],
            server_port=chance.choice((80, 443, 5432, 8080)),
            network_transport="tcp",
            evidence=("dns", "syn"),
            dns_names=(name,),
            nodes=tuple(sorted({f"node-{chance.randrange(100)}" for _ in range(5)})),
            first_seen=1_700_000_000_000_000_000 + number,
            last_seen=1_700_000_100_000_000_000 + number,
            observations=number + 1,
            exemplars=("dns-answers/3/123456", "connections/2/9999"),
            applied={f"dns-answers/{partition}": Applied(floor=123_456) for partition in range(3)},
        )


def fill_topic(kafka: KafkaSettings) -> None:
    """Write the edges to the topic."""
    Broker(kafka).require_topics([find_topic("call-graph")], TOPICS)
    producer = Producer(producer_config(kafka, client_id="bench") | {"queue.buffering.max.messages": EDGES + 1})
    for edge in make_edges():
        key = encode_key(edge.client.name, edge.server.name, edge.server_port, edge.network_transport)
        producer.produce(full_name("call-graph", TOPICS), key=key, value=encode(edge))
    producer.flush(120)


def measure_process(kafka: KafkaSettings) -> dict[str, float]:
    """Export once in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.export", "--once", msgspec.json.encode(kafka).decode(), out]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        files = sum(1 for path in Path(out, "namespaces").iterdir() if path.suffix == ".yaml")
    cpu, peak = map(float, ended.stdout.split())
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_resident_bytes": peak, "namespace_files": files}


def export_once(kafka: KafkaSettings, out: str) -> None:
    """Be that process."""
    log = LeanLogger(LogSettings(level="error"))
    run_exporter(kafka=kafka, topics=TOPICS, exporter=ExporterSettings(out=out), log=log, once=True)
    print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def measure_parts(kafka: KafkaSettings) -> Figures:
    """Measure each part, and each format, without the cycle collector, as the exporter runs them."""
    figures: Figures = {}
    with without_collections(), tempfile.TemporaryDirectory() as out:
        table = timed(figures, "read", lambda: read_table(kafka, TOPICS))
        graph = timed(figures, "build", lambda: build_graph(table.edges()))
        files = timed(figures, "render_yaml_and_text", lambda: lay_out(graph, ("yaml", "text")))
        timed(figures, "write", lambda: replace_files(Path(out), files))
        assert not timed(figures, "write_same_again", lambda: replace_files(Path(out), files)).changed
        exporter = ExporterSettings(out=out, retain_days=30_000)
        timed(figures, "unchanged_interval", lambda: look_for_changes(table, exporter))
        assert len(graph.arrows) == EDGES
        for name, chosen in FORMATS.items():
            timed(figures, f"format_{name}", lambda chosen=chosen: chosen.render(graph))
    return figures


def look_for_changes(table: EdgeTable, exporter: ExporterSettings) -> None:
    """Do what an interval without a change costs the exporter that has a limit on age: every edge is looked at."""
    with open_publisher(exporter, LeanLogger(LogSettings(level="error"))) as publisher:
        find_revision(table, exporter)
        publisher.is_outdated()


def timed(figures: Figures, subject: str, work: Callable[[], T]) -> T:
    """Do the work and note what it took; CPU seconds are of all threads."""
    started, cpu = time.perf_counter(), time.process_time()
    done = work()
    figures[subject] = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    return done


@contextmanager
def without_collections() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def main() -> None:
    with nullcontext() if sys.argv[1:] else EmbeddedBroker() as broker:
        kafka = broker.kafka_settings if broker else KafkaSettings(bootstrap_servers=sys.argv[1])
        fill_topic(kafka)
        figures = {"process": measure_process(kafka)} | measure_parts(kafka)
    report("export", figures, packages=("msgspec", "confluent-kafka"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        export_once(msgspec.json.decode(sys.argv[2], type=KafkaSettings), sys.argv[3])
    else:
        main()
