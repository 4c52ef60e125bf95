"""The running agent: one loop over the ring, /proc, Kafka and the scraper. Shell.

The loop sleeps until something is there: a block of the ring, a scraper, a signal, or the next thing to do. It reads
the clock and hands times on; nothing below it does.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple, Self

from callgraph.errors import CapabilityError, PortTakenError, UnreachableError
from callgraph.telemetry import Logger
from capture_agent.diag_socket import read_sockets
from capture_agent.exposition import MetricsListener, expose
from capture_agent.filters import build_filter
from capture_agent.intake import Intake
from capture_agent.outlet import Publisher
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.privileges import FOR_DIAGNOSIS, drop_privileges
from capture_agent.proc import Namespace, ProcReader
from capture_agent.reading_turns import ReadingTurns
from capture_agent.ring import RETIRE_MILLISECONDS, Ring
from capture_agent.settings import AgentSettings, CaptureSettings
from capture_agent.topic_check import TopicCheck

_NANOSECONDS = 1_000_000_000
_DELIVERY_POLL_MS = 100
_CHECK_PAUSE_NS = _NANOSECONDS
"""Between two checks of Kafka; each tries for `kafka.connect_seconds` itself."""
_EARLY_PART = 4
"""By which part of the time between two flushes one may come early."""
_COLLECTION_THRESHOLD = 20_000
"""Objects made since the last collection, where Python's own is 700."""
_PATIENCE_AT_END_SECONDS = 4.5
"""Kubernetes kills after 30 s; a person who pressed Ctrl-C waits less."""


def open_ring(settings: CaptureSettings) -> Ring | None:
    """Open the ring that the settings ask for, None where they ask for none. Raises CapabilityError."""
    ports = settings.resolver_ports if settings.dns else ()
    if not ports and not settings.syn:
        return None
    return Ring(build_filter(resolver_ports=ports, syn=settings.syn), ring_bytes=settings.ring_bytes)


class Outlet(NamedTuple):
    """Where batches go, opened once it is known to be there."""

    open: Callable[[], Publisher]
    check: Callable[[], None] | None
    """Raises an error of `callgraph.errors` where it is not there; None: it always is."""


