"""Stream processors as processes of a test: started, watched, killed. Shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callgraph.settings import KafkaSettings, TopicSettings


def await_that(holds: Callable[[], object], *, seconds: float = 40.0, what: str = "it") -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)


def settings_in_environment(kafka: KafkaSettings, topics: TopicSettings, **processor: Any) -> dict[str, str]:
    """Spell settings as the environment has them."""
    return {
        "WHOCALLS_CLUSTER": "here",
        "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "WHOCALLS_KAFKA_EMBEDDED": str(kafka.embedded).lower(),
        "WHOCALLS_KAFKA_CONNECT_SECONDS": f"{kafka.connect_seconds:g}",
        "WHOCALLS_TOPICS_PREFIX": topics.prefix,
        "WHOCALLS_TOPICS_CREATE": str(topics.create).lower(),
        "WHOCALLS_TOPICS_PARTITIONS": str(topics.partitions),
        "WHOCALLS_LOG_FORMAT": "json",
        "WHOCALLS_PROCESSOR_GROUP": topics.prefix + "processor",
        "WHOCALLS_PROCESSOR_LISTEN": "127.0.0.1:0",
    } | {f"WHOCALLS_PROCESSOR_{name.upper()}": f"{value}" for name, value in processor.items()}


class WorkerProcess:
    """`whocalls processor`, with its log in a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "whocalls", "processor"],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={name: value for name, value in os.environ.items() if not name.startswith("WHOCALLS_")}
                | environment,
            )
        self._skipped = 0

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def get(self, path: str) -> tuple[int, str]:
        """Ask the status page; 0 while there is none."""
        opened = self.lines("status_page_opened")
        if not opened:
            assert self.process.poll() is None, self.log.read_text()
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{opened[-1]['port']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, line: str) -> float:
        """Return the value of a metric, given with its labels."""
        values = [
            text.rpartition(" ")[2] for text in self.get("/metrics")[1].splitlines() if text.startswith(line + " ")
        ]
        return float(values[0]) if values else 0.0

    def await_ready(self) -> None:
        """Wait until the worker takes part in the work."""
        await_that(lambda: self.get("/readyz")[0] == 200, what="readiness")

    def kill(self) -> None:
        """Kill it as the kernel kills: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        """Ask it to end; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)
