"""/metrics, /healthz and /readyz. Shell: aiohttp, on the loop that does the work, so a hanging loop does not answer.

The address is bound before anything else is started, so a port in use is one sentence and costs nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from aiohttp import web

from callgraph.errors import ConfigurationError, PortTakenError
from stream_processor.health import Verdict

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def bind(listen: str) -> socket.socket:
    """Bind the address of `processor.listen`. Raises ConfigurationError or PortTakenError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigurationError(f"processor.listen is {listen!r}, not HOST:PORT (127.0.0.1:6066)")
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, int(port)))
    except (OSError, OverflowError) as error:
        listener.close()
        raise PortTakenError(f"cannot listen on processor.listen {listen!r}: {error} (choose another port)") from error
    return listener


async def serve_status(
    listener: socket.socket,
    *,
    metrics: Callable[[], bytes],
    healthy: Callable[[], Verdict],
    ready: Callable[[], Verdict],
) -> web.AppRunner:
    """Serve the three pages; the runner's `cleanup` ends it."""

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": _CONTENT_TYPE})

    async def show_health(_request: web.Request) -> web.Response:
        return _verdict(healthy(), bad=500)

    async def show_readiness(_request: web.Request) -> web.Response:
        return _verdict(ready(), bad=503)

    page = web.Application()
    page.router.add_get("/metrics", show_metrics)
    page.router.add_get("/healthz", show_health)
    page.router.add_get("/readyz", show_readiness)
    runner = web.AppRunner(page, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner


def _verdict(verdict: Verdict, *, bad: int) -> web.Response:
    return web.Response(status=200 if verdict.good else bad, text=verdict.why + "\n")
