"""What a check of `whocalls doctor` finds, as text, as JSON and as an exit code. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

Status = Literal["ok", "warn", "fail", "skip"]

CHECK_FAILED, UNREACHABLE = 5, 6
_MARKS: dict[Status, str] = {"ok": "[ ok ]", "warn": "[warn]", "fail": "[FAIL]", "skip": "[skip]"}
_REMEDY = re.compile(r"^(?P<what>.*) \((?P<remedy>[^()]*(?:\([^()]*\)[^()]*)*)\)$", re.DOTALL)


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check found. `fix` says what to do, `doc` where that is explained."""

    check: str
    status: Status
    message: str
    fix: str = ""
    doc: str = ""
    unreachable: bool = False
    """Nothing behind it could be checked."""


def ok(check: str, message: str) -> Finding:
    """Say that all is well."""
    return Finding(check=check, status="ok", message=message)


def skip(check: str, why: str) -> Finding:
    """Say why there is nothing to check."""
    return Finding(check=check, status="skip", message=why)


def warn(check: str, message: str, *, fix: str, doc: str = "") -> Finding:
    """Say what works and should not stay as it is."""
    return Finding(check=check, status="warn", message=message, fix=fix, doc=doc)


def fail(check: str, message: str, *, fix: str, doc: str = "", unreachable: bool = False) -> Finding:
    """Say what does not work."""
    return Finding(check=check, status="fail", message=message, fix=fix, doc=doc, unreachable=unreachable)


def fail_with(check: str, sentence: str, *, fix: str = "", doc: str = "", unreachable: bool = False) -> Finding:
    """Make a finding of an error's sentence, whose remedy stands in parentheses at its end; `fix`: a better one."""
    found = _REMEDY.match(sentence)
    message, remedy = (found["what"], found["remedy"]) if found else (sentence, "see the message")
    return fail(check, message, fix=fix or remedy, doc=doc, unreachable=unreachable)


def exit_code(findings: Iterable[Finding], *, strict: bool = False) -> int:
    """Return 0, 5 where a check failed, 6 where something could not be reached; `strict`: a warning is a failure."""
    findings = tuple(findings)
    if any(finding.unreachable for finding in findings):
        return UNREACHABLE
    bad = ("fail", "warn") if strict else ("fail",)
    return CHECK_FAILED if any(finding.status in bad for finding in findings) else 0


def render_text(findings: Sequence[Finding]) -> str:
    """Write a line for each check, and its remedy below."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.status]} {finding.check:<{width}}  {finding.message}")
        if finding.fix:
            doc = f" ({finding.doc})" if finding.doc else ""
            lines.append(f"       fix: {finding.fix}{doc}")
    return "".join(f"{line}\n" for line in lines)


def render_json(findings: Sequence[Finding]) -> str:
    """Write an array of objects."""
    return msgspec.json.format(msgspec.json.encode(findings)).decode() + "\n"
