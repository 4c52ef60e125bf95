"""Moments and lengths of time as a person writes them: RFC 3339, how long ago, or how long. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from callgraph.errors import ConfigurationError

_SECOND = 1_000_000_000
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_FRACTION = re.compile(r"\.(\d{1,9})(?=Z|[+-]\d\d:\d\d$)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_span(text: str) -> int:
    """Read a length of time, like 30s, 5m, 2h or 7d, in nanoseconds. Raises ConfigurationError."""
    span = _AGO.fullmatch(text)
    if not span or not float(span[1]):
        raise ConfigurationError(f"{text!r} is no length of time (expected one like 30s, 5m, 2h, 7d)")
    return int(float(span[1]) * _UNITS[span[2]] * _SECOND)


def parse_moment(text: str, *, now: int) -> int:
    """Read a moment, in nanoseconds since the epoch. Raises ConfigurationError."""
    if ago := _AGO.fullmatch(text):
        return now - int(float(ago[1]) * _UNITS[ago[2]] * _SECOND)
    fraction = _FRACTION.search(text)
    try:
        whole = datetime.fromisoformat(_FRACTION.sub("", text))
        since = whole - _EPOCH
    except (ValueError, TypeError) as error:  # TypeError: without an offset from UTC
        raise ConfigurationError(
            f"{text!r} is no time (expected one like 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d)"
        ) from error
    return since // timedelta(seconds=1) * _SECOND + int((fraction[1] if fraction else "0").ljust(9, "0"))
