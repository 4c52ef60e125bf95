"""/metrics, /healthz and /readyz of the exporter. Shell: an HTTP server on a thread of its own.

Health means that the main loop was alive within two minutes; ready, that a complete graph has been exported once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from callgraph.errors import ConfigurationError, PortTakenError
from callgraph.metrics import METRICS, SERVICE_GRAPH
from sink_exporter.coverage import Coverage
from sink_exporter.edge_table import EdgeTable
from sink_exporter.service_graph import count_pairs

_STALLED_SECONDS = 120.0


class Status:
    """What the exporter says of itself; written by its loop, read by the page."""

    def __init__(self, *, service_graph_series: int = 0) -> None:
        self.table = EdgeTable()
        self.coverage: Coverage | None = None
        self.exported = False
        self.succeeded_at = 0.0
        self.failures = 0
        self.files_written = 0
        self.skips_told = 0
        self._most_series = service_graph_series
        self._alive_at = time.monotonic()

    def beat(self) -> None:
        """Say that the loop is alive."""
        self._alive_at = time.monotonic()

    @property
    def healthy(self) -> bool:
        """Tell whether the loop was alive of late."""
        return time.monotonic() - self._alive_at < _STALLED_SECONDS

    def values(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the metrics by name and label values."""
        pairs = count_pairs(tuple(self.table.edges()), most=self._most_series)
        return {
            "whocalls_exporter_edges": {(): len(self.table)},
            "whocalls_exporter_dead_letters_total": {(reason,): n for reason, n in self.table.skipped.copy().items()},
            "whocalls_exporter_files_written_total": {(): self.files_written},
            "whocalls_exporter_last_success_timestamp_seconds": {(): self.succeeded_at},
            "whocalls_exporter_failures_total": {(): self.failures},
            "whocalls_exporter_nodes": self._nodes(),
            "whocalls_exporter_service_graph_overflow": {(): pairs.overflowed},
            SERVICE_GRAPH.name: {tuple(pair): count for pair, count in pairs.samples.items()},
        }

    def collect(self) -> Iterator[Any]:
        """Hand the metrics to prometheus_client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        values = self.values()
        for metric in (*METRICS, SERVICE_GRAPH):
            if metric.program == "exporter":
                family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                samples = family(metric.name, metric.about, labels=metric.labels)
                for labels, value in values[metric.name].items():
                    samples.add_metric(labels, value)
                yield samples

    def _nodes(self) -> dict[tuple[str, ...], float]:
        if self.coverage is None:
            return {}
        reporting, silent = self.coverage.nodes_reporting, self.coverage.nodes_silent
        return {("reporting",): len(reporting), ("silent",): len(silent)}


@contextmanager
def serve_status(listen: str, status: Status) -> Iterator[int | None]:
    """Serve the page while the context lasts; yields the port, None without an address. Raises PortTakenError."""
    if not listen:
        yield None
        return
    server = _bind(listen, status)
    thread = threading.Thread(target=server.serve_forever, name="status-page", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _bind(listen: str, status: Status) -> ThreadingHTTPServer:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"exporter.listen is {listen!r}, not HOST:PORT (127.0.0.1:9464)")
    try:
        return ThreadingHTTPServer((host.strip("[]"), int(port)), _handler(status))
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on exporter.listen {listen!r}: {error.strerror} (choose another port)"
        ) from error


def _handler(status: Status) -> type[BaseHTTPRequestHandler]:
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  (only where it is served)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(status)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(registry), "text/plain; version=0.0.4; charset=utf-8")
            elif self.path == "/healthz":
                self._say(status.healthy)
            elif self.path == "/readyz":
                self._say(status.exported)
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz and /readyz are here\n", "text/plain")

        def _say(self, good: bool) -> None:
            code = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(code, b"ok\n" if good else b"not yet\n", "text/plain")

        def _answer(self, code: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no line for each request."""

    return Handler
