"""Our own cases of identity, run as the shared ones are: every sentence of R1 to R14 that those leave open."""

from __future__ import annotations

import pytest

from tests.conformance_identity import base_of, run_case
from tests.identity_cases import CASES, DOCUMENT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
def test_code_agrees_with_the_rule(case):
    assert run_case(case, {}, base_of(DOCUMENT)) is None
