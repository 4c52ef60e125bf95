"""The call graph as a Mermaid flowchart, small enough to be drawn by GitHub and GitLab. Pure.

A diagram above 100 arrows or 60 workloads is unreadable, and mermaid refuses 501 (measured in version 11): beyond that
namespaces are drawn instead of workloads, and beyond that only the busiest pairs of them; the first line says so.
Source: mermaid.js.org/syntax/flowchart.html, "Entity codes to escape characters".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

from callgraph.records import Workload
from sink_exporter.graph import CallGraph, is_external, list_clusters
from sink_exporter.workload_ids import OUTSIDE, digest_of, list_workloads, path_of

MOST_ARROWS = 100
MOST_WORKLOADS = 60
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-/:")

Group = tuple[str, str]


def render_mermaid(graph: CallGraph) -> str:
    """Render the graph by workloads where they fit, else by namespaces."""
    workloads = list_workloads(graph.arrows)
    several = len(list_clusters(graph)) > 1
    if len(graph.arrows) <= MOST_ARROWS and len(workloads) <= MOST_WORKLOADS:
        return "".join(_draw_workloads(graph, workloads, several=several))
    return "".join(_draw_namespaces(graph, len(workloads), several=several))


def _draw_workloads(graph: CallGraph, workloads: Iterable[Workload], *, several: bool) -> Iterator[str]:
    yield "flowchart LR\n"
    for group, members in groupby(workloads, key=_group_of):
        yield f"  subgraph {_group_id(group)}[{_label(_title(group, several=several))}]\n"
        for workload in members:
            yield f"    {digest_of(path_of(workload))}[{_label(workload.name)}]\n"
        yield "  end\n"
    for arrow in graph.arrows:
        yield f"  {digest_of(path_of(arrow.client))} --> {digest_of(path_of(arrow.server))}\n"


def _draw_namespaces(graph: CallGraph, workloads: int, *, several: bool) -> Iterator[str]:
    pairs = Counter((_group_of(arrow.client), _group_of(arrow.server)) for arrow in graph.arrows)
    busiest = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_ARROWS]
    yield "flowchart LR\n"
    yield f"  %% {len(graph.arrows)} calls of {workloads} workloads, too many to draw: "
    yield f"{len(busiest)} of {len(pairs)} pairs of namespaces, with the number of calls between workloads\n"
    for group in sorted({group for pair, _ in busiest for group in pair}):
        yield f"  {_group_id(group)}[{_label(_title(group, several=several))}]\n"
    for (client, server), count in sorted(busiest):
        yield f"  {_group_id(client)} -->|{count}| {_group_id(server)}\n"


def _group_of(workload: Workload) -> Group:
    return workload.cluster, OUTSIDE if is_external(workload) else workload.namespace


def _group_id(group: Group) -> str:
    return digest_of(repr(group))


def _title(group: Group, *, several: bool) -> str:
    return "/".join(group) if several else group[1]


def _label(text: str) -> str:
    """Quote a label; what might mean something to Mermaid or to HTML becomes an entity code."""
    quoted = "".join(character if character in _PLAIN else f"#{ord(character)};" for character in text)
    return f'"{quoted or " "}"'
