"""A folder for a clone, gone when the exporter is. Shell: the temporary files, flock(2).

An exporter that is killed leaves its clone behind, and in a container that restarts, on the same volume. So each one
holds a lock on its own, and removes those that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "whocalls-git-"


@contextmanager
def make_clone_folder() -> Iterator[Path]:
    """Yield an empty folder; what killed exporters left is removed before."""
    for rest in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_abandoned(rest)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        descriptor = _open(Path(name))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    try:
        descriptor = _open(folder)
    except OSError:  # it is gone, or somebody else's, or no folder
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if any(folder.iterdir()):  # an empty one may belong to somebody who has not locked it yet
            shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
