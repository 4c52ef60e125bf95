"""Kill everything and compare: `python -m tests.chaos [--seconds 600] [--seed 1] [--only NAME]`.

Three runs on Apache Kafka, loopback only; the exit code is 5 where one of them does not hold:
- `all`: agents, workers, watcher, exporter and broker are killed (-9) at random moments and started again;
- `kills`: 14 kills of workers and exporter in 75 s at 10,000 observations/s; every edge seen once must be exported;
- `reuse`: addresses have a new owner every second, and the inventory says so 2 s late; the workers are killed twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import AddressInterval, InventoryRecord, PodRecord, WatermarkRecord
from callgraph.topics import full_name
from tests.apache_kafka import ApacheKafka
from tests.brokers import fetch_jars
from tests.chaos.roles import Brokers, make_cast
from tests.chaos.run import Plan, Run, Verdict
from tests.chaos.schedule import plan_faults
from tests.chaos.traffic import (
    ADDRESSES_REUSED,
    CLUSTER,
    PODS,
    SECOND,
    Traffic,
    late_pods,
    life_name,
    pod_address,
    reused_address,
)
from tests.fake_api_server import FakeApiServer
from tests.kube_objects import BORN, a_node, a_pod

_HEAD_START_SECONDS = 10
"""Between the plan and the first observation: the roles start meanwhile."""
_LATE_SECONDS = 2
_AFTERWARDS = 60


def run_all(folder: Path, broker: ApacheKafka, *, seconds: int, seed: int) -> Verdict:
    """Kill whatever there is."""
    roles = ["agent-0", "agent-1", "worker-0", "worker-1", "watcher", "exporter", "broker"]
    faults = plan_faults(roles, count=max(len(roles), seconds // 9), first=5, last=seconds * 0.85, seed=seed)
    planted = ("dns-answers", "connections", "calls", "inventory")
    settings = {"processor_last_seen_seconds": 5}
    plan = Plan(_traffic("steady", seconds, rate=250), faults, settings, planted=planted)
    with _cluster(folder) as (server, kubeconfig):
        run = Run(plan, folder, broker.kafka_settings)
        run.add(Brokers(broker))
        run.add(_watcher(run, folder, broker, kubeconfig))
        return run.play(_pods_come(server))


def run_kills(folder: Path, broker: ApacheKafka, *, seconds: int, seed: int) -> Verdict:
    """Kill workers and exporter fourteen times."""
    seconds = min(seconds, 75)
    faults = plan_faults(["worker-0", "exporter", "worker-1"], count=14, first=3, last=seconds - 3, seed=seed)
    plan = Plan(
        _traffic("steady", seconds, rate=5_000), faults, {"processor_last_seen_seconds": 5}, exported_within=180
    )
    with _cluster(folder) as (server, kubeconfig):
        run = Run(plan, folder, broker.kafka_settings)
        run.add(_watcher(run, folder, broker, kubeconfig))
        return run.play(_pods_come(server))


def run_reuse(folder: Path, broker: ApacheKafka, *, seconds: int, seed: int) -> Verdict:
    """Say who has an address only when its next owner has it already."""
    seconds = min(seconds, 30)
    faults = plan_faults(["worker-0", "worker-1"], count=2, first=5, last=seconds - 5, seed=seed)
    quick = {"attribution_tolerance_seconds": 0.2, "attribution_hold_seconds": 0.5, "processor_last_seen_seconds": 1}
    plan = Plan(_traffic("lives", seconds, rate=ADDRESSES_REUSED)._replace(nodes=1), faults, quick)
    run = Run(plan, folder, broker.kafka_settings)
    return run.play(LateInventory(run, broker, plan.traffic).say)


class LateInventory:
    """An inventory that is told two seconds after the fact, and its watermark with it."""

    def __init__(self, run: Run, broker: ApacheKafka, traffic: Traffic) -> None:
        self._topic = full_name("inventory", run.topics)
        self._traffic = traffic
        self._producer = Producer(producer_config(broker.kafka_settings, client_id="chaos-inventory"))
        self._send(PodRecord(**_identity("pod-0"), addresses=(AddressInterval(address=pod_address(0), from_at=BORN),)))

    def say(self, slot: int) -> None:
        """Say what happened two seconds before this slot; with the last one also what will, and that it was all."""
        is_last = slot + 1 == self._traffic.slots
        for then in range(slot - _LATE_SECONDS, slot + _AFTERWARDS if is_last else slot - _LATE_SECONDS + 1):
            self._say_what_happened(then)
        self._producer.flush(30)

    def _say_what_happened(self, slot: int) -> None:
        at = self._traffic.began_at + slot * SECOND
        for number in range(ADDRESSES_REUSED):
            if 0 < slot <= self._traffic.slots:
                self._send(_life(number, slot - 1, at - SECOND, ended_at=at))
            if 0 <= slot < self._traffic.slots:
                self._send(_life(number, slot, at, ended_at=None))
        self._send(WatermarkRecord(cluster=CLUSTER, at=at))

    def _send(self, record: PodRecord | WatermarkRecord) -> None:
        key = encode_key(CLUSTER, type(record).__name__, getattr(record, "uid", ""))
        self._producer.produce(self._topic, encode(InventoryRecord(object=record)), key=key)


def _life(number: int, slot: int, began_at: int, *, ended_at: int | None) -> PodRecord:
    interval = AddressInterval(address=reused_address(number), from_at=began_at, to_at=ended_at)
    identity = _identity(life_name(number, slot)) | {"created_at": began_at}
    return PodRecord(**identity, addresses=(interval,), ended_at=ended_at)


def _identity(name: str) -> dict[str, object]:
    return {"cluster": CLUSTER, "namespace": "shop", "name": name, "uid": f"uid-{name}", "node": "node-0"}


def _traffic(kind: str, seconds: int, *, rate: int) -> Traffic:
    began_at = (time.time_ns() // SECOND + _HEAD_START_SECONDS) * SECOND
    return Traffic(kind, began_at, seconds, rate)


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[FakeApiServer, str]]:
    with FakeApiServer() as server:
        server.put(a_node("node-0"), a_node("node-1", "192.168.1.11"))
        server.put(*(a_pod(f"pod-{pod}", pod_address(pod)) for pod in range(PODS)))
        yield server, server.write_kubeconfig(folder)


def _pods_come(server: FakeApiServer) -> Callable[[int], None]:
    def come(slot: int) -> None:
        for name, address in late_pods(slot):
            server.put(a_pod(name, address))

    return come


def _watcher(run: Run, folder: Path, broker: ApacheKafka, kubeconfig: str):
    make = make_cast(folder, broker.kafka_settings, run.topics)
    return make("watcher", ["whocalls", "watcher"], watcher_kubeconfig=kubeconfig)


def _text(name: str, verdict: Verdict) -> str:
    lines = [f"{name}: {verdict.edges} edges, {verdict.observations} observations"]
    lines += [
        f"at {fault.at:6.1f} s  {fault.role:9} killed, away {fault.away:.1f} s, recovered after {seconds:5.1f} s"
        for fault, seconds in verdict.recovered
    ]
    lines += [
        f"{what} ended by itself {count} times, and was started again"
        for what, count in verdict.ended_by_themselves.items()
    ]
    lines += verdict.problems or ["the graph is the ground truth, and so is the export"]
    return "\n  ".join(lines) + "\n"


_RUNS = {"all": run_all, "kills": run_kills, "reuse": run_reuse}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(_RUNS))
    options = parser.parse_args()
    fetch_jars()
    wrong = False
    for name in [options.only] if options.only else _RUNS:
        with tempfile.TemporaryDirectory(prefix=f"whocalls-chaos-{name}-") as scratch:
            broker = ApacheKafka(Path(scratch) / "kafka")
            broker.start()
            try:
                verdict = _RUNS[name](Path(scratch), broker, seconds=options.seconds, seed=options.seed)
            finally:
                broker.stop()
        sys.stdout.write(_text(name, verdict))
        sys.stdout.flush()
        wrong |= bool(verdict.problems)
    return 5 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
