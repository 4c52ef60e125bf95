"""Is the worker ready, and is it alive. Pure.

Ready: the inventory was read to its end, partitions are assigned, and their edges are restored. Alive: nothing to do,
or something was finished within the patience. What waits on purpose (the hold, the late table) is shorter than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PATIENCE_SECONDS = 120.0


class Verdict(NamedTuple):
    """Good or not, and one line of why."""

    good: bool
    why: str


class Progress:
    """Remembers when the work last moved. `now` is in seconds of a monotonic clock."""

    def __init__(self, *, now: float) -> None:
        self._positions: dict[tuple[str, int], int] = {}
        self._moved_at = now

    def judge(self, positions: Mapping[tuple[str, int], int], *, lag: int, now: float) -> Verdict:
        """Judge by the finished position of each partition and by how many records are left."""
        if lag == 0 or dict(positions) != self._positions:
            self._positions = dict(positions)
            self._moved_at = now
        idle = now - self._moved_at
        if idle <= PATIENCE_SECONDS:
            return Verdict(good=True, why=f"{lag} records behind")
        return Verdict(good=False, why=f"{lag} records behind and nothing finished for {idle:.0f} s")


def judge_readiness(*, inventory_read: bool, assigned: int, restored: bool) -> Verdict:
    """Say whether the worker takes part in the work with everything it needs to know."""
    if not inventory_read:
        return Verdict(good=False, why="reading the inventory")
    if not assigned:
        return Verdict(good=False, why="no partitions assigned")
    if not restored:
        return Verdict(good=False, why="restoring the edges")
    return Verdict(good=True, why=f"{assigned} partitions assigned")
