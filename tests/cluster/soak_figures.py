"""What a soak's samples come to. Pure.

In: memory and open files of every process over time, who called whom, and what was exported. Out: figures. A process
that is killed takes its memory along, so that the sum over a role says nothing: every life is looked at alone, and a
role is judged by the process that lived longest, by a straight line through the second half of its life.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.cluster.steps import Edges, Truth, edges_of

Figures = dict[str, float]


class Sample(NamedTuple):
    """What one process held at one time."""

    at: float
    """Seconds, on any clock."""
    megabytes: float
    """Resident memory, in 2**20 bytes."""
    files: float
    """Open file descriptors."""


Lives = Mapping[tuple[str, int], Sequence[Sample]]
"""Samples by the name that a process was started under, and its process id."""


def role_figures(lives: Lives) -> dict[str, Figures]:
    """Return what each role held; names of a role have its name before their first dash."""
    found = {}
    for role in dict.fromkeys(_role(name) for name, _ in lives):
        names = [name for name, _ in lives if _role(name) == role]
        longest = max((life for (name, _), life in lives.items() if _role(name) == role), key=_seconds)
        found[role] = {
            "processes": len(set(names)),
            "restarts": len(names) - len(set(names)),
            "longest_life_minutes": _seconds(longest) / 60,
            **_held("megabytes", [(each.at, each.megabytes) for each in longest]),
            **_held("files", [(each.at, each.files) for each in longest]),
        }
    return found


def drift_figures(drifts: Mapping[str, Sequence[float]]) -> dict[str, Figures]:
    """Return the seconds from a call to git for each kind of fault that was before it."""
    return {
        kind: {
            "times": len(seconds),
            "median_seconds_to_git": statistics.median(seconds),
            "most_seconds_to_git": max(seconds),
        }
        for kind, seconds in drifts.items()
    }


def graph_figures(truth: Truth, now: Truth, *, ever: Edges, lost: Edges) -> dict[str, int]:
    """Count the edges, and how what was exported differs from the truth.

    `ever` are the edges of any commit, `lost` those that were missing again in a later one.
    """
    true, told = edges_of(truth), edges_of(now)
    return {
        "edges": len(true),
        "missing_edges_at_the_end": len(true - told),
        "false_edges_at_the_end": len(told - true),
        "edges_with_other_evidence_at_the_end": sum(now[a][b] != truth[a][b] for a, b in true & told),
        "false_edges_ever": len(ever - true),
        "edges_that_went_away_ever": len(lost),
    }


def is_right(graph: Mapping[str, int]) -> bool:
    """Say whether a graph is whole and was never wrong: all but the number of its edges are 0."""
    return not any(count for figure, count in graph.items() if figure != "edges")


def slope_per_hour(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line through points (seconds, value), by least squares; 0 where time stands."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope * 3600


def _held(what: str, points: Sequence[tuple[float, float]]) -> Figures:
    quarter = max(1, len(points) // 4)
    return {
        f"{what}_first_quarter": _mean(points[:quarter]),
        f"{what}_last_quarter": _mean(points[-quarter:]),
        f"{what}_per_hour": slope_per_hour(points[len(points) // 2 :]),
    }


def _mean(points: Iterable[tuple[float, float]]) -> float:
    return statistics.fmean(value for _, value in points)


def _role(name: str) -> str:
    return name.partition("-")[0]


def _seconds(life: Sequence[Sample]) -> float:
    return life[-1].at - life[0].at
