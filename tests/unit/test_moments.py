"""Moments as a person writes them."""

from __future__ import annotations

import pytest

from callgraph.errors import ConfigurationError
from whocalls.moments import parse_moment

SECOND = 1_000_000_000
NOW = 1_770_000_000 * SECOND
NOON = 1_769_860_800 * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", NOW - 30 * SECOND),
        ("30m", NOW - 1_800 * SECOND),
        ("2h", NOW - 7_200 * SECOND),
        ("7d", NOW - 7 * 86_400 * SECOND),
        ("1.5h", NOW - 5_400 * SECOND),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2026-01-31T12:00:00.000000001Z", NOON + 1),
        ("2026-01-31T12:00:00.25Z", NOON + SECOND // 4),
        ("1969-12-31T23:59:59Z", -SECOND),
    ],
)
def test_moment_is_a_time_or_how_long_ago(text, expected):
    assert parse_moment(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2w", "-2h", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z", "٣h"])
def test_what_is_neither_is_refused_with_an_example(text):
    with pytest.raises(ConfigurationError, match=r"is no time \(expected one like 2026-01-31T12:00:00Z, or how long"):
        parse_moment(text, now=NOW)
