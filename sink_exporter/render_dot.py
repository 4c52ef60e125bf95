"""The call graph in the DOT language of Graphviz, a box for each namespace. Pure.

Source: graphviz.org/doc/info/lang.html. In a quoted string only the quote and the backslash mean anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from callgraph.records import Workload
from sink_exporter.graph import CallGraph, is_external, list_clusters
from sink_exporter.render_text import escape_control
from sink_exporter.workload_ids import OUTSIDE, list_workloads, path_of


def render_dot(graph: CallGraph) -> str:
    """Render the whole graph."""
    return "".join(_lines(graph))


def _lines(graph: CallGraph) -> Iterator[str]:
    yield "digraph calls {\n  rankdir=LR;\n  node [shape=box];\n"
    several = len(list_clusters(graph)) > 1
    for (cluster, namespace), workloads in groupby(list_workloads(graph.arrows), key=_group_of):
        yield f"  subgraph {_quote(f'cluster_{cluster}/{namespace}')} {{\n"
        yield f"    label={_quote(f'{cluster}/{namespace}' if several else namespace)};\n"
        for workload in workloads:
            yield f"    {_quote(path_of(workload))} [label={_quote(workload.name)}];\n"
        yield "  }\n"
    for arrow in graph.arrows:
        yield f"  {_quote(path_of(arrow.client))} -> {_quote(path_of(arrow.server))};\n"
    yield "}\n"


def _group_of(workload: Workload) -> tuple[str, str]:
    return workload.cluster, OUTSIDE if is_external(workload) else workload.namespace


def _quote(text: str) -> str:
    escaped = escape_control(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
