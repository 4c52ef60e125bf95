"""Run conformance cases: `python -m tests.conformance FILE…`.

Prints a line for each case that the code does not agree with, and `N passed, N failed, N skipped`; exits with 1 where
any failed. A file with `time_base` holds identity cases; any other holds cases with a `suite` each, and suites that
nothing here knows are skipped by name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests import conformance_exports, conformance_identity, conformance_mapper
from tests.conformance_packets import SUITES as PACKET_SUITES

Case = dict[str, Any]
Runner = Callable[[Case], str | None]

SUITES: dict[str, Runner] = {**PACKET_SUITES, **conformance_mapper.SUITES, **conformance_exports.SUITES}
EXCEPTIONS: dict[str, str] = {**conformance_mapper.EXCEPTIONS, **conformance_exports.EXCEPTIONS}


class Result(NamedTuple):
    """What became of one case."""

    case: str
    outcome: str
    text: str


def run_file(path: Path) -> Iterator[Result]:
    """Run every case of a file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if "time_base" in document:
        base = conformance_identity.base_of(document)
        defaults = document.get("config_defaults") or {}
        run = partial(conformance_identity.run_case, defaults=defaults, base=base)
        yield from (_judge(case, run) for case in document["cases"])
    else:
        yield from _run_suites(document["cases"])


def _run_suites(cases: list[Case]) -> Iterator[Result]:
    for case in cases:
        suite, exception = case.get("suite"), EXCEPTIONS.get(case["id"])
        run = SUITES.get(suite)
        if run is None:
            yield Result(case["id"], "skipped", f"suite {suite}")
        elif exception is not None:
            yield Result(case["id"], "skipped", exception)
        else:
            yield _judge(case, run)


def _judge(case: Case, run: Runner) -> Result:
    # A case that makes the code raise is a failing case like any other, and the rest must still be run.
    try:
        difference = run(case)
    except Exception as error:  # noqa: BLE001  (a runner of foreign cases reports whatever goes wrong)
        difference = f"raised {error!r}"
    return Result(case["id"], "failed" if difference else "passed", difference or "")


def main(arguments: list[str] | None = None) -> int:
    """Run the files named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    counts = Counter({"passed": 0, "failed": 0, "skipped": 0})
    skipped: Counter[str] = Counter()
    for path in parser.parse_args(arguments).files:
        for result in run_file(path):
            counts[result.outcome] += 1
            if result.outcome == "failed":
                print(f"{result.case}: {result.text}")  # noqa: T201  (the result)
            elif result.outcome == "skipped":
                suite = result.text.startswith("suite ")
                skipped[result.text if suite else f"{result.case} ({result.text})"] += 1
    for text, count in sorted(skipped.items()):
        print(f"skipped {text}: {count}" if text.startswith("suite ") else f"skipped {text}")  # noqa: T201  (the result)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")  # noqa: T201  (the result)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
