"""The licence list and the audit say what they know, and say so when they know nothing."""

from __future__ import annotations

import tomllib
from email.message import Message

import pytest

from tests.deployment.audit import FOUND, NONE, UNREACHED, judge
from tests.deployment.chart import ROOT
from tests.deployment.licences import is_settled, licence_of, list_licences, locked_packages

FINE = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "not found"}
VULNERABLE = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}


def test_every_locked_package_has_a_licence_that_was_thought_of():
    assert {name: licence for name, licence in list_licences().items() if not is_settled(name, licence)} == {}


def test_direct_dependencies_are_locked_and_described():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {text for group in [project["dependencies"], *extras.values()] for text in group}
    locked = locked_packages((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    described = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for text in wanted:
        name = text.partition("[")[0].partition(">")[0].partition("=")[0]
        if name != "whocalls":
            assert name in locked
            assert f"| {name} |" in described


@pytest.mark.parametrize(
    ("name", "licence", "settled"),
    [
        ("x", "MIT", True),
        ("x", "GPL-3.0-only", False),
        ("x", "", False),
        ("x", "Proprietary", False),
        ("scapy", "GPL-2.0-only", True),
    ],
)
def test_a_licence_that_asks_for_more_must_be_thought_of(name, licence, settled):
    assert is_settled(name, licence) == settled


def test_the_newest_field_wins():
    package = Message()
    package["License"] = "see the file\nwith all of its text"
    assert licence_of(package) == "see the file"
    package["Classifier"] = "License :: OSI Approved :: MIT License"
    assert licence_of(package) == "MIT License"
    package["License-Expression"] = "MIT"
    assert licence_of(package) == "MIT"


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([FINE], NONE, "no known vulnerability in 1 packages"),
        ([FINE, SKIPPED], NONE, "not in the database: b"),
        ([FINE, VULNERABLE], FOUND, "c 2: PYSEC-1, fixed in ['3']"),
        ([SKIPPED, SKIPPED], UNREACHED, "NOTHING was audited"),
    ],
)
def test_an_audit_that_reached_nothing_is_no_clean_one(packages, code, said):
    judged, lines = judge({"dependencies": packages})
    assert judged == code
    assert said in lines[0]
