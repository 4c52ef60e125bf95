"""The packet and socket cases of the conformance file, where it lies."""

import json
import os
from pathlib import Path

import pytest

from tests.conformance_packets import SUITES

FOLDER = os.environ.get("WHOCALLS_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance"
CASES = Path(FOLDER) / "network_mapper_cases.json"


def load_cases():
    if not CASES.exists():
        return []
    return [case for case in json.loads(CASES.read_text())["cases"] if case["suite"] in SUITES]


@pytest.mark.skipif(not CASES.exists(), reason=f"the conformance cases are not at {CASES}")
@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case["id"])
def test_code_agrees_with_the_case(case):
    assert SUITES[case["suite"]](case) is None
