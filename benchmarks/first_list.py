"""What the first list of a large cluster costs the watcher: a real process between a fake API server and a real broker.

`python -m benchmarks.first_list [--pods N]`: 100k pods of 8 KB as a streaming list, and 20k in pages of 500. The API
server is another process. Of the watcher, from its start to its first watermark, which stands for all of them:
user and system CPU seconds, the interpreter's own start included, and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.large_cluster import pod_json
from benchmarks.report import Figures, report
from callgraph.records import PodRecord, WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from tests.apache_kafka import ApacheKafka
from tests.fake_api_server import FakeApiServer
from tests.inventory_records import read_back
from tests.watcher_processes import WatcherProcess

PODS = 100_000
PAGED_SHARE = 5
"""Of the pods, a fifth in pages: the fake server looks through all of them for each page."""
_PATIENCE_SECONDS = 300.0


def serve(folder: Path, *, pods: int, watch_list: str) -> None:
    """Serve a large cluster until stdin ends."""
    with FakeApiServer() as server:
        server.switches.watch_list = watch_list
        server.store.load([_share(json.loads(pod_json(number))) for number in range(pods)], revision=pods)
        server.write_kubeconfig(folder)
        print("ready", flush=True)
        sys.stdin.read()


def _share(pod: dict[str, Any], shared: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006  (it is to be kept)
    """Hold the padding, three quarters of a pod, once."""
    fields = pod["metadata"]["managedFields"]
    pod["metadata"]["managedFields"] = shared.setdefault("fields", fields)
    pod["metadata"]["resourceVersion"] = "1"
    return {"apiVersion": "v1", "kind": "Pod", **pod}


def measure(kafka: KafkaSettings, folder: Path, *, pods: int, watch_list: str) -> dict[str, float]:
    """Run a watcher up to its first watermark."""
    command = [sys.executable, "-m", "benchmarks.first_list", "--pods", str(pods), "--serve", str(folder)]
    server = subprocess.Popen([*command, watch_list], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        topics = TopicSettings(prefix=f"bench-{uuid.uuid4().hex[:8]}.", create=True)
        started = time.monotonic()
        watcher = WatcherProcess(str(folder / "kubeconfig.yaml"), folder / "log", kafka=kafka, topics=topics)
        _await_synced(watcher)
        seconds, peak = time.monotonic() - started, _peak_bytes(watcher.process.pid)
        watcher.process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(watcher.process.pid, 0)
        watcher.process.returncode = status
        assert status == 0, watcher.log.read_text()
    finally:
        server.communicate()
    records = read_back(kafka, topics)
    assert sum(isinstance(each, PodRecord) for each in records) == pods
    assert isinstance(records[-1], WatermarkRecord)
    return {
        "pods": pods,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_resident_bytes": peak,
        "wall_seconds": seconds,
    }


def _peak_bytes(pid: int) -> int:
    """Read the peak from /proc: what wait4 tells is at least what the parent held when it forked."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def _await_synced(watcher: WatcherProcess) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not watcher.lines("inventory_synced"):
        assert watcher.process.poll() is None, watcher.log.read_text()
        assert time.monotonic() < deadline, watcher.log.read_text()
        time.sleep(0.2)


def measure_all(pods: int = PODS) -> Figures:
    """Measure both ways to list. Raises NoApacheKafkaError."""
    with tempfile.TemporaryDirectory(prefix="whocalls-bench-") as scratch:
        kafka = ApacheKafka(Path(scratch) / "kafka")
        kafka.start()
        try:
            ways = (("first_list", "served", pods), ("first_list_in_pages", "forbidden", pods // PAGED_SHARE))
            return {
                subject: measure(kafka.kafka_settings, Path(tempfile.mkdtemp(dir=scratch)), pods=count, watch_list=way)
                for subject, way, count in ways
            }
        finally:
            kafka.stop()


def main() -> None:
    """Measure, and report; or be the API server of a measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_list", description=__doc__)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "WATCH_LIST"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(Path(given.serve[0]), pods=given.pods, watch_list=given.serve[1])
    else:
        report("first_list", measure_all(given.pods), packages=("msgspec", "kubernetes", "confluent-kafka"))


if __name__ == "__main__":
    main()
