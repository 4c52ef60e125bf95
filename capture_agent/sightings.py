"""One packet, seen at several taps, once. Pure.

On one node a packet passes a pod's interface, a bridge and a tunnel, and NAT changes an address on the way. What stays
is the client's end and what the client chose at random: the id of a DNS question, the first sequence number of a
connection. The first sighting counts.
"""

from __future__ import annotations

from collections.abc import Hashable

WINDOW_NANOSECONDS = 2_000_000_000
"""The way through a node takes less, a client that asks again takes longer."""

MAX_SIGHTINGS = 65_536


class Sightings:
    """Keys that have been seen for at least a window and for at most two, or for MAX_SIGHTINGS others."""

    def __init__(self) -> None:
        self._current: set[Hashable] = set()
        self._previous: set[Hashable] = set()
        self._began_at = 0

    def is_first(self, key: Hashable, at: int) -> bool:
        """Tell whether the key is new, and remember it; files of several captures may go back in time."""
        if abs(at - self._began_at) > WINDOW_NANOSECONDS or len(self._current) >= MAX_SIGHTINGS:
            self._previous = self._current if abs(at - self._began_at) <= 2 * WINDOW_NANOSECONDS else set()
            self._current = set()
            self._began_at = at
        if key in self._current or key in self._previous:
            return False
        self._current.add(key)
        return True
