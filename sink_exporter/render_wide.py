"""The call graph as a table for people: a row for each call, with its evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callgraph.records import Workload
from sink_exporter.graph import Arrow, CallGraph, is_external
from sink_exporter.labels import NO_LABELS, LabelColumns
from sink_exporter.render_text import escape_control
from sink_exporter.timestamps import format_time

_SECOND = 1_000_000_000


def render_wide(graph: CallGraph, columns: LabelColumns = NO_LABELS) -> str:
    """Render two tables, calls within the cluster and to outside; each only where it has a row."""
    tables = (_table("SERVER", graph.calls, columns), _table("OUTSIDE THE CLUSTER", graph.external, columns))
    return "\n".join(filter(None, tables))


def _table(server: str, arrows: Iterable[Arrow], columns: LabelColumns) -> str:
    rows = [_row(arrow, columns) for arrow in arrows]
    if not rows:
        return ""
    labels = (f"{end} {key}" for end in ("CLIENT", "SERVER") for key in columns.keys)
    header = ("CLIENT", server, "PORTS", "VIA", "LAST SEEN", *map(escape_control, labels))
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "".join(_lines((header, *rows), widths))


def _lines(rows: Iterable[tuple[str, ...]], widths: list[int]) -> Iterator[str]:
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"


def _row(arrow: Arrow, columns: LabelColumns) -> tuple[str, ...]:
    cells = (
        *(_path(arrow.client), _path(arrow.server), ",".join(arrow.ports)),
        "added by hand" if arrow.manual else ",".join(arrow.via),
        "" if arrow.last_seen is None else format_time(arrow.last_seen // _SECOND * _SECOND),
        *(*columns.cells(arrow.client), *columns.cells(arrow.server)),
    )
    return tuple(escape_control(cell) or "-" for cell in cells)


def _path(workload: Workload) -> str:
    return workload.name if is_external(workload) else f"{workload.namespace}/{workload.name}"