class LiveAgent:
    """An agent of this node, from its opened sockets to its last flush."""

    def __init__(self, settings: AgentSettings, pipeline: Pipeline, outlet: Outlet, log: Logger) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._outlet = outlet
        self._log = log
        self._stopping = False
        self._poller = select.poll()
        # Forked before anything is open, and never again once the producer has its threads.
        self._check = TopicCheck(outlet.check) if outlet.check else None
        self._check_again_at = 0
        self._says_unreachable = False
        self._ring = self._open_ring()
        self._listener = self._listen()
        diagnosis = settings.sockets.enabled and settings.sockets.diagnosis and self._can_diagnose()
        self._proc = ProcReader(settings.sockets.proc_root, diagnosis=diagnosis) if settings.sockets.enabled else None
        drop_privileges(settings.user, keep=FOR_DIAGNOSIS if diagnosis else frozenset())
        self._intake = Intake(pipeline, resolver_ports=settings.capture.resolver_ports)
        self._turns: ReadingTurns[Namespace] = ReadingTurns(
            interval_ns=int(settings.sockets.interval_seconds * _NANOSECONDS)
        )
        self._flush_ns = int(settings.publish.flush_seconds * _NANOSECONDS)
        self._next_flush = 0

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then send what waits. Raises TopicError."""
        if self._check is None:
            self._pipeline.publisher = self._outlet.open()
        # What there is now stays; and packets make much that stays, but no cycles.
        gc.freeze()
        gc.set_threshold(_COLLECTION_THRESHOLD)
        with _WakeUp(self.stop) as wake_up:
            for descriptor in (self._ring, self._listener, self._check, wake_up):
                if descriptor is not None:
                    self._poller.register(descriptor, select.POLLIN)
            while not self._stopping:
                now = time.monotonic_ns()
                ready = {descriptor for descriptor, _ in self._poller.poll(self._milliseconds_to_next(now))}
                wake_up.clear(ready)
                self._turn(ready, time.monotonic_ns())
        self._end()

    def stop(self) -> None:
        """End after this turn of the loop."""
        self._stopping = True

    def _turn(self, ready: set[int], now: int) -> None:
        self._drain_ring()
        if self._listener is not None and self._listener.fileno() in ready:
            self._count_kernel_drops()
            self._listener.answer(expose({name: each.snapshot() for name, each in self._pipeline.counters.items()}))
        if self._check is not None and self._check.fileno() in ready:
            self._take_check(self._check)
        if 0 < self._check_again_at <= now:
            self._check_again()
        if self._proc is not None:
            self._read_sockets(self._proc, now)
        # What has woken us takes a flush along that is due soon: a wake-up of its own would find the caches cold.
        early = self._flush_ns // _EARLY_PART if ready else 0
        is_flush = now + early >= self._next_flush
        if is_flush:
            self._next_flush = now + self._flush_ns
            self._count_kernel_drops()
        self._pipeline.work(Moment(time.time_ns(), now), flush=is_flush)

    def _drain_ring(self) -> None:
        if self._ring is not None:
            for start in self._ring.ready_blocks():
                self._intake.take_block(self._ring.memory, start)

    def _take_check(self, check: TopicCheck) -> None:
        """Open the producer if Kafka and the topics are there; ask again if Kafka is not."""
        self._poller.unregister(check)
        self._check = None
        error = check.finish()
        if self._stopping:
            return
        if error is None:
            self._pipeline.publisher = self._outlet.open()
            return
        if not isinstance(error, UnreachableError):
            raise error
        if not self._says_unreachable:
            self._says_unreachable = True
            self._log.warning("kafka_unreachable", reason=str(error), consequence="what is captured waits")
        self._check_again_at = time.monotonic_ns() + _CHECK_PAUSE_NS

    def _check_again(self) -> None:
        """Ask for Kafka once more."""
        if self._outlet.check is not None:
            self._check_again_at = 0
            self._check = TopicCheck(self._outlet.check)
            self._poller.register(self._check, select.POLLIN)

    def _read_sockets(self, proc: ProcReader, now: int) -> None:
        namespace = self._turns.take(now, proc.list_namespaces)
        if namespace is None:
            return
        observed_at = time.time_ns()
        reading = proc.read_namespace(namespace, observed_at=observed_at)
        for reason, count in reading.dropped.items():
            self._pipeline.counters["socket"].drop(reason, count)
        for observation in reading.observations:
            self._pipeline.settle("socket", observation, at=observed_at)

    def _milliseconds_to_next(self, now: int) -> float:
        due_at = min(self._next_flush, self._check_again_at or self._next_flush)
        if self._proc is not None:
            due_at = min(due_at, self._turns.due_at(now))
        wait = max(0, due_at - now) / 1_000_000
        return min(wait, _DELIVERY_POLL_MS) if self._pipeline.in_flight else wait

    def _count_kernel_drops(self) -> None:
        if self._ring is not None:
            self._pipeline.counters["dns"].kernel_dropped += self._ring.take_statistics().dropped

    def _open_ring(self) -> Ring | None:
        """Open the ring, or say once why there is none; without any source at all, end."""
        try:
            return open_ring(self._settings.capture)
        except CapabilityError as error:
            if not self._settings.sockets.enabled:
                raise
            self._log.warning("packets_not_captured", reason=str(error), consequence="only sockets in /proc are read")
            return None

    def _can_diagnose(self) -> bool:
        """Try the socket diagnosis on ourselves; say once what is done instead."""
        try:
            read_sockets("/proc", "self")
        except OSError as error:
            self._log.warning(
                "sockets_not_diagnosed", reason=str(error), consequence="tables in /proc are read instead"
            )
            return False
        return True

    def _listen(self) -> MetricsListener | None:
        if not self._settings.metrics_listen:
            return None
        try:
            return MetricsListener(self._settings.metrics_listen)
        except PortTakenError as error:
            self._log.error("metrics_not_served", reason=str(error))
            return None

    def _end(self) -> None:
        """Send what waits; what Kafka does not take in time is counted in the last line."""
        if self._ring is not None:
            # The block that the kernel is filling comes when it retires, and not before.
            time.sleep(RETIRE_MILLISECONDS * 1.25 / 1000)
        self._drain_ring()
        self._count_kernel_drops()
        deadline = time.monotonic() + _PATIENCE_AT_END_SECONDS
        self._pipeline.finish(
            Moment(time.time_ns(), time.monotonic_ns()), gives_up=lambda: time.monotonic() >= deadline
        )
        self._log.info(
            "agent_stopped",
            received=sum(counters.received for counters in self._pipeline.counters.values()),
            kernel_dropped=self._pipeline.counters["dns"].kernel_dropped,
            unsent_observations=self._pipeline.waiting,
            unsent_batches=self._pipeline.in_flight,
        )
        if self._pipeline.publisher is not None:
            self._pipeline.publisher.close()
        if self._check is not None:
            self._check.cancel()
        for closing in (self._ring, self._listener):
            if closing is not None:
                closing.close()


class _WakeUp:
    """Signals as something to poll: without it, one that comes just before a poll would wait for its end."""

    def __init__(self, stop: object) -> None:
        self._stop = stop

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        self._previous_descriptor = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._previous_descriptor)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def clear(self, ready: set[int]) -> None:
        if self._reader in ready:
            os.read(self._reader, 512)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._stop()  # type: ignore[operator]
