"""The whole of whocalls over the box: agents, watcher, two processors, exporter with git, on a secured Kafka. Shell.

The agents run on the nodes, the other roles out here; all speak SASL_SSL with SCRAM. The agent of node-c writes to
topics of its own, from where its batches come with a clock that is ahead.
"""

from __future__ import annotations

import contextlib
import urllib.request
from pathlib import Path
from typing import Any, Self

import yaml

from callgraph.settings import KafkaSettings
from tests.apache_kafka import ApacheKafka, free_ports
from tests.cluster.box import Box
from tests.cluster.exports import read_truths
from tests.cluster.skewed_clock import SkewedClock
from tests.cluster.steps import Truth
from tests.cluster.world import CLUSTER, NODES
from tests.end_to_end.processes import Roles, run_whocalls
from tests.fake_api_server import FakeApiServer
from tests.git_remote import make_remote
from tests.secure_kafka import SecureKafka

SKEWED_NODE, SKEW_SECONDS = "node-c", 1.5
PREFIX, SKEWED_PREFIX = "box.", "ahead."
GROUP, PARTITIONS = "box", 4
PROCESSORS = ("processor-1", "processor-2")
WINDOW_SECONDS = 10
"""How soon an agent repeats what it saw again; 300 by default."""


class Line:
    """All roles, as a context manager; nothing runs before it is asked for."""

    def __init__(self, folder: Path, box: Box, api: FakeApiServer) -> None:
        self._folder = folder
        self._box = box
        self._api = api
        self._cleanup = contextlib.ExitStack()
        self._page = f"127.0.0.1:{free_ports(1)[0]}"
        self.remote = folder / "remote"
        self.config = folder / "whocalls.yaml"

    def __enter__(self) -> Self:
        secure = SecureKafka(self._folder / "secure", self._start_broker)
        self._cleanup.callback(secure.silence.close)
        self._cleanup.enter_context(secure.endpoint)
        make_remote(self.remote)
        self.config.write_text(yaml.safe_dump(self._settings(secure)), encoding="utf-8")
        for prefix in (PREFIX, SKEWED_PREFIX):
            self._whocalls("topics", "apply", f"--topics-prefix={prefix}")
        port = secure.broker.ports["SASL_SSL"]
        for node in NODES:
            self._box.open_port(node, port)
        self._skew = SkewedClock(self.kafka, source=SKEWED_PREFIX, target=PREFIX, seconds=SKEW_SECONDS)
        self._cleanup.callback(self._skew.close)
        self.roles = self._cleanup.enter_context(Roles(self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def kafka(self) -> KafkaSettings:
        """How the tests reach the broker, beside its security."""
        return self.broker.kafka_settings

    def start(self) -> None:
        """Start everything, and wait until the agents capture."""
        for role in ("watcher", *PROCESSORS, "exporter", "serve"):
            self.start_role(role)
        for node in NODES:
            self.start_agent(node)
        for node in NODES:
            self.roles.await_event(f"agent-{node}", "agent_started")

    def start_role(self, name: str) -> None:
        """Start a role out here; what follows the dash tells several of a kind apart."""
        self.roles.start(name, name.partition("-")[0], "--config", str(self.config))

    def start_agent(self, node: str) -> None:
        """Start the agent of a node."""
        prefix = SKEWED_PREFIX if node == SKEWED_NODE else PREFIX
        proc = f"--agent-sockets-proc-root={self._box.proc_of(node)}"
        self.roles.start(
            f"agent-{node}",
            *("agent", "--config", str(self.config), "--agent-node", node, f"--topics-prefix={prefix}", proc),
            wrap=lambda command: self._box.inside(node, command),
        )

    def stop(self) -> None:
        """Stop those who say at their end what they saw, and kill the others, who may be killed at any moment."""
        for name in (*(f"agent-{node}" for node in NODES), "watcher"):
            self.roles.stop(name)
        for name in self.roles.running():
            self.roles.kill(name)

    def read_page(self) -> dict[str, Truth]:
        """Return what the page says, through what it serves for download."""
        with urllib.request.urlopen(f"http://{self._page}/api/v1/export/yaml", timeout=30) as answer:
            (self._folder / "page").mkdir()
            (self._folder / "page" / "graph.yaml").write_bytes(answer.read())
        return read_truths(self._folder / "page")

    def restart_broker(self) -> None:
        """Kill the broker, and start it again."""
        self.broker.kill()
        self.broker.start()

    def replace(self, name: str) -> None:
        """Kill a role, and start another one in its place; an agent is waited for, since nobody captures meanwhile."""
        self.roles.kill(name)
        if name.startswith("agent-"):
            self.bring_agent(name.removeprefix("agent-"))
        else:
            self.start_role(name)

    def bring_agent(self, node: str) -> None:
        """Start the agent of a node, and wait until it captures."""
        self.start_agent(node)
        self.roles.await_event(f"agent-{node}", "agent_started")

    def _start_broker(self, **shape: Any) -> ApacheKafka:
        self.broker = ApacheKafka(self._folder / "kafka", **shape)
        self.broker.start()
        self._cleanup.callback(self.broker.kill)
        return self.broker

    def _settings(self, secure: SecureKafka) -> dict[str, Any]:
        return {
            "cluster": CLUSTER,
            "kafka": secure.kafka("SASL_SSL", "SCRAM-SHA-512"),
            "topics": {"prefix": PREFIX, "partitions": PARTITIONS},
            "agent": {"publish": {"flush_seconds": 0.3}, "suppression": {"window_seconds": WINDOW_SECONDS}},
            "watcher": {"kubeconfig": self._api.write_kubeconfig(self._folder)},
            "processor": {"group": GROUP, "listen": "127.0.0.1:0"},
            "page": {"listen": self._page},
            "exporter": {
                "interval_seconds": 0.3,
                "formats": ["yaml", "json"],
                "git": {"url": str(self.remote)},
            },
        }

    def _whocalls(self, *arguments: str) -> None:
        made = run_whocalls(*arguments, "--config", str(self.config))
        assert made.returncode == 0, made.stderr
