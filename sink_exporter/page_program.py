"""`whocalls serve` as a process: the topic read to its end and followed, or a file; the page meanwhile. Shell.

One thread at a time works on the graph: the reader's while it is read whole, after that those that hold the lock.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

from callgraph.clients import read_secret
from callgraph.errors import PortTakenError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from sink_exporter.coverage import summarize_coverage
from sink_exporter.edge_reader import EdgeReader
from sink_exporter.graph import CallGraph
from sink_exporter.live_graph import LiveGraph
from sink_exporter.memory import give_back, share_one_heap
from sink_exporter.page_access import parse_listen
from sink_exporter.page_server import Access, PageServer
from sink_exporter.settings import PageSettings

_COALESCE_SECONDS = 0.25
"""At most so often are followers told of changes."""
_COVERAGE_SECONDS = 15.0
"""So often is summed up what the graph rests on."""


class PageSource(NamedTuple):
    """Where the graph comes from: a graph that was read already, else the topic; and what to compare it to."""

    kafka: KafkaSettings
    topics: TopicSettings
    graph: CallGraph | None = None
    baseline: CallGraph | None = None


def run_page(source: PageSource, page: PageSettings, log: Logger) -> None:
    """Serve the page until SIGTERM or SIGINT. Raises WhocallsError."""
    share_one_heap()
    asyncio.run(_run(source, page, log))


async def _run(source: PageSource, page: PageSettings, log: Logger) -> None:
    stopped = _stop_on_signals()
    live = LiveGraph(secrets.token_hex(4))
    token = read_secret(page.token, page.token_file, what="page.token")
    server = PageServer(live, Access(page.hosts, token), baseline=source.baseline)
    async with _listening(server, page.listen) as address:
        log.info("page_served", url=f"http://{address}/")
        if source.graph is not None:
            live.table.add_graph(source.graph)
            live.rest_on(source.graph.coverage)
            live.begin()
            await asyncio.to_thread(stopped.wait)
        else:
            await _follow_topic(source, server, stopped, log)


class _Intake:
    """Records on their way from the reader's thread: to the graph while nobody reads it, later when the loop asks."""

    def __init__(self, live: LiveGraph) -> None:
        self._live = live
        self._waiting: list[tuple[bytes | None, bytes | None]] = []

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record, in the reader's thread."""
        if self._live.ready:
            self._waiting.append((key, value))
        else:
            self._live.table.apply(key, value)

    def drain(self) -> None:
        """Apply what waits, while the reader's thread does nothing."""
        for key, value in self._waiting:
            self._live.table.apply(key, value)
        self._waiting.clear()


async def _follow_topic(source: PageSource, server: PageServer, stopped: threading.Event, log: Logger) -> None:
    live, intake = server.live, _Intake(server.live)
    reader = await asyncio.to_thread(EdgeReader, source.kafka, source.topics, client_id="whocalls-page", instead=intake)
    with reader:
        complete = await asyncio.to_thread(reader.read_to_end, stopped)
        log.info("call_graph_read", topic=reader.topic, complete=complete, edges=live.table.edges)
        live.begin()
        give_back()
        loop = asyncio.get_running_loop()
        due = look_again = loop.time()
        while not stopped.is_set():
            if loop.time() >= look_again:
                if live.rest_on(await asyncio.to_thread(summarize_coverage, reader.coverage.records())):
                    server.stream.wake()
                look_again = loop.time() + _COVERAGE_SECONDS
            await asyncio.to_thread(reader.follow)
            async with server.lock:
                intake.drain()
                if loop.time() >= due and live.announce():
                    due = loop.time() + _COALESCE_SECONDS
                    server.stream.wake()


@asynccontextmanager
async def _listening(server: PageServer, listen: str) -> AsyncIterator[str]:
    host, port = parse_listen(listen)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on page.listen {listen!r}: {error.strerror} (choose another port)"
        ) from error
    try:
        yield "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


def _stop_on_signals() -> threading.Event:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
