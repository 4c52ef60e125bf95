"""One list-and-watch in a thread of its own. Shell: the connection, the clock, the pauses.

In: a resource, perhaps of one namespace. Out: messages on a queue, in the order in which the API server said them, and
at any time an answer to "up to when do you know everything?". What to do next is decided in `watch`.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from queue import Full, Queue

from callgraph.errors import ConfigurationError
from stream_processor.feed import (
    Changed,
    Listed,
    ListEnded,
    ListStarted,
    Message,
    Recovered,
    Scope,
    Troubled,
    Undecodable,
)
from stream_processor.kube_client import KubeClient, KubeError, Stream
from stream_processor.pulse import Pulse
from stream_processor.settings import WatchSettings
from stream_processor.watch import Failure, Phase, Request, Verdict, Watch, accept_header, resource_path
from stream_processor.watch_messages import Bookmark, Change, LineSplitter, MessageReader

_STOP_CHECK_SECONDS = 0.5
_LOOK_UP_SECONDS = 0.1
_LINES_AT_ONCE = 64


class WatchThread(threading.Thread):
    """Follows one scope until it is stopped."""

    def __init__(
        self,
        client: KubeClient,
        scope: Scope,
        settings: WatchSettings,
        *,
        pulse: Pulse,
        queue: Queue[Message],
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"watch-{scope.text}", daemon=True)
        self.scope = scope
        self._client = client
        self._settings = settings
        self._pulse = pulse
        self._queue = queue
        self._stop_asked = stop
        self._watch = Watch(settings)
        self._reader = MessageReader(scope.resource.kind)
        self._path = resource_path(scope.resource, scope.namespace)
        self._stream: Stream | None = None
        self._is_troubled = False
        self._held_up_at = 0
        self._random = random.Random()  # noqa: S311  (spreads load, keeps no secret)

    def run(self) -> None:
        while not self._stop_asked.is_set():
            request = self._watch.request(jitter=self._random.random())
            try:
                pause = self._follow(request) if request.watches else self._page(request)
            except KubeError as error:
                pause = self._fail(error.failure)
            self._rest(pause)

    def _rest(self, seconds: float) -> None:
        """Pause, but not on when the server is back after it was away: the slowest watch holds up the watermark."""
        began = time.monotonic()
        while (left := began + seconds - time.monotonic()) > 0 and self._pulse.back_at < began:
            if self._stop_asked.wait(min(left, _LOOK_UP_SECONDS)):
                return

    def interrupt(self) -> None:
        """Wake the thread from its reading; it ends when it was told to stop."""
        if (stream := self._stream) is not None:
            stream.interrupt()

    def ask(self) -> None:
        """Ask for a sign of life on the connection, if there is one."""
        if (stream := self._stream) is not None:
            stream.ask()

    def known_until(self, now: int) -> int | None:
        """Return the time up to which everything that the server said is on the queue; None where nobody can tell.

        That is the time of the last sign of life on the connection, when the reader waits and nothing is unread.
        """
        stream = self._stream
        if stream is None or self._watch.phase is not Phase.WATCH or not self._has_settled(stream):
            return None
        try:
            return now - stream.silent_nanoseconds() if stream.is_drained() else None
        except OSError:
            return None  # it was closed while we looked

    def _has_settled(self, stream: Stream) -> bool:
        """A watch that was just resumed, or whose server we kept from sending, may have old events to deliver."""
        since = max(stream.opened_at, self._held_up_at)
        return time.monotonic_ns() - since >= self._settings.safety_seconds * 1_000_000_000

    def _page(self, request: Request) -> float:
        body = self._client.get(
            self._path,
            request.query,
            accept=accept_header(self.scope.resource, watches=False),
            read_timeout=request.read_timeout,
        )
        page = self._reader.read_page(body)
        if isinstance(page, Failure):
            raise KubeError(page)
        arrived_at = time.time_ns()
        self._recover()
        if request.starts_list:
            self._put(ListStarted(self.scope))
        self._put(Listed(self.scope, page.objects, arrived_at))
        if page.problems:
            self._put(Undecodable(self.scope, page.problems))
        if self._watch.take_page(version=page.version, continue_token=page.continue_token):
            self._put(ListEnded(self.scope, arrived_at))
        return 0.0

    def _follow(self, request: Request) -> float:
        stream = self._client.open(
            self._path,
            request.query,
            accept=accept_header(self.scope.resource, watches=True),
            read_timeout=request.read_timeout,
        )
        self._recover()
        if request.starts_list:
            self._put(ListStarted(self.scope))
        self._stream = stream
        try:
            self._read_to_end(stream)
        finally:
            self._stream = None
            stream.close()
        lived = (time.monotonic_ns() - stream.opened_at) / 1e9
        return self._watch.end(lived_seconds=lived, jitter=self._random.random())

    def _read_to_end(self, stream: Stream) -> None:
        splitter = LineSplitter()
        while not self._stop_asked.is_set():
            lines = self._gather(stream, splitter)
            if lines is None:
                return
            self._take_lines(lines, stream, arrived_at=time.time_ns())

    def _gather(self, stream: Stream, splitter: LineSplitter) -> list[bytes] | None:
        """Wait for bytes, and take at once what else has arrived; None at the end.

        Lines that are lost to a failure here come again: the version that is resumed from is older.
        """
        if not (chunk := stream.read()):
            return None
        try:
            lines = splitter.split(chunk)
            while len(lines) < _LINES_AT_ONCE and stream.has_more() and (chunk := stream.read(waits=False)):
                lines += splitter.split(chunk)
        except OverflowError as error:
            raise KubeError(Failure("garbled", message=str(error))) from error
        return lines

    def _take_lines(self, lines: list[bytes], stream: Stream, *, arrived_at: int) -> None:
        """Pass a chunk's events on. An ERROR event ends the stream: Raises KubeError."""
        changes: list[Change] = []
        for line in lines:
            read = self._reader.read_line(line)
            if isinstance(read, Change):
                self._watch.take_event(read.version)
                changes.append(read)
            elif isinstance(read, Bookmark):
                self._put_changes(changes, arrived_at)
                changes = []
                self._take_bookmark(read, stream, arrived_at=arrived_at)
            else:
                self._put_changes(changes, arrived_at)
                raise KubeError(read)
        self._put_changes(changes, arrived_at)

    def _take_bookmark(self, bookmark: Bookmark, stream: Stream, *, arrived_at: int) -> None:
        was_listing = self._watch.phase is Phase.WATCH_LIST
        if self._watch.take_bookmark(bookmark.version, ends_initial_events=bookmark.ends_initial_events):
            self._put(ListEnded(self.scope, arrived_at))
            stream.allow_silence(self._settings.silence_seconds)
        elif was_listing:
            raise KubeError(Failure("event", 500, "a bookmark before the end of the initial events"))

    def _put_changes(self, changes: list[Change], arrived_at: int) -> None:
        good = [change for change in changes if not change.problem]
        if good:
            self._put(Changed(self.scope, good, arrived_at))
        if len(good) < len(changes):
            self._put(Undecodable(self.scope, [change.problem for change in changes if change.problem]))

    def _fail(self, failure: Failure) -> float:
        if self._stop_asked.is_set():
            return 0.0
        verdict = self._watch.fail(failure, jitter=self._random.random())
        self._is_troubled = True
        self._put(Troubled(self.scope, failure, verdict))
        if verdict.action == "unauthorized":
            self._reload_credentials(verdict)
        return verdict.pause

    def _reload_credentials(self, verdict: Verdict) -> None:
        try:
            self._client.reload_credentials()
        except ConfigurationError as error:
            self._put(Troubled(self.scope, Failure("connection", message=str(error)), verdict))

    def _recover(self) -> None:
        if self._is_troubled:
            self._is_troubled = False
            self._put(Recovered(self.scope))

    def _put(self, message: Message) -> None:
        """Hand a message on; wait while the publisher is behind, so that memory stays bounded."""
        with contextlib.suppress(Full):
            self._queue.put_nowait(message)
            return
        while not self._stop_asked.is_set():
            with contextlib.suppress(Full):
                self._queue.put(message, timeout=_STOP_CHECK_SECONDS)
                self._held_up_at = time.monotonic_ns()
                return
