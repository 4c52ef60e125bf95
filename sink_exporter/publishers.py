"""Where a graph goes: a folder, or a git repository. Shell: owns no decision, strings the steps together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from callgraph.errors import ConfigurationError, InputError
from callgraph.telemetry import Logger
from sink_exporter.clone_folder import make_clone_folder
from sink_exporter.coverage import Coverage, encode_coverage
from sink_exporter.files import EDITED, check_inside, read_export, read_file, replace_files, write_atomically
from sink_exporter.forge_client import ForgeClient
from sink_exporter.forges import locate
from sink_exporter.git_repository import GitError, GitRepository, RejectedPushError
from sink_exporter.git_token import has_token, read_token
from sink_exporter.graph import CallGraph
from sink_exporter.layout import lay_out
from sink_exporter.overrides import Amended, amend_graph, parse_overrides
from sink_exporter.publication import ProposalText, check_shrink, compare_files, write_message, write_proposal
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
    with make_clone_folder() as folder:
        yield GitPublisher(exporter, log, folder)


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
        amended = _amend(graph, self._overrides, str(self._out / OVERRIDES))
        graph = amended.graph
        _report(amended, str(self._out / OVERRIDES), self._log)
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
    """Commits and pushes to one branch of a repository, by way of a clone in a folder that holds nothing else.

    That branch is the one that the map belongs to, or one that is proposed for it.
    """

    def __init__(self, exporter: ExporterSettings, log: Logger, folder: Path) -> None:
        if "yaml" not in exporter.formats:
            raise ConfigurationError(
                "exporter.git needs the format yaml among exporter.formats: changes are read from it"
            )
        self._settings: GitSettings = exporter.git
        self._formats = exporter.formats
        self._log = log
        self._repository = GitRepository(folder, exporter.git)
        self._out = folder / exporter.git.path
        self._forge = _build_client(exporter.git) if exporter.git.mode == "pr" else None
        self._proposed = ""
        self._renewed = False
        self._published = False

    def is_outdated(self) -> bool:
        """Ask whether a branch has moved on. Raises UnreachableError."""
        return not self._published or self._repository.has_moved()

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
        self._published = False
        self._repository.reset()
        amended, files = self._render(graph)
        before = read_export(self._out, files)
        resumed = self._repository.resume_proposal()
        if resumed:
            amended, files = self._render(graph)
        difference = compare_files(before, files, amended.graph)
        if not self._settings.allow_shrink:
            check_shrink(difference, len(amended.graph.arrows))
        step = compare_files(read_export(self._out, files), files, amended.graph) if resumed else difference
        written = self._push(files, write_message(step, amended.graph))
        _report(amended, f"{self._settings.path}/{OVERRIDES}", self._log)
        if self._forge is not None and before != files:
            self._propose(self._forge, write_proposal(difference, amended.graph))
        self._published = True
        return written

    def _render(self, graph: CallGraph) -> tuple[Amended, dict[str, bytes]]:
        """Render onto what the clone stands on, and with the overrides that are there."""
        check_inside(self._repository.folder, f"{self._settings.path}/{EDITED}")
        amended = _amend(graph, self._read_overrides(), f"{self._settings.path}/{OVERRIDES}")
        return amended, lay_out(amended.graph, self._formats)

    def _push(self, files: Mapping[str, bytes], message: str) -> int:
        """Commit and push what differs from where the clone stands; returns how many files were written."""
        result = replace_files(self._out, files, keep_edited=False)
        if not self._repository.commit(self._settings.path, message):
            return 0
        self._repository.push()
        self._renewed = True
        for name in result.edited:
            self._log.warning("edited_file_replaced", file=name, kept="in the history of the repository")
        self._log.info("graph_pushed", commit=self._repository.head(), files=len(result.written))
        return len(result.written)

    def _propose(self, forge: ForgeClient, told: ProposalText) -> None:
        """See that the branch is proposed, once for each of its commits."""
        head = self._repository.head()
        if head == self._proposed:
            return
        proposal = forge.propose(told.title, told.text, head=head, renewed=self._renewed)
        self._proposed, self._renewed = head, False
        event = "proposal_open" if proposal.state == "open" else "proposal_was_declined"
        self._log.info(event, url=proposal.url, number=proposal.number)

    def _read_overrides(self) -> bytes | None:
        """Read the overrides of the branch, but nothing that a link in it leads to."""
        path = self._out / OVERRIDES
        if path.is_symlink():
            raise InputError(f"{OVERRIDES} in {self._settings.url!r} is a symbolic link (make it a file)")
        return read_file(path)


def _build_client(settings: GitSettings) -> ForgeClient:
    if not has_token(settings):
        raise ConfigurationError("exporter.git.mode pr needs a token (exporter.git.token_file or token_variable)")
    forge, place = locate(settings)
    return ForgeClient(forge, place, read_token=lambda: read_token(settings))


def _amend(graph: CallGraph, overrides: bytes | None, name: str) -> Amended:
    """Apply what people have written."""
    if overrides is None:
        return Amended(graph=graph)
    return amend_graph(graph, parse_overrides(overrides, repr(name)), datetime.now(UTC).date())


def _report(amended: Amended, name: str, log: Logger) -> None:
    """Say which of the overrides has done its work."""
    reports = (
        ("added_call_was_seen", amended.now_seen),
        ("ignored_call_is_gone", amended.ignored_gone),
        ("override_expired", amended.expired),
    )
    for event, entries in reports:
        for entry in entries:
            log.info(event, entry=entry, file=name)
