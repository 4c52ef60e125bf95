"""The watches of one cluster and the one publisher that they feed, from the first list to the loss of the Lease. Shell.

In: messages of the watch threads on one queue. Out: changed records on the inventory topic, and once a heartbeat the
watermark: everything that the API server said up to that time stands before it.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, Queue

from callgraph.records import WatermarkRecord
from stream_processor.feed import Feed, Message, Scope
from stream_processor.inventory_topic import InventoryWriter
from stream_processor.kube_client import KubeClient
from stream_processor.pulse import Pulse
from stream_processor.settings import WatcherSettings
from stream_processor.watch import RESOURCES
from stream_processor.watch_thread import WatchThread
from stream_processor.watcher_report import WatcherReport

_QUEUED_MESSAGES = 16
"""A message holds up to a page of decoded objects, about 5 KB each."""
_TURN_SECONDS = 0.02
_PATIENCE_SECONDS = 0.1
"""How long the last answers are waited for: who spoke within the last second is not asked, and is as old as that."""
_EXPIRY_SECONDS = 600.0
_JOIN_SECONDS = 2.0


def plan_scopes(namespaces: tuple[str, ...]) -> list[Scope]:
    """List what is watched: each resource of the whole cluster, or of each namespace; nodes have none."""
    return [
        Scope(resource, namespace)
        for resource in RESOURCES
        for namespace in (namespaces if resource.namespaced and namespaces else (None,))
    ]


def require_alive(*threads: threading.Thread) -> None:
    """Raise RuntimeError for a thread that ended by a fault of ours: the process must not go on without it."""
    for thread in threads:
        if not thread.is_alive():
            raise RuntimeError(f"the thread {thread.name!r} ended (its traceback is above)")


class WatchSession:
    """One term of an active watcher."""

    def __init__(
        self,
        cluster: str,
        *,
        client: KubeClient,
        feed: Feed,
        writer: InventoryWriter,
        settings: WatcherSettings,
        report: WatcherReport,
    ) -> None:
        self._cluster = cluster
        self._feed = feed
        self._writer = writer
        self._settings = settings
        self._report = report
        self._over = threading.Event()
        self._queue: Queue[Message] = Queue(_QUEUED_MESSAGES)
        self._pulse = Pulse(client, stop=self._over)
        self._threads = [
            WatchThread(client, scope, settings.watch, pulse=self._pulse, queue=self._queue, stop=self._over)
            for scope in plan_scopes(settings.namespaces)
        ]
        self._heartbeat_at = self._expiry_at = 0.0
        self._asked_at = self._watermark = 0
        self.has_published = False

    def run(self) -> None:
        """Publish until the writer may not any more. Raises WritingEndedError, or UnreachableError for Kafka's part."""
        for each in (self._pulse, *self._threads):
            each.start()
        try:
            while self._writer.may_write():
                self._turn()
        finally:
            self._end()

    def _turn(self) -> None:
        try:
            self._take(self._queue.get(timeout=_TURN_SECONDS))
        except Empty:
            self._report.turn()
            require_alive(self._pulse, *self._threads)
        now = time.monotonic()
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._settings.heartbeat_seconds
            self._ask()
        if self._asked_at:
            self._beat()
        if now >= self._expiry_at:
            self._expiry_at = now + _EXPIRY_SECONDS
            self._expire()

    def _ask(self) -> None:
        """Ask every connection and the server itself at one moment: the oldest answer is the age of the watermark."""
        self._asked_at = self._asked_at or time.time_ns()
        self._pulse.ask()
        for thread in self._threads:
            thread.ask()

    def _take(self, message: Message) -> None:
        records = self._feed.take(message)
        for record in records:
            self._writer.put(record)
        self._report.take(message, published=len(records))

    def _beat(self) -> None:
        """Publish a watermark, if every watch can say up to when it knows everything; else try again in a moment."""
        now = time.time_ns()
        known = self._known_until(now)
        if known is None or (known < self._asked_at and now - self._asked_at < _PATIENCE_SECONDS * 1e9):
            return
        at = known - int(self._settings.watch.safety_seconds * 1_000_000_000)
        if at <= self._watermark:
            return
        for _ in range(self._queue.qsize()):  # all that they know is on the queue by now
            self._take(self._queue.get_nowait())
        denied = tuple(sorted(scope.text for scope in self._report.denied))
        self._writer.put_watermark(
            WatermarkRecord(cluster=self._cluster, at=at, denied=denied, namespaces=self._settings.namespaces)
        )
        self._feed.promise(at, except_for=self._report.denied)
        self._asked_at, self._watermark, self.has_published = 0, at, True
        self._report.note_watermark(at, now=time.time_ns(), counts=self._feed.counts())

    def _known_until(self, now: int) -> int | None:
        """Return the time that every watch has reached; None while one is listing, broken, busy, or pods are denied."""
        followed = [thread for thread in self._threads if thread.scope not in self._report.denied]
        if not any(thread.scope.resource.kind == "Pod" for thread in followed):
            return None
        until = self._pulse.answered_until
        for thread in followed:
            known = thread.known_until(now)
            if known is None:
                return None
            until = min(until, known)
        return until

    def _expire(self) -> None:
        for kind, uid in self._feed.expire(time.time_ns()):
            self._writer.forget(self._cluster, kind, uid)

    def _end(self) -> None:
        self._over.set()
        self._pulse.ask()
        for thread in self._threads:
            thread.interrupt()
        for each in (self._pulse, *self._threads):
            each.join(_JOIN_SECONDS)
