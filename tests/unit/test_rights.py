"""What the programs check on Kafka is what the chart grants."""

from __future__ import annotations

import yaml

from callgraph.rights import RIGHTS
from tests.deployment.chart import CHART


def test_checked_rights_are_those_that_the_chart_grants():
    granted = yaml.safe_load((CHART / "files" / "acls.yaml").read_text(encoding="utf-8"))["roles"]
    assert {
        role: {right["name"]: set(right["operations"]) for right in rights["topics"]}
        for role, rights in granted.items()
    } == {
        role: {name: {"Describe", *operations} for name, operations in rights.items()}
        for role, rights in RIGHTS.items()
    }
