"""Changes of edges to changes of arrows: what `whocalls watch` tells. Pure.

An arrow stands for all edges of its pair, so a second port is a change of it and no new call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callgraph.records import Edge, Workload
from sink_exporter.difference import Difference, compare_graphs
from sink_exporter.edge_table import Change
from sink_exporter.graph import EdgeKey, build_graph, edge_key

Pair = tuple[Workload, Workload]


class PairChanges:
    """Knows the edges of every pair."""

    def __init__(self) -> None:
        self._edges: dict[Pair, dict[EdgeKey, Edge]] = {}

    def __len__(self) -> int:
        return len(self._edges)

    def take(self, changes: Iterable[Change]) -> Difference:
        """Apply changes of edges, and return what they change in the graph."""
        known = list(changes)
        touched = {_pair_of(change): None for change in known}
        before = build_graph(self._list_edges(touched))
        for change in known:
            self._apply(change)
        after = build_graph(self._list_edges(touched))
        return compare_graphs(before, after)

    def _list_edges(self, pairs: Iterable[Pair]) -> Iterator[Edge]:
        for pair in pairs:
            yield from self._edges.get(pair, {}).values()

    def _apply(self, change: Change) -> None:
        pair = _pair_of(change)
        edges = self._edges.setdefault(pair, {})
        if change.before:
            edges.pop(edge_key(change.before), None)
        if change.after:
            edges[edge_key(change.after)] = change.after
        if not edges:
            del self._edges[pair]


def _pair_of(change: Change) -> Pair:
    edge = change.after or change.before
    assert edge
    return edge.client, edge.server
