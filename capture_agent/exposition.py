"""The agent's counters as Prometheus text, over a listener small enough for its loop. Shell: sockets.

One connection at a time, one answer, closed: what a scraper does. Whoever says nothing for a second is hung up on.

Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from callgraph.errors import ConfigurationError, PortTakenError
from callgraph.metrics import METRICS, escape_label
from callgraph.records import BatchCounters
from capture_agent.batches import SourceName

_PATIENCE_SECONDS = 1.0
_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\r\n"
_ABOUT = {metric.name: metric for metric in METRICS if metric.program == "agent"}


class MetricsListener:
    """A listening socket."""

    def __init__(self, where: str) -> None:
        """Listen on HOST:PORT. Raises PortTakenError, ConfigurationError."""
        host, _, port = where.rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigurationError(f"cannot listen on {where!r} (agent.metrics_listen is HOST:PORT)")
        try:
            self._socket = socket.create_server((host.strip("[]"), int(port)), family=_family(host))
        except OSError as error:
            raise PortTakenError(f"cannot listen on {where!r}: {error.strerror} (see agent.metrics_listen)") from error
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    @property
    def port(self) -> int:
        """The port, where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def answer(self, text: str) -> None:
        """Answer whoever is connecting."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        with connection:
            connection.settimeout(_PATIENCE_SECONDS)
            try:
                connection.recv(4096)
                connection.sendall(_HEAD + text.encode())
            except OSError:
                # The scraper is gone; it will come again.
                return

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def expose(totals: Mapping[SourceName, BatchCounters]) -> str:
    """Write the counters in the text exposition format."""
    lines: list[str] = []
    for name, field in _FIELDS.items():
        lines += _head(name)
        lines += [f'{name}{{source="{source}"}} {getattr(counters, field)}' for source, counters in totals.items()]
    lines += _head("whocalls_agent_dropped_total")
    lines += [
        f'whocalls_agent_dropped_total{{source="{source}",reason="{escape_label(reason)}"}} {count}'
        for source, counters in totals.items()
        for reason, count in sorted(counters.dropped.items())
    ]
    lines += _head("whocalls_agent_kernel_dropped_total")
    lines.append(f"whocalls_agent_kernel_dropped_total {sum(each.kernel_dropped for each in totals.values())}")
    return "\n".join(lines) + "\n"


_FIELDS = {
    "whocalls_agent_received_total": "received",
    "whocalls_agent_published_total": "published",
    "whocalls_agent_suppressed_total": "suppressed",
}


def _head(name: str) -> list[str]:
    metric = _ABOUT[name]
    return [f"# HELP {name} {metric.about}", f"# TYPE {name} {metric.kind}"]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
