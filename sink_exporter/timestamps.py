"""Nanoseconds since the epoch to RFC 3339 text and back, exactly. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII)


def format_time(nanoseconds: int) -> str:
    """Write a time from 1970 on, with as many digits as it has. Raises OverflowError beyond the year 9999."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def parse_time(text: str) -> int:
    """Read a time in UTC. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a time like 2026-01-31T12:00:00Z")
    whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * _SECOND + int((match[2] or "").ljust(9, "0"))
