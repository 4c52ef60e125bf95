"""The pages: links lead somewhere, the README is short, and what the code refers to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deployment.chart import ROOT

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/adr").glob("*.md")]
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors that a forge makes of the headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: {target}"


def test_every_heading_that_the_code_points_to_is_there():
    named = {
        found
        for folder in ("callgraph", "capture_agent", "stream_processor", "sink_exporter", "whocalls", "charts")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".txt")
        for found in re.findall(r"docs/[a-z-]+\.md#[a-z-]+", path.read_text(encoding="utf-8"))
    }
    assert named
    for target in named:
        path, _, anchor = target.partition("#")
        assert (ROOT / path).is_file(), target
        assert anchor in anchors(ROOT / path), target


def test_the_readme_is_at_most_two_hundred_lines():
    assert len(Path(ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_readme_names_the_functions_of_the_data_path_where_they_are():
    rows = re.findall(r"^\| .+ \| (`.+`) \| (`.+`) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 7
    for functions, files in rows:
        names, paths = re.findall(r"`(\w+)`", functions), re.findall(r"`([\w/.]+)`", files)
        folder = Path(paths[0]).parent
        for function, path in zip(names, paths, strict=True):
            source = ROOT / (path if "/" in path else folder / path)
            assert f"def {function}(" in source.read_text(encoding="utf-8")
