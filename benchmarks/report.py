"""Where benchmarks put their figures: a table on stdout, and `build/bench/NAME.json`. Shell: two files, one table."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

Figures = dict[str, dict[str, float]]
"""Subject to figure to number."""


Spread = dict[str, dict[str, list[float]]]
"""Subject to figure to its least and its most."""


def report(name: str, figures: Figures, *, packages: tuple[str, ...] = (), spread: Spread | None = None) -> None:
    """Print the figures and write them down."""
    document = {
        "machine": describe_machine(),
        "command": " ".join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "figures": figures,
        **({"spread": spread} if spread else {}),
    }
    path = Path("build/bench", f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(format_table(figures))


def medians(rounds: dict[str, list[dict[str, float]]]) -> tuple[Figures, Spread]:
    """Return the median of each figure over the rounds, and between what it lay."""
    figures: Figures = {}
    spread: Spread = {}
    for subject, found in rounds.items():
        columns = {name: [each[name] for each in found] for name in found[0]}
        figures[subject] = {name: statistics.median(values) for name, values in columns.items()}
        spread[subject] = {name: [min(values), max(values)] for name, values in columns.items()}
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
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:,.2f}"
