"""One open watch of the fake API server. Shell: aiohttp."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from tests.fake_api_store import PREFIXES, Json, Selection, StatusError, Store
from tests.fake_api_switches import Switches


class OpenWatch:
    """Sends the initial objects, then changes and bookmarks, until its time is over."""

    def __init__(self, request: web.Request, selection: Selection, *, store: Store, switches: Switches) -> None:
        query = request.query
        self.resource = selection.resource
        self.transport = request.transport
        self.changed = asyncio.Event()
        self._response = web.StreamResponse(headers={"Content-Type": "application/json"})
        self._request = request
        self._selection = selection
        self._store = store
        self._switches = switches
        self._is_partial = "as=PartialObjectMetadata" in request.headers.get("Accept", "")
        self._wants_bookmarks = query.get("allowWatchBookmarks") == "true"
        self._any_version = query.get("resourceVersion") == "0"
        now = asyncio.get_running_loop().time()
        seconds = float(query.get("timeoutSeconds") or 1800)
        self._ends_at = now + seconds
        # A real server sends one a minute, and one two seconds before the end, but none in a very short watch.
        self._bookmark_at = now + min(switches.bookmark_seconds, seconds - 2 if seconds > 5 else seconds + 1)

    async def serve(self, version: int, *, streams_list: bool) -> web.StreamResponse:
        """Send everything; `version` 0 begins with all objects."""
        self._response.enable_chunked_encoding()
        await self._response.prepare(self._request)
        try:
            await self._follow(await self._start(version, streams_list=streams_list))
        except StatusError as error:
            await self._write({"type": "ERROR", "object": error.body})
        except ConnectionError:
            return self._response
        await self._response.write_eof()
        return self._response

    async def _start(self, version: int, *, streams_list: bool) -> int:
        if streams_list and self._switches.watch_list == "failing":
            raise StatusError(500, "InternalError", "streaming lists do not work here")
        if version:
            return version
        for obj in self._store.select(self._selection):
            await self._send({"type": "ADDED", "object": obj})
        if streams_list or (self._wants_bookmarks and self._any_version):
            await self._send_bookmark({"k8s.io/initial-events-end": "true"})
        return self._store.revision

    async def _follow(self, cursor: int) -> None:
        clock = asyncio.get_running_loop().time
        while (left := self._ends_at - clock()) > 0:
            self.changed.clear()
            if self.transport is None or self.transport.is_closing():
                raise ConnectionResetError
            if not self._is_frozen() and cursor <= self._store.revision:  # a version of the future hangs, silently
                cursor = await self._send_changes(cursor)
                await self._send_due_bookmark(clock())
            await self._wait(min(left, max(self._bookmark_at - clock(), 0.05)))

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.changed.wait(), seconds)
        except TimeoutError:
            return

    async def _send_changes(self, cursor: int) -> int:
        for event in self._store.events_since(self.resource, cursor):
            cursor = event.revision
            if (seen := self._selection.see(event)) is not None:
                await self._send(seen)
        return cursor

    async def _send_due_bookmark(self, now: float) -> None:
        if self._wants_bookmarks and now >= self._bookmark_at:
            self._bookmark_at = now + self._switches.bookmark_seconds
            await self._send_bookmark(None)

    async def _send_bookmark(self, annotations: dict[str, str] | None) -> None:
        _, version, kind = PREFIXES[self.resource]
        metadata: Json = {"resourceVersion": str(self._store.revision)}
        if annotations:
            metadata["annotations"] = annotations
        bookmark = {"kind": kind, "apiVersion": version, "metadata": metadata}
        rest = {"spec": {"containers": None}, "status": {}} if kind == "Pod" else {}
        await self._send({"type": "BOOKMARK", "object": bookmark | rest})

    async def _send(self, event: Json) -> None:
        await self._write(event | {"object": metadata_only(event["object"])} if self._is_partial else event)

    async def _write(self, event: Json) -> None:
        await self._response.write(json.dumps(event).encode() + b"\n")

    def _is_frozen(self) -> bool:
        return bool(self._switches.frozen & {self.resource, "*"})


def metadata_only(obj: Json) -> Json:
    """Cut an object down to PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
