"""Server-sent events to every follower of the page. Shell: aiohttp responses, asyncio.

Each follower is a coroutine with a position in the one store of messages. One that does not take what it is sent within
the limit, or that fell behind the store, is cut off and counted; it comes back by itself and resumes or reads anew.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp import web

from sink_exporter.live_graph import LiveGraph
from sink_exporter.page_events import format_event

_HEARTBEAT_SECONDS = 15.0
_SLOW_SECONDS = 10.0
_SEND_BUFFER_BYTES = 64 * 1024
"""The kernel's part of what one follower may hold; its default grows to 4 MB."""
_MOST_FOLLOWERS = 1_000


class PageStream:
    """The followers, counted."""

    def __init__(self, live: LiveGraph, *, slow_seconds: float = _SLOW_SECONDS) -> None:
        self.followers = 0
        self.cut_off = 0
        self.sent = 0
        self._live = live
        self._slow_seconds = slow_seconds
        self._arrived = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """Tell the followers that there is something to send."""
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    def close(self) -> None:
        """End every stream; the followers come back to whoever listens then."""
        self._closed = True
        self.wake()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send events until the follower goes, is too slow, or the program ends."""
        if self.followers >= _MOST_FOLLOWERS:
            raise web.HTTPServiceUnavailable(text="too many followers\n", headers={"Retry-After": "30"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        self.followers += 1
        try:
            await response.prepare(request)
            _limit_buffer(request)
            await self._follow(response, request.headers.get("Last-Event-ID", ""))
        except ConnectionError:
            pass  # the follower has gone
        except TimeoutError:
            self.cut_off += 1
            _abort(request)
        finally:
            self.followers -= 1
        return response

    async def _follow(self, response: web.StreamResponse, event_id: str) -> None:
        await self._send(response, b"retry: 2000\n\n")
        coverage = b""
        position = self._live.resume(event_id)
        if position is None:
            position = self._live.events.last
            version = self._live.version
            await self._send(response, format_event("version", b'{"version":"%s"}' % version.encode(), version))
        while not self._closed:
            arrived = self._arrived
            if self._live.coverage_event != coverage:
                coverage = self._live.coverage_event
                await self._send(response, coverage)
            messages = self._live.events.after(position)
            if messages is None:
                raise TimeoutError
            if messages:
                position = self._live.events.last
                await self._send(response, b"".join(messages))
                self.sent += len(messages)
            else:
                await self._wait(response, arrived)

    async def _wait(self, response: web.StreamResponse, arrived: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(arrived.wait(), _HEARTBEAT_SECONDS)
        except TimeoutError:
            await self._send(response, b": still here\n\n")

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        await asyncio.wait_for(response.write(data), self._slow_seconds)


def _limit_buffer(request: web.Request) -> None:
    transport: Any = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def _abort(request: web.Request) -> None:
    """Drop what is still in the buffer: the follower would read it in its own time."""
    transport: Any = request.transport
    if transport is not None:
        transport.abort()
