"""Sets of texts by key, nearly all of them with one member. Pure, but for memory.

A set of one is kept as that text alone and a larger one as a tuple: an empty `set` takes 216 bytes, and a cluster of a
hundred thousand pods has as many addresses. Tuples are copied when they grow, so large sets do not belong here.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")


class SmallSets(Generic[K]):
    """A set of texts for each key; a key without any has none."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: dict[K, str | tuple[str, ...]] = {}

    def get(self, key: K) -> tuple[str, ...]:
        """Return the members in the order in which they came."""
        found = self._members.get(key, ())
        return (found,) if isinstance(found, str) else found

    def add(self, key: K, member: str) -> None:
        """Add a member, unless it is one."""
        members = self.get(key)
        if not members:
            self._members[key] = member
        elif member not in members:
            self._members[key] = (*members, member)

    def discard(self, key: K, member: str) -> None:
        """Take a member out."""
        left = tuple(each for each in self.get(key) if each != member)
        if left:
            self._members[key] = left[0] if len(left) == 1 else left
        else:
            self._members.pop(key, None)
