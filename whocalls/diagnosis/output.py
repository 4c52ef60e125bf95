"""Can the exporter put the graph where it should? Pure.

In: what its folder or its remote answered. Out: a finding for each check.
"""

from __future__ import annotations

from msgspec import Struct

from sink_exporter.settings import ExporterSettings
from whocalls.diagnosis.finding import Finding, fail, fail_with, ok, skip

_DOC = "docs/operations.md#whocallsexportstale"


class OutputFacts(Struct, frozen=True, kw_only=True):
    """What was found."""

    folder: str = ""
    """Why the folder cannot be written."""
    unreadable: str = ""
    """Why the remote cannot be read, as git says."""
    is_unreachable: bool = False
    unwritable: str = ""
    """Why a push would be refused."""
    head: str = ""


def check_output(facts: OutputFacts, exporter: ExporterSettings) -> list[Finding]:
    """Judge the folder, or the git remote in its place."""
    if not exporter.git.url:
        return [_check_folder(facts, exporter), skip("export.remote", "exporter.git.url is not set")]
    if facts.unreadable:
        return [fail_with("export.remote", facts.unreadable, doc=_DOC, unreachable=facts.is_unreachable)]
    at = f"at {facts.head[:12]}" if facts.head else "and will be made"
    found = [ok("export.remote", f"the branch {exporter.git.branch} can be read, {at}")]
    if facts.unwritable:
        fix = "let the key or token of exporter.git push to that branch"
        return [*found, fail_with("export.push", facts.unwritable, fix=fix, doc=_DOC)]
    return [*found, ok("export.push", "a push would be taken")]


def _check_folder(facts: OutputFacts, exporter: ExporterSettings) -> Finding:
    if not facts.folder:
        return ok("export.folder", f"{exporter.out!r} can be written")
    fix = "mount a volume there that the exporter's user may write, or set exporter.out"
    return fail("export.folder", f"{exporter.out!r} cannot be written: {facts.folder}", fix=fix, doc=_DOC)
