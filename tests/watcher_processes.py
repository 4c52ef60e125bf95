"""Watchers as processes of a test: started, watched, killed. Shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from callgraph.settings import KafkaSettings, TopicSettings


class WatcherProcess:
    """`whocalls watcher`, with its log in a file."""

    def __init__(
        self,
        kubeconfig: str,
        log: Path,
        *,
        kafka: KafkaSettings,
        topics: TopicSettings,
        pod: Path | None = None,
        **watcher: str,
    ) -> None:
        """`pod`: run as in a pod whose service account is this folder, by mounts of the process's own (root)."""
        self.log = log
        settings = {
            "CLUSTER": "east",
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_EMBEDDED": str(kafka.embedded).lower(),
            "TOPICS_PREFIX": topics.prefix,
            "TOPICS_CREATE": "true",
            "LOG_FORMAT": "json",
            "WATCHER_KUBECONFIG": kubeconfig,
        } | {f"WATCHER_{name.upper()}": value for name, value in watcher.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WHOCALLS_")}
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*(_as_in_a_pod(pod) if pod else ()), sys.executable, "-m", "whocalls", "watcher"],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=inherited | {f"WHOCALLS_{name}": value for name, value in settings.items()},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event so far."""
        found = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in found if line["event"] == event]


def _as_in_a_pod(account: Path) -> list[str]:
    place = "/run/secrets/kubernetes.io/serviceaccount"
    mounts = f'mount -t tmpfs none /run && mkdir -p {place} && mount --bind "$0" {place} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mounts, str(account)]
