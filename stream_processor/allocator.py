"""The C library asked to give memory back. Shell: mallopt of glibc, through ctypes.

Batches come and go as blocks of 100 kB, in several threads. glibc would give each thread an arena of its own and raise
the size up to which blocks stay in an arena once freed, and the holes add up: a worker that was behind weighed 514 MB,
and 301 MB with these settings (`make bench-processor-memory`). Source: mallopt(3).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_SETTINGS = {_ARENA_MAX: 2, _MMAP_THRESHOLD: 64 * 1024, _TRIM_THRESHOLD: 128 * 1024}


def give_memory_back() -> None:
    """Set it for this process, before it starts threads; a C library without mallopt is left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _SETTINGS.items():
            mallopt(parameter, value)
