"""Is the worker ready, and is it alive. Pure.

Ready: the inventory was read to its end, partitions are assigned, and their edges are restored. Alive: nothing to take,
or something was taken within the patience; a worker that is full because the inventory's watermark stays away is alive,
too, since a restart would not bring it back.
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
        self._taken: dict[tuple[str, int], int] = {}
        self._moved_at = now

    def judge(self, taken: Mapping[tuple[str, int], int], *, untaken: int, full: bool, now: float) -> Verdict:
        """Judge by the position of each partition and by how many records wait to be taken."""
        if untaken == 0 or full or dict(taken) != self._taken:
            self._taken = dict(taken)
            self._moved_at = now
        if full:
            return Verdict(good=True, why=f"{untaken} records wait until the inventory's watermark moves on")
        idle = now - self._moved_at
        if idle <= PATIENCE_SECONDS:
            return Verdict(good=True, why=f"{untaken} records to take")
        return Verdict(good=False, why=f"{untaken} records to take and none taken for {idle:.0f} s")

    def judge_silence(self, why: str, *, now: float) -> Verdict:
        """Judge when nothing can be measured: between two assignments, or when the brokers do not answer."""
        idle = now - self._moved_at
        return Verdict(good=idle <= PATIENCE_SECONDS, why=f"{why} for {idle:.0f} s")


def judge_readiness(*, inventory_read: bool, assigned: int, restored: bool) -> Verdict:
    """Say whether the worker takes part in the work with everything it needs to know."""
    if not inventory_read:
        return Verdict(good=False, why="reading the inventory")
    if not assigned:
        return Verdict(good=False, why="no partitions assigned")
    if not restored:
        return Verdict(good=False, why="restoring the edges")
    return Verdict(good=True, why=f"{assigned} partitions assigned")
