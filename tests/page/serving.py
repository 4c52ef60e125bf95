"""`whocalls serve` as a process of a test. Shell."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.codec import encode, encode_key
from callgraph.records import CoverageRecord, Edge
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import find_topic, full_name


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def await_that(holds, *, seconds: float = 60.0, what: str = "it") -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)


class ServeProcess:
    """One running page; it may be stopped and started again at the same port."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "serve.log"
        self._arguments = arguments
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("WHOCALLS_")}
        self._environment |= environment or {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> ServeProcess:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "whocalls", "serve", f"--page-listen=127.0.0.1:{self.port}", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment,
            )
        await_that(self.is_ready, what="readiness")
        return self

    def is_ready(self) -> bool:
        """Ask /readyz; an end of the process is told with its last words."""
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        return self.get("readyz")[0] == 200

    def stop(self, *, kill: bool = False) -> int:
        """End it, return the code that it ended with."""
        assert self.process
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        return self.process.wait(60)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Ask for a path; status 0 where nobody listens."""
        request = urllib.request.Request(
            self.address + path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()
        except (urllib.error.URLError, ConnectionError):
            return 0, {}, b""

    def ask(self, method: str, path: str) -> int:
        """Send a request without a body; returns its status."""
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.address + path, method=method), timeout=30
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def metric(self, name: str) -> float:
        """Return one metric without labels."""
        text = self.get("metrics")[2].decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def resident_bytes(self) -> int:
        """Return the memory that the process holds."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


class Topic:
    """The call-graph topic of a test, to write to."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        Broker(kafka).require_topics([find_topic("call-graph"), find_topic("coverage")], topics)
        self._topic = full_name("call-graph", topics)
        self._coverage_topic = full_name("coverage", topics)
        self._producer = Producer(producer_config(kafka, client_id="test"))
        self.environment = {
            "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "WHOCALLS_KAFKA_EMBEDDED": str(kafka.embedded).lower(),
            "WHOCALLS_TOPICS_PREFIX": topics.prefix,
            "WHOCALLS_TOPICS_CREATE": "true",
            "WHOCALLS_TOPICS_PARTITIONS": str(topics.partitions),
        }

    def publish(self, *edges: Edge) -> None:
        """Write edges and wait for the broker."""
        for edge in edges:
            self._producer.produce(self._topic, key=_key_of(edge), value=encode(edge))
        assert self._producer.flush(60) == 0

    def cover(self, *records: CoverageRecord) -> None:
        """Say what the graph rests on and wait for the broker."""
        for record in records:
            self._producer.produce(self._coverage_topic, key=encode_key(record.node), value=encode(record))
        assert self._producer.flush(60) == 0

    def delete(self, edge: Edge) -> None:
        """Write the tombstone of an edge."""
        self._producer.produce(self._topic, key=_key_of(edge), value=None)
        assert self._producer.flush(60) == 0


def _key_of(edge: Edge) -> bytes:
    ends = (edge.client, edge.server)
    parts = [part for end in ends for part in (end.cluster, end.namespace, end.kind, end.name)]
    return encode_key(*parts, edge.server_port, edge.network_transport)


def read_events(text: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read server-sent events: name and data."""
    for block in text.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            yield fields["event"], json.loads(fields["data"])
