"""The examples of docs/comparing.md, run step by step in a shell, as the runners of GitHub and GitLab do it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sink_exporter.layout import lay_out
from tests.graphs import graph_of, workload

DOCUMENT = Path(__file__).parents[2] / "docs" / "comparing.md"
BEFORE = ((workload("web"), workload("api")),)
NEW = (workload("web"), workload("db", "data"))


def examples():
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]


def github_steps():
    (workflow,) = (each for each in examples() if "jobs" in each)
    return [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]


def gitlab_steps():
    (pipeline,) = (each["calls"] for each in examples() if "calls" in each)
    return [*pipeline["before_script"], *pipeline["script"]]


def git(folder, *arguments):
    identity = ("-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def write_map(folder, *pairs):
    for name, content in lay_out(graph_of(*pairs), ("yaml",)).items():
        path = folder / "callgraph" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def checkout(tmp_path):
    """The map's repository as a runner has it: a clone on a branch that adds a call."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    write_map(origin, *BEFORE)
    (origin / "allowed-calls.txt").write_text("batch/* -> data/*\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "the map")
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    git(clone, "checkout", "-q", "-b", "change")
    write_map(clone, *BEFORE, NEW)
    return clone


def run_steps(steps, folder):
    """Run the steps until one fails; what installs packages is left to the runner. Returns output and exit code."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    }
    printed = ""
    for step in steps:
        if step.startswith("pip install"):
            continue
        ended = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        printed += ended.stdout
        if ended.returncode:
            return printed, ended.returncode
    return printed, 0


pipelines = pytest.mark.parametrize(
    ("steps", "summary"), [(github_steps(), "summary.md"), (gitlab_steps(), "calls.md")], ids=["github", "gitlab"]
)


@pipelines
def test_a_new_call_fails_the_pipeline_with_its_line_and_is_in_the_summary(checkout, steps, summary):
    assert run_steps(steps, checkout) == ("shop/web -> data/db\n", 3)
    assert "+ shop/web -> data/db (dns)" in (checkout / summary).read_text()


@pipelines
def test_an_allowed_call_lets_it_pass(checkout, steps, summary):
    (checkout / "allowed-calls.txt").write_text("shop/web -> data/*  # agreed in the review\n")
    assert run_steps(steps, checkout) == ("", 0)
    assert "1 new" in (checkout / summary).read_text()


@pipelines
def test_no_change_lets_it_pass(checkout, steps, summary):
    git(checkout, "checkout", "-q", "--", "callgraph")
    git(checkout, "clean", "-q", "-fd")
    assert run_steps(steps, checkout) == ("", 0)
    assert (checkout / summary).read_text() == ""


@pipelines
def test_a_map_that_cannot_be_read_fails_it_too(checkout, steps, summary):
    (checkout / "callgraph" / "namespaces" / "shop.yaml").write_text("what: is this\n")
    assert run_steps(steps, checkout)[1] == 1
    assert not (checkout / summary).read_text()
