"""The stream processor as a process. Shell: signals, the event loop, the end of everything.

Ends with 0 on SIGTERM or SIGINT, with a WhocallsError for what one sentence can say, and otherwise with exit code 70
(EX_SOFTWARE) and the trace: what is not acknowledged then is read again by whoever comes next.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from callgraph.broker import Broker
from callgraph.errors import TopicError, UnreachableError, WhocallsError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from callgraph.topics import full_name
from stream_processor.allocator import give_memory_back
from stream_processor.event_loop import EventLoopPolicy
from stream_processor.health import Progress, Verdict, judge_readiness
from stream_processor.lag import Lag, measure_lag
from stream_processor.settings import AttributionSettings, ProcessorSettings
from stream_processor.status_page import bind, serve_status
from stream_processor.worker import Worker, WorkerSettings

EXIT_SOFTWARE = 70
_FLUSH_SECONDS = 5.0
_STOP_SECONDS = 20.0
_STOP_OUTSIDE_SECONDS = 3.0
_END_SECONDS = 27.0
"""From the signal to the end of whatever still waits for a broker that is away; Kubernetes kills after 30 s."""
_LAG_SECONDS = 5.0


def run_processor(
    *,
    cluster: str,
    kafka: KafkaSettings,
    topics: TopicSettings,
    attribution: AttributionSettings,
    processor: ProcessorSettings,
    log: Logger,
) -> None:
    """Attribute observations and fold them into the call graph until SIGTERM. Raises WhocallsError."""
    give_memory_back()
    settings = WorkerSettings(cluster, kafka, topics, attribution, processor)
    listener = bind(processor.listen)
    try:
        calls_partitions = _check_topics(kafka, topics, group=processor.group)
        _send_library_logs_to(log)
        if kafka.embedded:
            from stream_processor.embedded_quirks import pause_after_empty_fetches  # noqa: PLC0415

            pause_after_empty_fetches()
        failure = _run(_Process(settings, log, listener).run(calls_partitions))
    finally:
        listener.close()
    if failure:
        raise _explain(failure, log) from failure


class _Process:
    """The services of one process, and what ends it."""

    def __init__(self, settings: WorkerSettings, log: Logger, listener: socket.socket) -> None:
        self._settings = settings
        self._log = log
        self._listener = listener
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._verdict = Verdict(good=True, why="starting")

    async def run(self, calls_partitions: int) -> BaseException | None:
        """Run until a signal or a failure; return the failure."""
        from stream_processor.app import build_app  # noqa: PLC0415  (0.5 s; topics are checked before)

        settings = self._settings
        self._worker = Worker(settings, calls_partitions=calls_partitions, log=self._log, fail=self._fail)
        self._app = build_app(self._worker, kafka=settings.kafka, topics=settings.topics, processor=settings.processor)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with self._status_page(), self._services():
            await self._stop.wait()
            asyncio.get_running_loop().call_later(_END_SECONDS, self._end_now)
            self._log.info("processor_stopping", failed=self._failure is not None)
        return self._failure

    @asynccontextmanager
    async def _status_page(self) -> AsyncIterator[None]:
        runner = await serve_status(
            self._listener, metrics=self._metrics, healthy=lambda: self._verdict, ready=self._readiness
        )
        host, port = self._listener.getsockname()[:2]
        self._log.info("status_page_opened", host=host, port=port)
        try:
            yield
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[None]:
        """Run everything; at the end Faust first, so that it commits what is done, then the rest."""
        worker = self._worker
        tasks = [
            asyncio.create_task(self._guarded(service))
            for service in (worker.outbox.run(), worker.inventory_reader.run(), worker.tick(), self._watch())
        ]
        starting = asyncio.create_task(self._guarded(self._app.start()))
        try:
            yield
        finally:
            if self._failure is not None:
                worker.abandon_shift()
            # Faust waits for a join that others keep open; whoever is not in the group has nothing to say goodbye for.
            patience = _STOP_SECONDS if worker.shift else _STOP_OUTSIDE_SECONDS
            if worker.shift is None:
                logging.disable()  # a join that is broken off is no news
            await asyncio.wait([asyncio.create_task(self._app.stop())], timeout=patience)
            worker.outbox.flush(_FLUSH_SECONDS)
            for task in (starting, *tasks):
                task.cancel()
            await asyncio.gather(starting, *tasks, return_exceptions=True)

    async def _guarded(self, service: Any) -> None:
        try:
            await service
        except Exception as error:  # noqa: BLE001  (any failure of a service ends the process)
            self._fail(error)

    async def _watch(self) -> None:
        """Notice a crash inside Faust, and measure the lag."""
        progress, measured_at = Progress(now=time.monotonic()), 0.0
        while True:
            await asyncio.sleep(0.5)
            if self._app.crashed:
                self._fail(self._app.crash_reason or RuntimeError("Faust crashed and gave no reason"))
            now = time.monotonic()
            if now - measured_at >= _LAG_SECONDS:
                measured_at = now
                self._verdict = await self._judge(progress)

    async def _judge(self, progress: Progress) -> Verdict:
        shift = self._worker.shift
        if shift is None:
            return progress.judge_silence("no partitions assigned", now=time.monotonic())
        try:
            lag = await measure_lag(self._app.consumer, shift, now=time.time())
        except TimeoutError:
            return progress.judge_silence("no answer from Kafka", now=time.monotonic())
        self._show(lag)
        full = self._worker.is_full(shift)
        return progress.judge(lag.taken, untaken=lag.untaken, full=full, now=time.monotonic())

    def _show(self, lag: Lag) -> None:
        counts = self._worker.counts
        for name, found in (("lag_records", lag.unfinished), ("unfinished_age_seconds", lag.ages)):
            counts.forget(name)  # partitions that others own by now
            for (topic, partition), value in found.items():
                counts.set(name, value, topic=topic, partition=str(partition))

    def _metrics(self) -> bytes:
        worker, cluster = self._worker, self._settings.cluster
        age = max(time.time_ns() - worker.inventory.watermark(cluster), 0) / 1e9
        worker.counts.set("watermark_age_seconds", age, cluster=cluster)
        worker.counts.set("edges", len(worker.shift.folding.edges) if worker.shift else 0)
        worker.counts.set("held_observations", worker.shift.resolving.held if worker.shift else 0)
        return worker.counts.exposition()

    def _readiness(self) -> Verdict:
        shift = self._worker.shift
        return judge_readiness(
            inventory_read=self._worker.inventory_reader.ready.is_set(),
            assigned=len(shift.assigned) if shift else 0,
            restored=bool(shift and shift.restored),
        )

    def _end_now(self) -> None:
        """End without waiting for anything: what is not acknowledged is read again."""
        self._log.error("processor_ended_by_force", seconds=_END_SECONDS, reason="Kafka did not answer in time")
        os._exit(EXIT_SOFTWARE)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()


def _check_topics(kafka: KafkaSettings, topics: TopicSettings, *, group: str) -> int:
    """Return how many partitions the calls have. Raises UnreachableError or TopicError."""
    present = Broker(kafka, client_id="whocalls-processor").require_role("processor", topics, group=group)
    if present["calls"] != present["call-graph"]:
        raise TopicError(
            f"the topic {full_name('calls', topics)!r} has {present['calls']} partitions and "
            f"{full_name('call-graph', topics)!r} has {present['call-graph']}; an edge needs the same number in both "
            "(delete the calls topic, which is only passed through, and run `whocalls topics apply`)"
        )
    return present["calls"]


def _run(main: Any) -> BaseException | None:
    # Observations make and drop objects by the hundred thousand, none of them in cycles: the default of 700 spends a
    # third of the time on looking for some.
    gc.set_threshold(50_000, 20, 50)
    asyncio.set_event_loop_policy(EventLoopPolicy())
    with asyncio.Runner() as runner:
        failure: BaseException | None = runner.run(main)
        return failure


def _explain(failure: BaseException, log: Logger) -> BaseException:
    """Turn a failure into what the command shows: one sentence, or exit code 70."""
    from aiokafka.errors import (  # noqa: PLC0415
        ClusterAuthorizationFailedError,
        GroupAuthorizationFailedError,
        KafkaError,
        TopicAuthorizationFailedError,
    )

    if isinstance(failure, WhocallsError):
        return failure
    if isinstance(
        failure, ClusterAuthorizationFailedError | GroupAuthorizationFailedError | TopicAuthorizationFailedError
    ):
        return TopicError(f"Kafka does not let this user go on: {failure} (grant the rights of docs/security.md)")
    if isinstance(failure, KafkaError):
        return UnreachableError(f"Kafka refused: {failure} (check the cluster, and this user's rights)")
    log.error("processor_failed", exc_info=failure)
    return SystemExit(EXIT_SOFTWARE)


class _LibraryLogs(logging.Handler):
    """Writes what Faust, mode and aiokafka log as lines of ours."""

    def __init__(self, log: Logger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        say("library_logged", library=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _send_library_logs_to(log: Logger) -> None:
    logging.basicConfig(handlers=[_LibraryLogs(log)], level=logging.WARNING, force=True)
    logging.getLogger("mode.timers").setLevel(logging.ERROR)  # a commit that takes a second is no news
