"""What the exporter's folder or remote answers. Shell: files, the `git` binary. Nothing is pushed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from callgraph.errors import UnreachableError, WhocallsError
from sink_exporter.git_repository import GitRepository
from sink_exporter.settings import ExporterSettings
from whocalls.diagnosis.output import OutputFacts


def gather_output(exporter: ExporterSettings) -> OutputFacts:
    """Try the folder, or read the remote and ask it whether it would take a push."""
    if not exporter.git.url:
        return OutputFacts(folder=_try_folder(Path(exporter.out)))
    with tempfile.TemporaryDirectory(prefix="whocalls-doctor-") as folder:
        try:
            repository = GitRepository(Path(folder), exporter.git)
            repository.reset()
        except WhocallsError as error:
            return OutputFacts(unreadable=str(error), is_unreachable=isinstance(error, UnreachableError))
        return OutputFacts(head=repository.head(), unwritable=_try_push(repository))


def _try_folder(folder: Path) -> str:
    """Make a file without a name in the folder, or in the nearest one above that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _try_push(repository: GitRepository) -> str:
    try:
        repository.try_push()
    except WhocallsError as error:
        return str(error)
    return ""
