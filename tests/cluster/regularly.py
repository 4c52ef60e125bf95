"""Does something again and again while something else goes on. Shell: one thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def regularly(act: Callable[[], None], *, seconds: float) -> Iterator[None]:
    """Act after every so many seconds of the block, in a thread of its own, and once more at the end."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            act()
        act()

    thread = threading.Thread(target=run, name=f"regularly-{act.__qualname__}")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
