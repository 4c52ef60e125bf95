"""Dashboard and alerts: metrics that the programs have, queries that parse, alerts that fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
import yaml

from callgraph.metrics import METRICS, SERVICE_GRAPH
from tests.deployment.chart import CHART, ROOT, objects, read_values

ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
RULES = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
CASES = ROOT / "tests" / "deployment" / "alert_cases.yaml"
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
DECLARED = {metric.name: metric for metric in (*METRICS, SERVICE_GRAPH)}
EXPRESSIONS = [rule["expr"] for rule in RULES] + QUERIES


@pytest.fixture
def promtool():
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool (Debian package prometheus)")

    def run(*arguments):
        done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_that_is_used_is_declared(expression):
    used = re.findall(r"\b((?:whocalls|traces)_[a-z_]+)(?:\{([^}]*)\})?", expression)
    assert used
    for name, matchers in used:
        assert name in DECLARED
        assert set(re.findall(r"(\w+)=", matchers)) <= set(DECLARED[name].labels)
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        labels = {label for name, _ in used for label in DECLARED[name].labels} | {"instance"}
        assert set(grouped.split(", ")) <= labels


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_counters_are_read_as_rates(expression):
    for name, metric in DECLARED.items():
        if metric.kind == "counter":
            for before in re.findall(rf"(\w*)\(?{name}\b", expression):
                assert before in ("rate", "increase")


def test_every_query_of_the_dashboard_parses(promtool, tmp_path):
    rules = [{"record": f"dashboard:query_{number}", "expr": query} for number, query in enumerate(QUERIES)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    code, said = promtool("check", "rules", str(file))
    assert code == 0, said


def test_panels_lie_side_by_side_and_ask_the_chosen_data_source():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]} == {"${datasource}"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert DASHBOARD["uid"] == "whocalls"


def test_every_alert_fires_in_its_case_and_only_then(promtool, tmp_path):
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    cases["rule_files"] = [str(ALERTS)]
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(cases), encoding="utf-8")
    code, said = promtool("test", "rules", str(file))
    assert code == 0, said


def test_every_alert_has_a_case_that_fires_and_one_that_does_not():
    tests = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    checked = [(case["alertname"], bool(case.get("exp_alerts"))) for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {name for name, fires in checked if fires} == names
    assert {name for name, fires in checked if not fires} == names


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook(rule):
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert anchor == rule["alert"].lower()


def test_the_chart_carries_the_alerts_and_the_dashboard_as_they_are():
    rendered = {(each["kind"], each["metadata"]["name"]): each for each in objects(read_values("everything"))}
    (group,) = rendered["PrometheusRule", "whocalls"]["spec"]["groups"]
    prefix = "https://wiki.example.org/whocalls/"
    assert len(group["rules"]) == len(RULES)
    for shown, rule in zip(group["rules"], RULES, strict=True):
        assert shown["annotations"].pop("runbook_url") == prefix + rule["annotations"]["runbook_url"]
        assert shown == rule | {"annotations": {"summary": rule["annotations"]["summary"]}}
    dashboard = rendered["ConfigMap", "whocalls-dashboard"]
    assert json.loads(dashboard["data"]["whocalls.json"]) == DASHBOARD
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
