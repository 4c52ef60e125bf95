"""The runner of conformance cases: what it says, and how it ends."""

from __future__ import annotations

import json

import pytest

from tests.conformance import main
from tests.small_cluster import FRONTEND, pod


def identity_case(server):
    return {
        "id": "ID-1",
        "objects": [FRONTEND, pod("cart-0", "10.0.0.7")],
        "events": [{"t": 10, "type": "conn", "node": "node-1", "src": "10.0.0.5", "dst": "10.0.0.7", "dport": 80}],
        "expect": {
            "edges": [
                {
                    "client": {"namespace": "shop", "kind": "StatefulSet", "name": "frontend"},
                    "server": {"namespace": "shop", "kind": "StatefulSet", "name": server},
                }
            ],
            "unresolved": [],
        },
    }


@pytest.fixture
def run(tmp_path, capsys):
    def run_cases(document):
        path = tmp_path / "cases.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return main([str(path)]), capsys.readouterr().out.splitlines()

    return run_cases


def identity_file(*cases):
    return {"time_base": "2026-01-01T00:00:00Z", "cases": list(cases)}


def test_passing_case_is_counted_and_not_named(run):
    assert run(identity_file(identity_case("cart"))) == (0, ["1 passed, 0 failed, 0 skipped"])


def test_failing_case_is_named_with_the_difference(run):
    code, lines = run(identity_file(identity_case("basket")))
    assert (code, lines[-1]) == (1, "0 passed, 1 failed, 0 skipped")
    assert lines[0].startswith("ID-1: edges: expected ")


def test_case_that_makes_the_code_raise_fails_and_the_rest_is_run(run):
    broken = identity_case("cart") | {"id": "ID-2", "events": [{"t": 1, "type": "conn"}]}
    code, lines = run(identity_file(broken, identity_case("cart")))
    assert (code, lines[-1]) == (1, "1 passed, 1 failed, 0 skipped")


def test_unknown_suites_are_skipped_by_name(run):
    document = {"cases": [{"id": "x-1", "suite": "webhook"}, {"id": "x-2", "suite": "webhook"}]}
    assert run(document) == (0, ["skipped suite webhook: 2", "0 passed, 0 failed, 2 skipped"])


def test_exceptions_are_skipped_with_their_rule(run):
    code, lines = run({"cases": [{"id": "res-004", "suite": "resolve"}]})
    assert (code, lines[-1]) == (0, "0 passed, 0 failed, 1 skipped")
    assert lines[0].startswith("skipped res-004 (R2.2")


def test_known_suites_are_run(run):
    case = {
        "id": "kf-1",
        "suite": "ip_to_pod",
        "input": {"cluster": [], "ip": "1.1.1.1"},
        "expected": {"error": "none"},
    }
    assert run({"cases": [case]}) == (0, ["1 passed, 0 failed, 0 skipped"])
