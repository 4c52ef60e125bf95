"""Where a graph goes: a folder, or a git repository. Shell: owns no decision, strings the steps together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from callgraph.errors import ConfigurationError, InputError
from callgraph.telemetry import Logger
from sink_exporter.coverage import Coverage, encode_coverage
from sink_exporter.files import EDITED, check_inside, read_export, read_file, replace_files, write_atomically
from sink_exporter.git_repository import GitError, GitRepository, RejectedPushError
from sink_exporter.graph import CallGraph
from sink_exporter.layout import lay_out
from sink_exporter.overrides import amend_graph, parse_overrides
from sink_exporter.publication import check_shrink, compare_files, write_message
from sink_exporter.settings import ExporterSettings, GitSettings

OVERRIDES = "overrides.yaml"
"""Beside the files of the export; written by people, never by us."""
COVERAGE_FILE = ".whocalls/coverage.json"
"""What an export rests on; no part of the export, because it changes by itself."""
_ATTEMPTS = 20


class Publisher(Protocol):
    """Takes whole graphs."""

    def is_outdated(self) -> bool:
        """Tell whether somebody has changed the place, or its overrides, since the last graph."""

    def publish(self, graph: CallGraph) -> int:
        """Make the place hold this graph; returns how many files are new or different. Raises WhocallsError."""

    def stamp(self, coverage: Coverage | None) -> None:
        """Say beside the files what the graph rests on, as it is now. Raises WhocallsError."""


@contextmanager
def open_publisher(exporter: ExporterSettings, log: Logger) -> Iterator[Publisher]:
    """Yield the publisher that the settings ask for. Raises ConfigurationError."""
    if not exporter.git.url:
        yield FolderPublisher(exporter, log)
        return
    with tempfile.TemporaryDirectory(prefix="whocalls-git-") as folder:
        yield GitPublisher(exporter, log, Path(folder))


class FolderPublisher:
    """Writes files into a folder."""

    def __init__(self, exporter: ExporterSettings, log: Logger) -> None:
        self._out = Path(exporter.out)
        self._formats = exporter.formats
        self._log = log
        self._overrides: bytes | None = None

    def is_outdated(self) -> bool:
        """Compare the overrides with those of the last export."""
        return read_file(self._out / OVERRIDES) != self._overrides

    def publish(self, graph: CallGraph) -> int:
        """Write what differs."""
        self._overrides = read_file(self._out / OVERRIDES)
        graph = _amend(graph, self._overrides, str(self._out / OVERRIDES), self._log)
        result = replace_files(self._out, lay_out(graph, self._formats))
        for name in result.edited:
            self._log.warning("edited_file_replaced", file=name, kept=str(self._out / EDITED / name))
        if result.changed:
            written, removed = len(result.written), len(result.removed)
            self._log.info(
                "graph_exported", out=str(self._out), calls=len(graph.arrows), written=written, removed=removed
            )
        return len(result.written)

    def stamp(self, coverage: Coverage | None) -> None:
        """Write it to a file of its own, which git ignores: it changes all the time."""
        if coverage is not None:
            write_atomically(self._out / ".whocalls/.gitignore", b"coverage.json\nedited/\n")
            write_atomically(self._out / COVERAGE_FILE, encode_coverage(coverage))


class GitPublisher:
    """Commits and pushes to one branch of a repository, by way of a clone in a folder that holds nothing else."""

    def __init__(self, exporter: ExporterSettings, log: Logger, folder: Path) -> None:
        if "yaml" not in exporter.formats:
            raise ConfigurationError(
                "exporter.git needs the format yaml among exporter.formats: changes are read from it"
            )
        self._settings: GitSettings = exporter.git
        self._formats = exporter.formats
        self._log = log
        self._repository = GitRepository(folder, exporter.git)
        self._head = ""

    def is_outdated(self) -> bool:
        """Ask whether the branch has moved on. Raises UnreachableError."""
        return self._repository.ask_head() != self._head

    def stamp(self, coverage: Coverage | None) -> None:
        """Write nothing: what changes by itself stands in the messages of commits that are made anyway."""

    def publish(self, graph: CallGraph) -> int:
        """Render onto what the branch holds now, commit and push; again from the start when somebody was faster."""
        for _ in range(_ATTEMPTS):
            try:
                return self._publish_once(graph)
            except RejectedPushError as error:
                self._log.info("push_rejected", reason=str(error))
        raise GitError(f"{_ATTEMPTS} pushes to {self._settings.url!r} were rejected (does somebody push all the time?)")

    def _publish_once(self, graph: CallGraph) -> int:
        self._repository.reset()
        check_inside(self._repository.folder, f"{self._settings.path}/{EDITED}")
        out = self._repository.folder / self._settings.path
        graph = _amend(graph, self._read_overrides(out), f"{self._settings.path}/{OVERRIDES}", self._log)
        files = lay_out(graph, self._formats)
        difference = compare_files(read_export(out, files), files)
        if not self._settings.allow_shrink:
            check_shrink(difference, len(graph.arrows))
        result = replace_files(out, files, keep_edited=False)
        changed = self._repository.commit(self._settings.path, write_message(difference, graph))
        if changed:
            self._repository.push()
        self._head = self._repository.head()
        if not changed:
            return 0
        for name in result.edited:
            self._log.warning("edited_file_replaced", file=name, kept="in the history of the repository")
        self._log.info("graph_pushed", commit=self._head, calls=len(graph.arrows), files=len(result.written))
        return len(result.written)

    def _read_overrides(self, out: Path) -> bytes | None:
        """Read the overrides of the branch, but nothing that a link in it leads to."""
        path = out / OVERRIDES
        if path.is_symlink():
            raise InputError(f"{OVERRIDES} in {self._settings.url!r} is a symbolic link (make it a file)")
        return read_file(path)


def _amend(graph: CallGraph, overrides: bytes | None, name: str, log: Logger) -> CallGraph:
    """Apply what people have written, and say which of it has done its work."""
    if overrides is None:
        return graph
    amended = amend_graph(graph, parse_overrides(overrides, repr(name)), datetime.now(UTC).date())
    reports = (
        ("added_call_was_seen", amended.now_seen),
        ("ignored_call_is_gone", amended.ignored_gone),
        ("override_expired", amended.expired),
    )
    for event, entries in reports:
        for entry in entries:
            log.info(event, entry=entry, file=name)
    return amended.graph
