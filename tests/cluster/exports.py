"""What was exported, in the words of the scenarios. Shell: reads a folder."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.steps import Truth
from tests.exported_files import exported


def read_truths(out: Path) -> dict[str, Truth]:
    """Read the exported files as the truths of scenarios are written.

    Where a call left evidence on the wire, `socket` is left out: a scan of /proc may come upon it, or not.
    """
    found: dict[str, Truth] = {}
    for (home, client), servers in exported(out).items():
        told = {
            f"{where}/{name}" if where else f"external {name}": _words(evidence)
            for (where, name), evidence in servers.items()
        }
        found.setdefault(home, {})[client] = told
    return found


def _words(evidence: dict[str, list[str]]) -> str:
    on_the_wire = [each for each in evidence["via"] if each != "socket"]
    return " ".join([*(on_the_wire or evidence["via"]), *evidence.get("ports", ())])
