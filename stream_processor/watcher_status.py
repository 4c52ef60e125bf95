"""What the watcher says of itself: metrics, health and readiness, over HTTP. Shell: prometheus_client, http.server."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from callgraph.errors import ConfigurationError, PortTakenError
from callgraph.metrics import METRICS

_PATIENCE_SECONDS = 120.0
"""The publisher turns every second; a minute or so is what Kafka may take to acknowledge."""


class Answer(NamedTuple):
    """Good or not, and one line of why."""

    good: bool
    why: str


class WatcherStatus:
    """Metrics by their declared names, and what readiness and health go by. Written by one thread, read by others."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Any] = {
            metric.name: (Counter if metric.kind == "counter" else Gauge)(
                metric.name, metric.about, metric.labels, registry=self._registry
            )
            for metric in METRICS
            if metric.program == "watcher"
        }
        self._turned_at = time.monotonic()
        self.readiness = Answer(good=False, why="starting")

    def metric(self, name: str, **labels: str) -> Any:
        """Return a counter or gauge; `name` without the program's prefix."""
        found = self._metrics[f"whocalls_watcher_{name}"]
        return found.labels(**labels) if labels else found

    def turn(self) -> None:
        """Note that the publisher's loop is alive."""
        self._turned_at = time.monotonic()

    def health(self) -> Answer:
        """Judge whether the loop stands still."""
        idle = time.monotonic() - self._turned_at
        return Answer(good=idle < _PATIENCE_SECONDS, why=f"last turn {idle:.0f} s ago")

    def exposition(self) -> bytes:
        """Render the text exposition format."""
        return generate_latest(self._registry)


def serve_status(status: WatcherStatus, listen: str) -> ThreadingHTTPServer:
    """Serve /metrics, /healthz and /readyz in a thread, until `shutdown`. Raises PortTakenError."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise ConfigurationError(f"watcher.listen is {listen!r}, not HOST:PORT (for instance 127.0.0.1:6067)")
    handler = type("Handler", (_Handler,), {"status": status})
    try:
        server = ThreadingHTTPServer((host.strip("[]"), int(port)), handler)
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on {listen!r}: {error.strerror} (choose another watcher.listen)"
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    status: WatcherStatus
    timeout = 10  # a client that says nothing does not keep a thread

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, self.status.exposition(), CONTENT_TYPE_LATEST)
        elif self.path in ("/healthz", "/readyz"):
            answer = self.status.health() if self.path == "/healthz" else self.status.readiness
            self._answer(200 if answer.good else 503, f"{answer.why}\n".encode())
        else:
            self._answer(404, b"/metrics, /healthz, /readyz\n")

    def _answer(self, code: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A line for each scrape helps nobody."""
