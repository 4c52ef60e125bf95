"""Where benchmarks put their figures: a table on stdout, and `build/bench/NAME.json`. Shell: two files, one table."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

Figures = dict[str, dict[str, float]]
"""Subject to figure to number."""

Row = dict[str, float | list[float]]
"""Figure to the number of one run, or to those of several rounds."""

Measured = Mapping[str, Row]
"""Subject to its figures."""

Spread = dict[str, dict[str, list[float]]]
"""Subject to figure to its least and its most; of what had several rounds alone."""


def report(name: str, measured: Measured, *, packages: tuple[str, ...] = ()) -> Figures:
    """Print the figures, write them down, and return them: medians where there were rounds."""
    figures, spread = summarize(measured)
    document = {
        "machine": describe_machine(),
        "command": " ".join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "figures": figures,
        "spread": spread,
    }
    path = Path("build/bench", f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(format_table(figures))
    return figures


def gather(rounds: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Row]:
    """Return what each figure of a subject was in each round."""
    return {
        subject: {figure: [each[figure] for each in found] for figure in found[0]} for subject, found in rounds.items()
    }


def summarize(measured: Measured) -> tuple[Figures, Spread]:
    """Return the median of each figure, and between what it lay where it was measured more than once."""
    figures: Figures = {}
    spread: Spread = {}
    for subject, row in measured.items():
        rounds = {figure: [*value] if isinstance(value, list) else [value] for figure, value in row.items()}
        figures[subject] = {figure: statistics.median(values) for figure, values in rounds.items()}
        several = {figure: [min(values), max(values)] for figure, values in rounds.items() if len(values) > 1}
        if several:
            spread[subject] = several
    return figures, spread


def format_table(figures: Figures) -> str:
    """Return subjects as rows and figures as columns."""
    columns = list(dict.fromkeys(figure for row in figures.values() for figure in row))
    rows = [["", *columns]]
    rows += [[subject, *(_number(row.get(column)) for column in columns)] for subject, row in figures.items()]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns) + 1)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def describe_machine() -> dict[str, str | int | float]:
    """Name what the figures depend on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"
