"""Every shell block of README, quick start and the Kafka page runs, or is parsed and says what it needs.

What runs does so in a folder like the tree's top, with `whocalls` on the path; where a block would ask a cluster for a
capture and its objects, stand-ins hand out the demo's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from callgraph.configuration import load_settings
from tests.deployment.chart import ROOT, objects
from tests.documents import PAGES, list_blocks, split_commands
from whocalls.configuration import Settings
from whocalls.shop_traffic import write_shop_input

BLOCKS = list_blocks()
RUNNING = [block for block in BLOCKS if block.runs]
PARSED = [block for block in BLOCKS if not block.runs]
BIN = Path(sys.executable).parent
# What a block may call that no test can run: the words that may follow.
FOREIGN = {
    "kubectl": {"create", "label", "rollout", "exec", "get", "port-forward", "-n"},
    "docker": {"compose", "build", "push", "buildx"},
    "helm": {"install", "test"},
    "kcat": {"-b"},
    "make": set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)),
    "tar": {"x"},
}


def name(block):
    return f"{block.page}:{block.line}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder like the top of the tree, and a path with the command and the stand-ins."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.name not in ("out", "build", ".git"):
            (folder / path.name).symlink_to(path)
    shop = write_shop_input(tmp_path_factory.mktemp("shop"))
    tools = tmp_path_factory.mktemp("tools")
    capture = next(iter(shop.captures.values()))
    for tool, does in {"kubectl": f"exec cat {shop.objects}", "tcpdump": f'exec cp {capture} "$4"'}.items():
        (tools / tool).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (tools / tool).chmod(0o755)
    (tools / "whocalls").symlink_to(BIN / "whocalls")
    return folder, {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tools), "MAKEFLAGS": ""}


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_run_from_top_to_bottom(page, place):
    folder, environment = place
    for file in ("out", "maps.git", "shop"):
        shutil.rmtree(folder / file, ignore_errors=True)
    for block in RUNNING:
        if block.page != page:
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{name(block)}\n{done.stdout}\n{done.stderr}"
        if "make demo" in block.script:
            golden = (ROOT / "tests" / "golden" / "demo.txt").read_text(encoding="utf-8")
            assert done.stdout.startswith(golden)
        assert done.stdout or done.stderr, f"{name(block)} said nothing"


def test_the_pictures_of_the_pages_are_those_of_the_demo(place):
    folder, environment = place
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if not (folder / "out").is_dir():
        subprocess.run(["make", "demo"], cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
    picture = subprocess.run(
        [BIN / "whocalls", "export", "mermaid", "--input", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"```mermaid\n{picture}```" in (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
    shown = readme.partition("$ whocalls show checkoutservice --input out\n")[2].partition("    …")[0]
    said = subprocess.run(
        [BIN / "whocalls", "show", "checkoutservice", "--input", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown
    assert said.startswith(shown)


@pytest.mark.parametrize("block", BLOCKS, ids=name)
def test_every_block_says_how_it_is_tested_and_is_shell(block):
    assert block.mark == "runs" or block.mark.startswith("needs: "), f"{name(block)} has no comment above it"
    done = subprocess.run(["bash", "-n"], input=block.script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", PARSED, ids=name)
def test_what_does_not_run_is_made_of_commands_and_flags_that_exist(block):
    from whocalls.command import whocalls  # noqa: PLC0415  (roles come one by one)

    for words in split_commands(block.script):
        program = Path(words[0]).name
        if program != "whocalls":
            assert words[1] in FOREIGN[program], words
            continue
        command, arguments = whocalls, words[1:]
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), arguments.pop(0))
            assert command is not None, words
        command.make_context("whocalls", arguments)


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md"])
def test_the_values_of_the_page_render_and_load(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    values = yaml.safe_load(text.partition("```yaml\n# values.yaml\n")[2].partition("```")[0])
    rendered = objects(values)
    (config,) = {
        o["data"]["whocalls.yaml"] for o in rendered if o["kind"] == "ConfigMap" and "whocalls.yaml" in o["data"]
    }
    file = tmp_path / "whocalls.yaml"
    file.write_text(config, encoding="utf-8")
    assert load_settings(Settings, file=file, environment={}).cluster == "production"
    named = {
        (o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]) for o in rendered if "namespace" in o["metadata"]
    }
    assert ("DaemonSet", "whocalls-agents", "whocalls-agent") in named
    assert ("Deployment", "whocalls", "whocalls-exporter") in named
