"""What followers of the page may still have to be told. Pure.

In: messages, numbered from 1 on. Out: those after a number, or the news that they are gone. There is one store for all
followers, each of whom remembers a number: a slow one costs nothing, and one that fell behind the store is told so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

_KEPT_MESSAGES = 512
_KEPT_BYTES = 4 * 1024 * 1024


class EventStore:
    """The last messages, at most 512 and at most 4 MiB."""

    def __init__(self, *, kept_messages: int = _KEPT_MESSAGES, kept_bytes: int = _KEPT_BYTES) -> None:
        self.last = 0
        self._kept_messages = kept_messages
        self._kept_bytes = kept_bytes
        self._messages: deque[bytes] = deque()
        self._bytes = 0

    def append(self, message: bytes) -> None:
        """Take the next message; the oldest make room."""
        self.last += 1
        self._messages.append(message)
        self._bytes += len(message)
        while len(self._messages) > self._kept_messages or self._bytes > self._kept_bytes:
            self._bytes -= len(self._messages.popleft())

    def after(self, number: int) -> Sequence[bytes] | None:
        """Return the messages after the one of that number; None when one of them is gone or none ever was."""
        missing = self.last - number
        if not 0 <= missing <= len(self._messages):
            return None
        return [self._messages[index] for index in range(len(self._messages) - missing, len(self._messages))]


def format_event(name: str, data: bytes, event_id: str = "") -> bytes:
    """Write one server-sent event; without an id it is none that a follower goes on after.

    Source: HTML Living Standard, 9.2.6. JSON on one line needs no escape.
    """
    line = b"id: %s\n" % event_id.encode() if event_id else b""
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), line, data)
