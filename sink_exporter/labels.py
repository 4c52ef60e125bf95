"""Labels of workloads: as columns of a table, and as what a graph is grouped by. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from callgraph.records import Workload
from sink_exporter.graph import GROUP, CallGraph, assemble_graph

LabelsOf = Callable[[Workload], Mapping[str, str]]


class LabelColumns(Struct, frozen=True, kw_only=True):
    """Which labels stand in columns, and where they are looked up."""

    keys: tuple[str, ...] = ()
    labels_of: LabelsOf = lambda _workload: {}

    def cells(self, workload: Workload) -> tuple[str, ...]:
        """Return one text for each key; empty where the workload has no such label."""
        if not self.keys:
            return ()
        labels = self.labels_of(workload)
        return tuple(labels.get(key, "") for key in self.keys)


NO_LABELS = LabelColumns()


def group_by_label(graph: CallGraph, key: str, labels_of: LabelsOf) -> CallGraph:
    """Make one node of all workloads that have the same value of a label; calls within one are left out.

    A workload without the label stays itself, so that nothing is hidden.
    """

    @cache
    def group_of(workload: Workload) -> Workload:
        value = labels_of(workload).get(key)
        return Workload(cluster=workload.cluster, namespace=key, kind=GROUP, name=value) if value else workload

    grouped = (replace(arrow, client=group_of(arrow.client), server=group_of(arrow.server)) for arrow in graph.arrows)
    between = (arrow for arrow in grouped if arrow.client != arrow.server or arrow.client.kind != GROUP)
    return replace(assemble_graph(between), coverage=graph.coverage)
