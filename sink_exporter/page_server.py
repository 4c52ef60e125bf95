"""The live page over HTTP: read-only, for the host's own users unless told otherwise. Shell: aiohttp.

Every answer forbids framing and sniffing; no answer allows another origin to read it. The page itself holds no data, so
it needs no token; everything that does is under /api/.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from callgraph.errors import ConfigurationError
from callgraph.metrics import METRICS, escape_label
from sink_exporter.graph import CallGraph
from sink_exporter.live_graph import LiveGraph
from sink_exporter.memory import give_back
from sink_exporter.page_access import has_token, is_known_host
from sink_exporter.page_json import encode_graph, model_of
from sink_exporter.page_source import render_live_page, render_page
from sink_exporter.page_stream import PageStream

_KINDS = {"json": "application/json", "jsonl": "application/json", "csv": "text/csv", "html": "text/html"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(NamedTuple):
    """Who may read: names that the Host header may carry, and the token, empty for none."""

    hosts: tuple[str, ...] = ()
    token: str = ""


class PageServer:
    """The routes. `lock` guards the graph, which a thread fills from Kafka."""

    def __init__(self, live: LiveGraph, access: Access, *, baseline: CallGraph | None = None) -> None:
        self.live = live
        self.stream = PageStream(live)
        self.lock = asyncio.Lock()
        self._access = access
        self._page = render_live_page(has_baseline=baseline is not None)
        self._baseline = None if baseline is None else _encode_baseline(baseline)

    def application(self) -> web.Application:
        """Build the application."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._get_page),
                web.get("/api/v1/graph", self._get_graph),
                web.get("/api/v1/baseline", self._get_baseline),
                web.get("/api/v1/edges/{id}", self._get_edge),
                web.get("/api/v1/export/{format}", self._get_export),
                web.get("/api/v1/events", self.stream.serve, allow_head=False),
                web.get("/healthz", self._get_health),
                web.get("/readyz", self._get_readiness),
                web.get("/metrics", self._get_metrics),
            ]
        )
        app.on_response_prepare.append(_add_headers)
        app.on_shutdown.append(self._end_streams)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_known_host(request.headers.get("Host", ""), self._access.hosts):
            raise web.HTTPMisdirectedRequest(text="this name is not served here (list it in page.hosts)\n")
        is_data = request.path.startswith("/api/")
        if is_data and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden(text="not for other sites\n")
        if is_data and not has_token(request.headers.get("Authorization", ""), self._access.token):
            raise web.HTTPUnauthorized(text="a token is needed\n", headers={"WWW-Authenticate": "Bearer"})
        if is_data and not self.live.ready:
            raise web.HTTPServiceUnavailable(text="the topic is still being read\n", headers={"Retry-After": "1"})
        return await handler(request)

    async def _get_page(self, _: web.Request) -> web.Response:
        return web.Response(body=self._page, content_type="text/html", charset="utf-8", headers=_no_store())

    async def _get_graph(self, request: web.Request) -> web.Response:
        async with self.lock:
            body = await asyncio.to_thread(self._encode)
            etag = f'"{self.live.version}"'
        self.stream.wake()
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={"ETag": etag})
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            body = gzip.decompress(body)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _encode(self) -> bytes:
        body = self.live.encode()
        give_back()
        return body

    async def _get_baseline(self, _: web.Request) -> web.Response:
        if self._baseline is None:
            raise web.HTTPNotFound(text="there is nothing to compare to (serve --baseline FILE)\n")
        return web.Response(body=self._baseline, content_type="application/json", headers=_no_store())

    async def _get_edge(self, request: web.Request) -> web.Response:
        async with self.lock:
            body = self.live.evidence(request.match_info["id"])
        if body is None:
            raise web.HTTPNotFound(text="there is no such edge (CLIENT.SERVER, ids of the graph's services)\n")
        return web.Response(body=body, content_type="application/json", headers=_no_store())

    async def _get_export(self, request: web.Request) -> web.Response:
        name = request.match_info["format"]
        async with self.lock:
            file, body = await asyncio.to_thread(self._export, name)
        headers = {"Content-Disposition": f'attachment; filename="{file}"', **_no_store()}
        kind = _KINDS.get(name, "text/plain")
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    def _export(self, name: str) -> tuple[str, bytes]:
        """Return the name of the file, and what is in it."""
        from sink_exporter.formats import find_format  # noqa: PLC0415  (0.9 MB that most servers never need)

        if name == "html":
            return "callgraph.html", render_page(self.live.graph())
        try:
            form = find_format(name)
        except ConfigurationError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from error
        return form.file, form.render(self.live.graph()).encode()

    async def _get_health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _get_readiness(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n" if self.live.ready else "not yet\n", status=200 if self.live.ready else 503)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        body = "".join(self._write_metrics()).encode()
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    def _write_metrics(self) -> list[str]:
        values = {
            "whocalls_page_edges": {"": self.live.table.edges},
            "whocalls_page_dead_letters_total": {
                f'{{reason="{escape_label(reason)}"}}': count for reason, count in self.live.table.skipped.items()
            },
            "whocalls_page_followers": {"": self.stream.followers},
            "whocalls_page_events_sent_total": {"": self.stream.sent},
            "whocalls_page_slow_followers_total": {"": self.stream.cut_off},
        }
        lines = []
        for metric in METRICS:
            if metric.program == "page":
                lines.append(f"# HELP {metric.name} {metric.about}\n# TYPE {metric.name} {metric.kind}\n")
                lines.extend(f"{metric.name}{labels} {value}\n" for labels, value in values[metric.name].items())
        return lines

    async def _end_streams(self, _: web.Application) -> None:
        self.stream.close()


def _encode_baseline(graph: CallGraph) -> bytes:
    return b"".join(encode_graph(model_of(graph), version="baseline", live=False))


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _no_store() -> dict[str, str]:
    return {"Cache-Control": "no-store"}
