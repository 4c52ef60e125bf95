"""What a commit of the map and a pull request say, and whether they may be made. Pure.

In: the files as they are in the repository and as they would be, and the graph. Only the namespaces whose files differ
are looked at, so the cost is that of the change. Out: the difference, the commit's message, the pull request's title
and text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from callgraph.errors import InputError, WhocallsError
from sink_exporter.coverage import describe_coverage
from sink_exporter.difference import ChangedArrow, Difference, compare_graphs, render_difference
from sink_exporter.graph import Arrow, CallGraph, list_clusters
from sink_exporter.graph_files import merge_graphs, parse_graph
from sink_exporter.layout import NAMESPACE_FOLDER, namespace_file

MOST_LOST = 0.2
"""A larger share of calls does not vanish between two exports; agents, topics or credentials do."""
_MOST_LINES = 200
_MOST_NAMESPACES = 3
_MOST_TEXT = 60_000
"""GitHub takes 65,536 characters, the others more."""


class ProposalText(NamedTuple):
    """What a pull request says."""

    title: str
    text: str


class ShrinkError(WhocallsError):
    """Too much would vanish from the map at once."""


def compare_files(before: Mapping[str, bytes], after: Mapping[str, bytes], graph: CallGraph) -> Difference:
    """Compare what the canonical files hold to the graph that they would hold afterwards.

    Only what differs is read, and nothing of `after`: to parse 100,000 calls takes a minute. A file that somebody broke
    counts as empty.
    """
    names = sorted(name for name in {*before, *after} if name.startswith(f"{NAMESPACE_FOLDER}/"))
    changed = [name for name in names if before.get(name) != after.get(name)]
    old = merge_graphs(_parse(before[name], name) for name in changed if name in before)
    return compare_graphs(old, _part_in_files(graph, changed))


def _part_in_files(graph: CallGraph, names: Iterable[str]) -> CallGraph:
    wanted, find = frozenset(names), lru_cache(maxsize=None)(namespace_file)
    return CallGraph(
        calls=tuple(arrow for arrow in graph.calls if find(arrow.client.namespace) in wanted),
        external=tuple(arrow for arrow in graph.external if find(arrow.client.namespace) in wanted),
    )


def check_shrink(difference: Difference, arrows_after: int) -> None:
    """Refuse to publish a graph that lost more than a fifth of its calls. Raises ShrinkError."""
    lost = len(difference.removed)
    arrows_before = arrows_after - len(difference.added) + lost
    if lost > MOST_LOST * arrows_before:
        raise ShrinkError(
            f"{lost} of {arrows_before} calls would vanish from the map at once: did agents stop, or was the topic "
            "emptied? (exporter.git.allow_shrink publishes all the same)"
        )


def write_message(difference: Difference, graph: CallGraph) -> str:
    """Write the commit's message: a title, a line for each call; as trailers the clusters, and what it rests on."""
    lines = render_difference(difference, "text").splitlines()
    body = lines[:_MOST_LINES] + ([f"... and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else [])
    trailers = [f"Whocalls-Cluster: {cluster}" for cluster in list_clusters(graph) if cluster.isprintable()]
    trailers += [f"Whocalls-Coverage: {describe_coverage(graph.coverage)}"] if graph.coverage else []
    parts = (_title(difference), "\n".join(body), "\n".join(trailers))
    return "\n\n".join(part for part in parts if part) + "\n"


def write_proposal(difference: Difference, graph: CallGraph) -> ProposalText:
    """Write what a pull request says: the same title, what merging it would change, and what that rests on.

    Names in it come from a cluster: they stand in a code block, where they mention nobody and link to nothing.
    """
    text = render_difference(_shorten(difference), "markdown") or "No call is new or gone; only the files are.\n"
    if len(text) > _MOST_TEXT:
        text = "The calls are too many for this text; the files have them all.\n"
    more = sum(map(len, _parts(difference))) - sum(map(len, _parts(_shorten(difference))))
    parts = [text + (f"\n... and {more} more; the files have them all.\n" if more else "")]
    parts += [f"Seen with {describe_coverage(graph.coverage)}.\n"] if graph.coverage else []
    parts += ["Written by whocalls. Merge it, or say what you know better in `overrides.yaml`.\n"]
    return ProposalText(_title(difference), "\n".join(parts))


def _parts(difference: Difference) -> tuple[tuple[Arrow, ...], tuple[Arrow, ...], tuple[ChangedArrow, ...]]:
    return difference.added, difference.removed, difference.changed


def _shorten(difference: Difference) -> Difference:
    """Keep the first of each part, for a text that an API takes."""
    kept = {name: getattr(difference, name)[:_MOST_LINES] for name in ("added", "removed", "changed")}
    return msgspec.structs.replace(difference, **kept)


def _title(difference: Difference) -> str:
    counts = (("+", difference.added), ("-", difference.removed), ("~", difference.changed))
    signs = " ".join(f"{sign}{len(part)}" for sign, part in counts if part)
    if not signs:
        return "chore(callgraph): write the files anew"
    changed = (one.after for one in difference.changed)
    clients = {arrow.client.namespace for arrow in (*difference.added, *difference.removed, *changed)}
    named = [namespace for namespace in sorted(clients) if namespace.isprintable()][:_MOST_NAMESPACES]
    more = f" and {len(clients) - len(named)} more" if len(clients) > len(named) else ""
    return f"chore(callgraph): {signs} calls in {', '.join(named)}{more}"


def _parse(content: bytes, name: str) -> CallGraph:
    try:
        return parse_graph(content, repr(name))
    except InputError:
        return CallGraph()
