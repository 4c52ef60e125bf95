"""Clusters of 1,000 and 5,000 nodes with 30 pods each, as their agents would fill Kafka, replayed at speed.

`python -m benchmarks.scale [--nodes 1000,5000] [--slice SECONDS]`, on Apache Kafka, everything on this machine. The day
of one node goes through the agent's own pipeline (`benchmarks.node_day`): that gives bytes and observations a second.
Its busiest five minutes after a start, and a slice of the steady state in the same hour, are then written for every
node with addresses of its own, into topics with the inventory of the whole cluster. One stream processor takes them as
fast as it can: seconds to the first complete graph, CPU for each observation, memory; then the exporter writes it all.
`workers_needed` is arithmetic: the busiest hour's observations at the CPU measured in the steady state, each worker at
half a core.
"""

from __future__ import annotations

import argparse
import itertools
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.large_cluster import CLUSTER, make_records
from benchmarks.node_day import DAY_SECONDS, WORKLOADS, Sent, play_day
from benchmarks.processor import Sample
from benchmarks.processor_load import PODS_A_NODE, TARGETS, answer_of, connection_of, ends_of
from benchmarks.report import Figures, report
from callgraph.broker import Broker
from callgraph.clients import consumer_config, producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import DnsAnswerBatch, InventoryRecord, ObservationBatch, WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, TopicName, full_name
from tests.brokers import ApacheKafka, fetch_jars
from tests.worker_processes import WorkerProcess, settings_in_environment

BUSIEST_SECOND = 16 * 3600
WINDOW_SECONDS = 300
UTILISATION = 0.5
_PATIENCE_SECONDS = 900

Ends = tuple[int, int]
"""Which pod of a node (of 30), and which of the Services that it calls (of six)."""


class Shape(NamedTuple):
    """One batch of a node's day, without addresses."""

    topic: TopicName
    record: ObservationBatch
    ends: tuple[Ends, ...]


