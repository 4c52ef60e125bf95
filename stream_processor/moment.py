"""The time of an event, how far around it the answers given about it hold, and on what they rest. Pure.

Every comparison of an event's time with an interval goes through `within`, which narrows `[since, until)` to the times
at which all comparisons so far would have come out the same; every look-up of pods notes what it looked at. So an
answer can be kept for other events, until one of these things changes.
"""

from __future__ import annotations

from typing import Literal

ALWAYS = 2**63 - 1


class Moment:
    """One instant, in nanoseconds."""

    __slots__ = ("at", "looked_at", "since", "until")

    def __init__(self, at: int) -> None:
        self.at = at
        self.since = -ALWAYS
        self.until = ALWAYS
        self.looked_at: set[str] = set()
        """Addresses; and `token`s of other things."""

    def within(self, from_at: int, to_at: int | None) -> bool:
        """Tell whether the instant lies in `[from_at, to_at)`; a `to_at` of None is open."""
        if self.at < from_at:
            self.until = min(self.until, from_at)
            return False
        self.since = max(self.since, from_at)
        if to_at is None:
            return True
        if self.at >= to_at:
            self.since = max(self.since, to_at)
            return False
        self.until = min(self.until, to_at)
        return True

    def near(self, from_at: int, to_at: int | None, tolerance: int) -> bool:
        """Tell whether the instant lies in the interval widened at both ends (R3.4)."""
        return self.within(from_at - tolerance, None if to_at is None else to_at + tolerance)


def token(kind: Literal["namespace", "node", "pod"], name: str) -> str:
    """Spell a thing so that it cannot be taken for an address: the pods of a namespace or node, or one pod."""
    return f"{kind}/{name}"
