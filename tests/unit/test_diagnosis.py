"""What the doctor makes of findings: lines, remedies, exit codes; and checks that no broker of one node can show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from callgraph.settings import KafkaSettings, TopicSettings
from tests.deployment.chart import ROOT
from tests.end_to_end.processes import run_whocalls
from whocalls.diagnosis.finding import exit_code, fail, fail_with, ok, render_json, render_text, skip, warn
from whocalls.diagnosis.kafka import KafkaFacts, Shape, check_kafka
from whocalls.diagnosis.line import sum_samples


def test_the_remedy_of_an_error_becomes_the_fix():
    found = fail_with("kafka.login", "cannot log in: SASL (SCRAM) failed (check the password (a file))")
    assert (found.message, found.fix) == ("cannot log in: SASL (SCRAM) failed", "check the password (a file)")


def test_a_sentence_without_a_remedy_is_kept_whole():
    assert fail_with("x", "it said nothing").message == "it said nothing"


def test_each_check_is_a_line_and_each_failure_has_its_fix_below():
    findings = [ok("a", "well"), fail("long.name", "broken", fix="mend it", doc="docs/x.md#y"), skip("b", "not asked")]
    assert render_text(findings) == (
        "[ ok ] a          well\n"
        "[FAIL] long.name  broken\n"
        "       fix: mend it (docs/x.md#y)\n"
        "[skip] b          not asked\n"
    )


def test_json_leaves_out_what_is_empty():
    assert (
        render_json([ok("a", "well")])
        == '[\n  {\n    "check": "a",\n    "status": "ok",\n    "message": "well"\n  }\n]\n'
    )


@pytest.mark.parametrize(
    ("findings", "strict", "code"),
    [
        ([ok("a", "x"), skip("b", "x"), warn("c", "x", fix="y")], False, 0),
        ([warn("c", "x", fix="y")], True, 5),
        ([fail("a", "x", fix="y"), ok("b", "x")], False, 5),
        ([fail("a", "x", fix="y"), fail("b", "x", fix="y", unreachable=True)], False, 6),
    ],
)
def test_the_exit_code_is_that_of_the_worst_finding(findings, strict, code):
    assert exit_code(findings, strict=strict) == code


def test_one_replica_on_several_brokers_is_warned_of():
    topics = TopicSettings(partitions=2)
    shape = Shape(partitions=2, replicas=1, config={"cleanup.policy": "compact"})
    facts = KafkaFacts(servers=(), brokers=3, topics={"whocalls.call-graph": shape})
    (found,) = [each for each in check_kafka(facts, KafkaSettings(), topics) if each.check == "kafka.replicas"]
    assert (found.status, found.message) == ("warn", "whocalls.call-graph has one replica on 3 brokers")
    assert "topics.replication_factor" in found.fix


def test_samples_are_summed_over_labels_and_pages():
    page = '# TYPE a counter\na{x="1}"} 2\na{x="2"} 3.5\nb 1e3\n\n'
    assert sum_samples([page, page]) == {"a": 11.0, "b": 2000.0}


def test_the_command_ends_with_the_code_and_prints_a_line_for_each_check():
    ended = run_whocalls("doctor", "kafka", "--kafka-bootstrap-servers=127.0.0.1:1", "--kafka-connect-seconds=0.5")
    assert ended.returncode == 6
    assert ended.stdout.splitlines()[0] == "[ ok ] kafka.names       127.0.0.1:1 is 127.0.0.1"
    assert ended.stderr == ""


def test_every_check_of_the_doctor_is_broken_in_a_test():
    judging = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "whocalls" / "diagnosis").glob("*.py"))
    checks = set(re.findall(r'"((?:kafka|rbac|stream|export|agent)\.[a-z]+)"', judging))
    tests = [*(ROOT / "tests" / "integration").glob("test_doctor_*.py"), Path(__file__)]
    said = "".join(path.read_text(encoding="utf-8") for path in tests)
    broken = set(re.findall(r'\.(?:failed|warned|of)\("([a-z.]+)"\)', said))
    broken |= {
        name for pair in re.findall(r'\("\w+", "([a-z.]+)", "|each\.check == "([a-z.]+)"', said) for name in pair
    }
    assert len(checks) > 25
    assert checks - broken == set()