class Topics:
    """The topics of one cluster."""

    def __init__(self, kafka: KafkaSettings, nodes: int) -> None:
        self.kafka, self.nodes = kafka, nodes
        self.settings = TopicSettings(prefix=f"scale-{nodes}.", create=True)
        self.workloads = nodes * PODS_A_NODE // 10
        Broker(kafka).require_topics(TOPICS, self.settings)
        more = {"queue.buffering.max.messages": 500_000, "log_level": 0}
        self._producer = Producer(producer_config(kafka, client_id="scale") | more)

    def write_inventory(self) -> dict[str, float]:
        """Write every object of the cluster."""
        records = bytes_written = 0
        for record in (*make_records(self.nodes * PODS_A_NODE), WatermarkRecord(cluster=CLUSTER, at=2**63 - 1)):
            value = encode(InventoryRecord(object=record))
            self._send("inventory", encode_key(CLUSTER, type(record).__name__, getattr(record, "uid", "")), value)
            records, bytes_written = records + 1, bytes_written + len(value)
        self._flush()
        return {"inventory_records": records, "inventory_megabytes": bytes_written / 1e6}

    def write_batches(self, shapes: Sequence[Shape]) -> dict[str, float]:
        """Write the batches of every node, in the order of their times."""
        observations = bytes_written = 0
        for shape, node in itertools.product(shapes, range(self.nodes)):
            value = encode(_addressed(shape, node, self.workloads))
            self._send(shape.topic, encode_key(CLUSTER, f"node-{node}"), value)
            observations, bytes_written = observations + len(shape.ends), bytes_written + len(value)
        self._flush()
        return {"observations": observations, "batches": len(shapes) * self.nodes, "megabytes": bytes_written / 1e6}

    def count_edges(self, shapes: Sequence[Shape]) -> int:
        """Count the edges that follow: two for each pair of workloads, with a port and, from DNS, without."""
        ends = {each for shape in shapes for each in shape.ends}
        pairs = {
            ((node * PODS_A_NODE + place) % self.workloads, target)
            for node in range(self.nodes)
            for place, target in ends
        }
        return 2 * len(pairs)

    def _send(self, topic: TopicName, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(full_name(topic, self.settings), value, key)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _flush(self) -> None:
        assert self._producer.flush(120) == 0


class GraphWatch:
    """Counts the edges on the call-graph topic, and notes when they are all there."""

    def __init__(self, topics: Topics, expected: int) -> None:
        name = full_name("call-graph", topics.settings)
        self._consumer = Consumer(consumer_config(topics.kafka, client_id="scale-watch"))
        partitions = self._consumer.list_topics(name, timeout=30).topics[name].partitions
        self._consumer.assign([TopicPartition(name, partition, 0) for partition in partitions])
        self._expected = expected
        self._ended = threading.Event()
        self.edges: set[bytes] = set()
        self.complete_at = math.inf
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for message in self._consumer.consume(1000, 0.2):
                if not message.error():
                    self.edges.add(message.key())
            if len(self.edges) >= self._expected:
                self.complete_at = min(self.complete_at, time.monotonic())


def main() -> None:
    """Measure, and report."""
    arguments = _parse_arguments()
    if arguments.export:
        export(msgspec.json.decode(arguments.export, type=KafkaSettings), arguments.prefix)
        return
    fetch_jars()
    figures: Figures = {"node": measure_node_day()}
    start, steady = make_shapes(arguments.slice)
    with tempfile.TemporaryDirectory(prefix="whocalls-scale-") as scratch:
        broker = ApacheKafka(Path(scratch) / "kafka")
        broker.start()
        try:
            for nodes in map(int, arguments.nodes.split(",")):
                topics = Topics(broker.kafka_settings, nodes)
                figures[f"{nodes}_nodes"] = measure(topics, start, steady, Path(scratch)) | arithmetic(figures, nodes)
                _add_workers(figures, nodes)
        finally:
            broker.kill()
    report("scale", figures, packages=("faust-streaming", "aiokafka", "msgspec", "confluent-kafka"))


def measure_node_day() -> dict[str, float]:
    """Play one node's day, and say what it sends."""
    day = play_day()
    hours = [[each for each in day if hour <= each.second / 3600 < hour + 1] for hour in range(24)]
    busiest = max(hours, key=_observations)
    return {
        "bytes_per_second": sum(each.bytes for each in day) / DAY_SECONDS,
        "batches_per_second": len(day) / DAY_SECONDS,
        "observations_per_second": _observations(day) / DAY_SECONDS,
        "busiest_bytes_per_second": sum(each.bytes for each in busiest) / 3600,
        "busiest_batches_per_second": len(busiest) / 3600,
        "busiest_observations_per_second": _observations(busiest) / 3600,
        "megabytes_a_day": sum(each.bytes for each in day) / 1e6,
    }


def make_shapes(seconds: float) -> tuple[list[Shape], list[Shape]]:
    """Return the five minutes after an agent's start, and a slice of its steady state."""
    start = play_day(seconds=WINDOW_SECONDS, from_second=BUSIEST_SECOND)
    before = BUSIEST_SECOND - 3 * WINDOW_SECONDS
    whole = play_day(seconds=3 * WINDOW_SECONDS + seconds, from_second=before)
    return _shapes(start), _shapes([each for each in whole if each.second >= BUSIEST_SECOND])


def measure(topics: Topics, start: Sequence[Shape], steady: Sequence[Shape], folder: Path) -> dict[str, float]:
    """Measure one cluster."""
    figures = topics.write_inventory()
    figures |= {f"start_{name}": value for name, value in topics.write_batches(start).items()}
    watch = GraphWatch(topics, topics.count_edges(start))
    try:
        first = work(topics, figures["start_observations"], folder, watch)
    finally:
        watch.close()
    figures |= {f"start_{name}": value for name, value in first.items()} | {"edges": len(watch.edges)}
    figures |= {f"steady_{name}": value for name, value in topics.write_batches(steady).items()}
    figures |= {f"steady_{name}": value for name, value in work(topics, figures["steady_observations"], folder).items()}
    return figures | measure_export(topics)


def work(topics: Topics, observations: float, folder: Path, watch: GraphWatch | None = None) -> dict[str, float]:
    """Start a processor, and wait until all is folded and, where it is watched, the graph is complete."""
    settings = {"group": topics.settings.prefix + "group"}
    environment = settings_in_environment(topics.kafka, topics.settings, **settings) | {"WHOCALLS_CLUSTER": CLUSTER}
    started = time.monotonic()
    worker = WorkerProcess(environment, folder / f"{topics.settings.prefix}{time.monotonic_ns()}.log")
    first = last = Sample(worker)
    deadline = started + _PATIENCE_SECONDS
    while last.folded < observations or (watch and watch.complete_at == math.inf):
        assert worker.process.poll() is None, worker.log.read_text()[-2000:]
        assert time.monotonic() < deadline, f"{last.folded:g} of {observations:g} folded"
        time.sleep(0.2)
        last = Sample(worker)
        first = first if last.taken else last
    status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="utf-8")
    assert worker.end() == 0, worker.log.read_text()[-2000:]
    figures = {
        "ready_seconds": first.at - started,
        "observations_per_second": observations / (last.at - first.at),
        "cpu_microseconds_per_observation": (last.cpu - first.cpu) / observations * 1e6,
        "peak_megabytes": int(status.split("VmHWM:")[1].split()[0]) / 1024,
    }
    return figures | ({"complete_graph_seconds": watch.complete_at - started} if watch else {})


