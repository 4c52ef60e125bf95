"""What the pages tell people to paste works as it stands there, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.git_remote import git
from tests.graphs import SHOP_NAMESPACE

ROOT = Path(__file__).parents[2]
HEADING = "Put the map in your repository"
PAGES = [page for page in ("docs/export.md", "README.md") if f"# {HEADING}\n" in (ROOT / page).read_text()]


def first_block(page):
    """Return the first block of shell below the heading, without a word changed."""
    section = (ROOT / page).read_text().split(f"# {HEADING}\n", 1)[1].split("\n## ")[0]
    return re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]


def test_the_pages_put_the_same_block_under_the_heading():
    assert "docs/export.md" in PAGES
    assert len({first_block(page) for page in PAGES}) == 1


def test_the_block_puts_the_map_into_a_repository(tmp_path):
    """Pasted into a shell that stops at the first failure; `whocalls` and git are all that it needs."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    pasted = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],
        input=first_block("docs/export.md"),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert pasted.returncode == 0, pasted.stderr
    assert f"chore(callgraph): +16 calls in {SHOP_NAMESPACE}\n" in pasted.stdout
    assert pasted.stdout.endswith(
        "recommendationservice in namespace otterize-ecom-demo calls:\n  - productcatalogservice\n"
    )
    names = git(tmp_path / "maps.git", "ls-tree", "-r", "--name-only", "main").splitlines()
    assert names == [
        "callgraph/.whocalls/manifest.json",
        "callgraph/callgraph.txt",
        f"callgraph/namespaces/{SHOP_NAMESPACE}.yaml",
    ]
