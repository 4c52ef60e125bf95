"""Known vulnerabilities of the locked packages: python -m tests.deployment.audit REPORT. Shell: a file.

In: the JSON report of pip-audit (`make audit` runs it). Out: a line for each vulnerability; exit code 0 none, 5 some, 6
where the database was not reached, so that nothing can be said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NONE, FOUND, UNREACHED = 0, 5, 6


def judge(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code and the lines of a report."""
    packages = report["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        return UNREACHED, ["the vulnerability database was not reached: NOTHING was audited (run it where it can be)"]
    lines = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {vulnerability['fix_versions']}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    if unknown:
        lines.append(f"not in the database: {', '.join(unknown)}")
    found = any(package.get("vulns") for package in packages)
    return (FOUND if found else NONE), lines or [f"no known vulnerability in {len(packages)} packages"]


def main() -> int:
    """Print what a report says; returns the exit code."""
    code, lines = judge(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
