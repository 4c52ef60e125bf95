"""When which namespace is read: all in turn at the start, then spread over the interval. Pure; time is an argument.

A reading costs the kernel 5 ms for each table, so a hundred of them are never made in one go once the agent runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

N = TypeVar("N")
"""A namespace, whatever stands for one."""


class ReadingTurns(Generic[N]):
    """The namespaces that are still to be read in this round."""

    def __init__(self, *, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._namespaces: deque[N] = deque()
        self._next_round: int | None = None
        self._next_turn = 0
        self._pace_ns = 0

    def due_at(self, now: int) -> int:
        """Return when there is something to do; times are nanoseconds of one steady clock."""
        if self._namespaces:
            return self._next_turn
        return now if self._next_round is None else self._next_round

    def take(self, now: int, list_namespaces: Callable[[], Iterable[N]]) -> N | None:
        """Return the namespace whose turn has come, if one's has; a new round begins with a new list."""
        if now < self.due_at(now):
            return None
        if not self._namespaces:
            is_first = self._next_round is None
            self._namespaces.extend(list_namespaces())
            self._pace_ns = 0 if is_first else self._interval_ns // (len(self._namespaces) + 1)
            self._next_round = now + self._interval_ns
        self._next_turn = now + self._pace_ns
        return self._namespaces.popleft() if self._namespaces else None
