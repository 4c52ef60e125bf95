"""Whether a stream processor's memory stays where it is, however much it has read.

`python -m benchmarks.processor_memory [--million 20] [--pods N]`, on Apache Kafka: the same batches of 500 observations
are sent again and again, as fast as the worker takes them. Out: its resident memory after each million, and the slope
of a line through those of the second half.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.large_cluster import CLUSTER
from benchmarks.processor import Load, Sample
from benchmarks.processor_load import make_load
from benchmarks.report import report
from callgraph.clients import producer_config
from callgraph.topics import full_name
from tests.brokers import ApacheKafka, fetch_jars
from tests.worker_processes import WorkerProcess, settings_in_environment

SIZE = 500
MOST_AHEAD = 2_000_000
"""Observations that may wait in Kafka."""
DIFFERENT_BATCHES = 2_000


def measure_memory(load: Load, folder: Path, *, pods: int, millions: int) -> list[tuple[float, float]]:
    """Return millions of observations and megabytes, about once a million."""
    settings = {"group": load.topics.prefix + "group", "last_seen_seconds": 60}
    environment = settings_in_environment(load.kafka, load.topics, **settings) | {"WHOCALLS_CLUSTER": CLUSTER}
    worker = WorkerProcess(environment, folder / "memory.log")
    worker.await_ready()
    producer = Producer(producer_config(load.kafka, client_id="bench") | {"queue.buffering.max.messages": 100_000})
    batches = cycle(list(make_load(pods, batches=DIFFERENT_BATCHES, size=SIZE)))
    sent, folded, rows = 0.0, 0.0, []
    while folded < millions * 1e6:
        while sent < millions * 1e6 and sent - folded < MOST_AHEAD:
            topic, key, value = next(batches)
            producer.produce(full_name(topic, load.topics), value, key)
            producer.poll(0)
            sent += SIZE
        producer.flush(60)
        folded = Sample(worker).folded
        if folded >= (len(rows) + 1) * 1e6:
            rows.append((folded / 1e6, _resident_megabytes(worker.process.pid)))
            sys.stderr.write(f"{rows[-1][0]:6.1f} million observations, {rows[-1][1]:6.1f} MB\n")
        assert worker.process.poll() is None, worker.log.read_text()
        time.sleep(0.2)
    assert worker.end() == 0, worker.log.read_text()
    return rows


def slope(rows: list[tuple[float, float]]) -> float:
    """Return the slope of the line of least squares."""
    count = len(rows)
    mean_x, mean_y = sum(x for x, _ in rows) / count, sum(y for _, y in rows) / count
    return sum((x - mean_x) * (y - mean_y) for x, y in rows) / sum((x - mean_x) ** 2 for x, _ in rows)


def _resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--million", type=int, default=20)
    options = parser.parse_args()
    fetch_jars()
    with tempfile.TemporaryDirectory(prefix="whocalls-bench-") as scratch:
        broker = ApacheKafka(Path(scratch) / "kafka", properties={"log.segment.bytes": f"{64 * 2**20}"})
        broker.start()
        try:
            load = Load(broker.kafka_settings, pods=options.pods, batches=0, size=1)
            rows = measure_memory(load, Path(scratch), pods=options.pods, millions=options.million)
        finally:
            broker.stop()
    later = rows[len(rows) // 2 :]
    figures = {
        "million_observations": rows[-1][0],
        "megabytes_at_first": rows[0][1],
        "megabytes_at_last": rows[-1][1],
        "most_megabytes": max(megabytes for _, megabytes in rows),
        "slope_megabytes_per_million": slope(later),
    }
    report("processor_memory", {"faust_batched": figures}, packages=("faust-streaming", "aiokafka", "msgspec"))


if __name__ == "__main__":
    main()
