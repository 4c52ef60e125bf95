"""Shell blocks of the pages, with what is said of how they are tested. Shell: reads files.

A comment above a block says `runs`, or what it needs that no test has: `needs: a cluster`.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from tests.deployment.chart import ROOT

PAGES = ("README.md", "docs/quick-start.md", "docs/kafka.md")
_BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^>]*) -->\n)?```sh\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A shell block: where it begins, what its comment says (empty: none), and its lines."""

    page: str
    line: int
    mark: str
    script: str

    @property
    def runs(self) -> bool:
        return self.mark == "runs" or "; runs with" in self.mark


def list_blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start("script")) + 1
            found.append(Block(page, line, block["mark"] or "", block["script"]))
    return found


def split_commands(script: str) -> list[list[str]]:
    """Split a block into commands, comments and redirections gone; `for` loops give what is between `do` and `done`."""
    joined = script.replace("\\\n", " ")
    commands = []
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in ("for", "done", "export"):
            continue
        commands += _parts(words)
    return commands


def _parts(words: list[str]) -> list[list[str]]:
    """Split at pipes; drop redirections."""
    parts: list[list[str]] = [[]]
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "|":
            parts.append([])
        elif word in (">", "2>"):
            skip = True
        else:
            parts[-1].append(word)
    return parts