def measure_export(topics: Topics) -> dict[str, float]:
    """Export once, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--export", msgspec.json.encode(topics.kafka).decode()]
    started = time.monotonic()
    subprocess.run([*command, "--prefix", topics.settings.prefix], check=True, stdout=subprocess.DEVNULL)
    return {"export_seconds": time.monotonic() - started}


def export(kafka: KafkaSettings, prefix: str) -> None:
    """Be that process."""
    from callgraph.settings import LogSettings  # noqa: PLC0415  (this process alone)
    from callgraph.telemetry import LeanLogger  # noqa: PLC0415
    from sink_exporter.program import run_exporter  # noqa: PLC0415
    from sink_exporter.settings import ExporterSettings  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as out:
        topics, log = TopicSettings(prefix=prefix), LeanLogger(LogSettings(level="error"))
        run_exporter(kafka=kafka, topics=topics, exporter=ExporterSettings(out=out), log=log, once=True)


def arithmetic(figures: Figures, nodes: int) -> dict[str, float]:
    """Multiply what one node sends."""
    node = figures["node"]
    return {
        "busiest_observations_per_second": node["busiest_observations_per_second"] * nodes,
        "busiest_megabytes_per_second": node["busiest_bytes_per_second"] * nodes / 1e6,
        "gigabytes_a_day": node["megabytes_a_day"] * nodes / 1e3,
    }


def _add_workers(figures: Figures, nodes: int) -> None:
    row = figures[f"{nodes}_nodes"]
    cores = row["busiest_observations_per_second"] * row["steady_cpu_microseconds_per_observation"] / 1e6
    row["busiest_cores"] = cores
    row["workers_needed"] = math.ceil(cores / UTILISATION)


def _shapes(sent: Sequence[Sent]) -> list[Shape]:
    return [Shape(each.topic, each.record, tuple(_ends(each.record))) for each in sent if each.record.observations]


def _ends(record: ObservationBatch) -> Iterator[Ends]:
    for each in record.observations:
        server = each.addresses[0] if isinstance(record, DnsAnswerBatch) else each.server_address
        yield _KNOWN[each.client_address, server]


def _addressed(shape: Shape, node: int, workloads: int) -> ObservationBatch:
    """Give a batch the addresses of a node."""
    make = answer_of if isinstance(shape.record, DnsAnswerBatch) else connection_of
    observations = tuple(
        make(*ends_of(workloads, node, place=place, target=target), seen.observed_at)
        for (place, target), seen in zip(shape.ends, shape.record.observations, strict=True)
    )
    return msgspec.structs.replace(shape.record, node=f"node-{node}", observations=observations)


def _observations(sent: Sequence[Sent]) -> int:
    return sum(len(each.record.observations) for each in sent)


def _known_ends() -> dict[tuple[str, str], Ends]:
    """Find a pair by the addresses that `node_day` gives it, in all of its lives."""
    known: dict[tuple[str, str], Ends] = {}
    for life, place, target in itertools.product(range(WORKLOADS // PODS_A_NODE), range(PODS_A_NODE), range(TARGETS)):
        ends = ends_of(WORKLOADS, life, place=place, target=target)
        answer, connection = answer_of(*ends, 0), connection_of(*ends, 0)
        known[answer.client_address, answer.addresses[0]] = (place, target)
        known[connection.client_address, connection.server_address] = (place, target)
    return known


_KNOWN = _known_ends()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1000,5000")
    parser.add_argument("--slice", type=float, default=60, help="seconds of the steady state")
    parser.add_argument("--export", default="", help=argparse.SUPPRESS)
    parser.add_argument("--prefix", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
