"""How long a stream processor takes until it is ready, with a large cluster behind it, and what it holds then.

`python -m benchmarks.processor_recovery [--pods N] [--edges N]`, on Apache Kafka: the inventory and the call graph are
filled, then a worker is started: seconds from the start of the process to `/readyz`, and its resident memory there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.large_cluster import BORN, CLUSTER, SECOND
from benchmarks.processor import Load
from benchmarks.report import report
from callgraph.clients import producer_config
from callgraph.codec import encode
from callgraph.records import Applied, Edge, Workload
from callgraph.topics import full_name
from stream_processor.fold import edge_key, with_exemplars
from tests.brokers import ApacheKafka, fetch_jars
from tests.worker_processes import WorkerProcess, settings_in_environment


def make_edges(count: int, *, workloads: int = 10_000) -> Iterator[Edge]:
    """Yield edges with the bookkeeping of four nodes in each."""
    for number in range(count):
        client, server = number % workloads, (number * 7 + number // workloads) % workloads
        applied = {
            f"whocalls.dns-answers/{(number + node) % 12}": Applied(
                floor=10_000 + number, offsets={f"{10_100 + number}": "4"}
            )
            for node in range(4)
        }
        edge = Edge(
            client=_workload(client),
            server=_workload(server),
            evidence=("dns",),
            dns_names=(f"app-{server}.team-{server % 40}.svc.cluster.local",),
            services=(f"team-{server % 40}/app-{server}",),
            nodes=tuple(f"node-{number % 1000 + node}" for node in range(4)),
            first_seen=BORN,
            last_seen=BORN + number * SECOND,
            observations=number + 1,
            applied=applied,
        )
        yield with_exemplars(edge)


def fill_graph(load: Load, count: int) -> None:
    """Publish the edges."""
    producer = Producer(producer_config(load.kafka, client_id="bench") | {"queue.buffering.max.messages": 1_000_000})
    topic = full_name("call-graph", load.topics)
    for edge in make_edges(count):
        producer.produce(topic, encode(edge), edge_key(edge))
        producer.poll(0)
    assert producer.flush(120) == 0


def measure_recovery(load: Load, folder: Path) -> dict[str, float]:
    """Start a worker and wait until it is ready."""
    environment = settings_in_environment(load.kafka, load.topics) | {"WHOCALLS_CLUSTER": CLUSTER}
    started = time.monotonic()
    worker = WorkerProcess(environment, folder / "recovery.log")
    worker.await_ready()
    ready = time.monotonic() - started
    (restored,) = worker.lines("edges_restored")
    status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith(("VmRSS", "VmHWM"))}
    assert worker.end() == 0, worker.log.read_text()
    return {
        "ready_seconds": ready,
        "rss_megabytes": kilobytes["VmRSS"] / 1024,
        "peak_megabytes": kilobytes["VmHWM"] / 1024,
        "edges": restored["edges"],
    }


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=100_000)
    parser.add_argument("--edges", type=int, default=100_000)
    options = parser.parse_args()
    fetch_jars()
    with tempfile.TemporaryDirectory(prefix="whocalls-bench-") as scratch:
        broker = ApacheKafka(Path(scratch) / "kafka")
        broker.start()
        try:
            load = Load(broker.kafka_settings, pods=options.pods, batches=0, size=1)
            fill_graph(load, options.edges)
            figures = {"recovery": measure_recovery(load, Path(scratch))}
        finally:
            broker.stop()
    report("processor_recovery", figures, packages=("aiokafka", "msgspec"))


def _workload(number: int) -> Workload:
    return Workload(cluster=CLUSTER, namespace=f"team-{number % 40}", kind="Deployment", name=f"app-{number}")


if __name__ == "__main__":
    main()
