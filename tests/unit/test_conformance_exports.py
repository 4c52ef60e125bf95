"""The predecessor's cases about what comes out, where they lie."""

import json
import os
from pathlib import Path

import pytest

from tests.conformance_exports import EXCEPTIONS, SUITES

FOLDER = os.environ.get("WHOCALLS_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance"
CASES = Path(FOLDER) / "network_mapper_cases.json"


def load_cases():
    if not CASES.exists():
        return []
    return [case for case in json.loads(CASES.read_text())["cases"] if case["suite"] in SUITES]


@pytest.mark.skipif(not CASES.exists(), reason=f"the conformance cases are not at {CASES}")
@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case["id"])
def test_code_agrees_with_the_case_unless_it_turns_on_payload(case):
    failure = SUITES[case["suite"]](case)
    assert (failure is not None) is (case["id"] in EXCEPTIONS), failure
