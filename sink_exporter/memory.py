"""Memory given back to the system. Shell: the C library.

What a start-up read and threw away stays with the process: glibc keeps a heap for each thread, and gives none back by
itself. On another C library nothing happens.
"""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8
"""`M_ARENA_MAX` of <malloc.h>."""


def share_one_heap() -> None:
    """Let all threads to come use one heap: one thread at a time works here."""
    _call("mallopt", _ARENA_MAX, 1)


def give_back() -> None:
    """Return free pages."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
