"""The programs of the chaos as processes: started, killed, started again, as a supervisor would. Shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from callgraph.settings import KafkaSettings, TopicSettings
from tests.apache_kafka import ApacheKafka
from tests.chaos.traffic import CLUSTER
from tests.worker_processes import settings_in_environment
from whocalls.child_process import ends_with_parent


class Role(Protocol):
    """Something that can be killed and started again."""

    name: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def ended_by_itself(self) -> int | None: ...


class Program:
    """A command of ours, with its log in a file."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = [sys.executable, "-m", *command]
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("WHOCALLS_")
        } | environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                ends_with_parent(self._command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment,
            )

    def kill(self) -> None:
        """End it as the kernel ends what has no memory left."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def ended_by_itself(self) -> int | None:
        """Return the exit code of a process that nobody killed; None while it runs."""
        return self._process.poll() if self._process else None


class Brokers:
    """Apache Kafka, in the same manner."""

    name = "broker"

    def __init__(self, broker: ApacheKafka) -> None:
        self._broker = broker

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._broker.start()

    def kill(self) -> None:
        """End it as a power failure would."""
        self._broker.kill()

    def ended_by_itself(self) -> int | None:
        """It does not."""
        return None


def make_cast(folder: Path, kafka: KafkaSettings, topics: TopicSettings) -> Callable[..., Program]:
    """Return a function that makes programs of this cluster and this broker."""

    def make(name: str, command: list[str], **settings: object) -> Program:
        environment = settings_in_environment(kafka, topics) | {
            "WHOCALLS_CLUSTER": CLUSTER,
            **{f"WHOCALLS_{key.upper()}": f"{value}" for key, value in settings.items()},
        }
        return Program(name, command, environment, folder / f"{name}.log")

    return make


def journal_of(folder: Path, node: int) -> Path:
    """Name the file in which an agent notes what the broker has."""
    return folder / f"agent-{node}.journal"
