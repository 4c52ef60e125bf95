"""How long a stream processor takes until it is ready, with a large cluster behind it, and what it holds then.

`python -m benchmarks.processor_recovery [--pods N] [--edges N]`, on Apache Kafka: the inventory and the call graph are
filled, then a worker is started: seconds from the start of the process to `/readyz`, and its resident memory there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.large_cluster import CLUSTER
from benchmarks.processor import Load
from benchmarks.processor_graph import fill_graph
from benchmarks.report import report
from tests.brokers import ApacheKafka, fetch_jars
from tests.worker_processes import WorkerProcess, settings_in_environment


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
            fill_graph(load.kafka, load.topics, options.edges)
            figures = {"recovery": measure_recovery(load, Path(scratch))}
        finally:
            broker.stop()
    report("processor_recovery", figures, packages=("aiokafka", "msgspec"))


if __name__ == "__main__":
    main()
