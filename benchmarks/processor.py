"""How many observations one stream processor takes through the whole line, beside what the same functions could.

`python -m benchmarks.processor [--pods N] [--batches N] [--rounds N] [--only NAME,NAME]`, on Apache Kafka, all of it on
this machine:
- `faust_batched`: `whocalls processor`, batches of 500 observations in JSON: fetch, decode, resolve, send calls, fetch
  them, fold, publish;
- `bare_loop`: a plain aiokafka loop that calls the same pure functions, without the way through the calls topic and
  without groups, holding or acknowledging: the ceiling;
- `faust_single`: `whocalls processor` with one observation a message;
- `faust_large`, once: as `faust_batched`, with 100,000 pods, until there are some 90,000 edges, for its memory.
The contenders take turns; figures are medians. CPU is user and system time of the process, from the first observation
to the last edge.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from benchmarks.large_cluster import CLUSTER, make_records
from benchmarks.processor_load import make_load
from benchmarks.report import gather, report
from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import InventoryRecord, WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, full_name
from tests.brokers import ApacheKafka, fetch_jars
from tests.worker_processes import WorkerProcess, settings_in_environment

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_SECONDS = 300
_LARGE, _LARGE_BATCHES, _SIZE = 100_000, 1_000, 500
_PACKAGES = ("faust-streaming", "aiokafka", "msgspec", "confluent-kafka")


class Load:
    """Topics filled with an inventory and batches."""

    def __init__(self, kafka: KafkaSettings, *, pods: int, batches: int, size: int) -> None:
        self.kafka = kafka
        self.topics = TopicSettings(prefix=f"bench-{uuid.uuid4().hex[:8]}.", create=True)
        self.observations = batches * size
        Broker(kafka).require_topics(TOPICS, self.topics)
        producer = Producer(producer_config(kafka, client_id="bench") | {"queue.buffering.max.messages": 1_000_000})
        records = [*make_records(pods), WatermarkRecord(cluster=CLUSTER, at=2**63 - 1)]
        for record in records:
            key = encode_key(CLUSTER, type(record).__name__, getattr(record, "uid", ""))
            self._send(producer, "inventory", key, encode(InventoryRecord(object=record)))
        for topic, key, value in make_load(pods, batches=batches, size=size):
            self._send(producer, topic, key, value)
        assert producer.flush(120) == 0

    def _send(self, producer: Producer, topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                producer.produce(full_name(topic, self.topics), value, key)
            except BufferError:
                producer.poll(0.1)
            else:
                producer.poll(0)
                return


class Sample:
    """How far a worker was at a moment, and what it had used by then."""

    def __init__(self, worker: WorkerProcess) -> None:
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        self.cpu = (int(fields[11]) + int(fields[12])) / _TICKS
        self.at = time.monotonic()
        page = worker.get("/metrics")[1].splitlines()
        self.taken = _sum(page, "whocalls_processor_observations_total{")
        self.folded = _sum(page, "whocalls_processor_folded_total ")


def measure_worker(load: Load, folder: Path) -> dict[str, float]:
    """Run a worker over the load, from the last moment before it takes anything until everything is folded."""
    settings = {"group": load.topics.prefix + "group", "last_seen_seconds": 60}
    environment = settings_in_environment(load.kafka, load.topics, **settings) | {"WHOCALLS_CLUSTER": CLUSTER}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    worker = WorkerProcess(environment, folder / f"{load.topics.prefix}log")
    first = last = Sample(worker)
    while last.folded < load.observations:
        assert worker.process.poll() is None, worker.log.read_text()
        assert time.monotonic() < deadline, worker.get("/metrics")[1]
        time.sleep(0.05)
        last = Sample(worker)
        first = first if last.taken else last
    peak = _peak_megabytes(worker.process.pid)
    assert worker.end() == 0, worker.log.read_text()
    return {
        "observations_per_second": load.observations / (last.at - first.at),
        "cpu_microseconds_per_observation": (last.cpu - first.cpu) / load.observations * 1e6,
        "peak_megabytes": peak,
    }


def measure_bare_loop(load: Load) -> dict[str, float]:
    """Run the bare loop over the load, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.processor_ceiling", load.kafka.bootstrap_servers]
    command += [load.topics.prefix, str(load.observations)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def _sum(page: list[str], start: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in page if line.startswith(start))


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


class Contender(NamedTuple):
    """How a contender is measured, over which load, and how often."""

    measure: Callable[[Load], dict[str, float]]
    pods: int
    batches: int
    size: int
    rounds: int


def contenders(options: argparse.Namespace, folder: Path) -> dict[str, Contender]:
    """Return all contenders, or those that were asked for, by name."""
    work = partial(measure_worker, folder=folder)
    pods, batches, rounds = options.pods, options.batches, options.rounds
    found = {
        "faust_batched": Contender(work, pods, batches, _SIZE, rounds),
        "bare_loop": Contender(measure_bare_loop, pods, batches, _SIZE, rounds),
        "faust_single": Contender(work, pods, batches * 5, 1, rounds),
        "faust_large": Contender(work, _LARGE, _LARGE_BATCHES, _SIZE, 1),
    }
    return {name: found[name] for name in options.only.split(",")} if options.only else found


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--batches", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    options = parser.parse_args()
    fetch_jars()
    rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="whocalls-bench-") as scratch:
        folder = Path(scratch)
        broker = ApacheKafka(folder / "kafka")
        broker.start()
        try:
            for number in range(options.rounds):
                for name, (measure, pods, batches, size, most) in contenders(options, folder).items():
                    if number < most:
                        load = Load(broker.kafka_settings, pods=pods, batches=batches, size=size)
                        rounds[name].append(measure(load))
        finally:
            broker.stop()
    measured = gather(rounds)
    if {"faust_batched", "bare_loop"} <= measured.keys():
        measured["faust_batched"]["share_of_ceiling"] = [
            faust["observations_per_second"] / bare["observations_per_second"]
            for faust, bare in zip(rounds["faust_batched"], rounds["bare_loop"], strict=True)
        ]
    report("processor", measured, packages=_PACKAGES)


if __name__ == "__main__":
    main()
