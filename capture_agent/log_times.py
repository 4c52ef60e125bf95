"""The time at the head of a log line. Pure.

In: a line of a log, and the time to use where it has none. Out: nanoseconds, and the rest of the line. Read are RFC
3339 (`kubectl logs --timestamps`, CRI, journalctl -o short-iso, rsyslog), the `time` of a container's JSON line, the
syslog of RFC 3164 (no year: the one that puts the line before the given time) and `dmesg -T`. No zone means UTC.

Source: RFC 3339, RFC 3164 section 4.1.2, the Kubernetes CRI log format, Docker's json-file.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import NamedTuple

_NANOSECONDS = 1_000_000_000
_DAY = 86_400 * _NANOSECONDS

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?\s?(Z|[+-]\d\d:?\d\d)?\s")
_SYSLOG = re.compile(r"(?:<\d+>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) ")
_DMESG = re.compile(r"\[[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\] ?")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


class LogLine(NamedTuple):
    """A line and its time."""

    at: int
    text: str


def split_time(line: str, read_at: int) -> LogLine:
    """Take the time off the head of a line; `read_at` is the time of a line without one."""
    line = line.rstrip("\r\n")
    if line.startswith("{"):
        line = _unwrap_json(line)
    for pattern, convert in ((_RFC3339, _from_rfc3339), (_DMESG, _from_dmesg), (_SYSLOG, _from_syslog)):
        match = pattern.match(line)
        if match:
            try:
                return LogLine(convert(match, read_at), line[match.end() :])
            except (ValueError, KeyError):
                break  # 31 February: no time after all
    return LogLine(read_at, line)


def _unwrap_json(line: str) -> str:
    """Put the time of a JSON line before its text."""
    try:
        record = json.loads(line)
        return f"{record['time']} {record['log']}".rstrip("\r\n")
    except (ValueError, KeyError, TypeError, RecursionError):
        return line


def _from_rfc3339(match: re.Match[str], read_at: int) -> int:
    del read_at
    *parts, fraction, zone = match.groups()
    seconds = _to_seconds(*(int(part) for part in parts))
    if zone and zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * _NANOSECONDS + int((fraction or "0").ljust(9, "0"))


def _from_dmesg(match: re.Match[str], read_at: int) -> int:
    del read_at
    month, day, hour, minute, second, year = match.groups()
    return _to_seconds(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second)) * _NANOSECONDS


def _from_syslog(match: re.Match[str], read_at: int) -> int:
    month, *rest = match.groups()
    day, hour, minute, second = (int(part) for part in rest)
    year = datetime.fromtimestamp(read_at // _NANOSECONDS, UTC).year
    at = _to_seconds(year, _MONTHS[month], day, hour, minute, second) * _NANOSECONDS
    # A line from December, read in January. A day of grace covers the missing time zone.
    if at > read_at + _DAY:
        at = _to_seconds(year - 1, _MONTHS[month], day, hour, minute, second) * _NANOSECONDS
    return at


def _to_seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    return int(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp())
