"""The call graph as a table: one row for each client, server and port. Pure.

Source: RFC 4180, with LF. Cells that a spreadsheet would take for a formula get an apostrophe before them; Kubernetes
allows no such name, but the DNS does.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from sink_exporter.graph import Arrow, CallGraph
from sink_exporter.labels import NO_LABELS, LabelColumns
from sink_exporter.render_text import escape_control

COLUMNS = (
    *("client_namespace", "client_name", "client_kind"),
    *("server_namespace", "server_name", "server_kind"),
    *("port", "protocol", "sources", "client_cluster", "server_cluster"),
)
_FORMULA = ("=", "+", "-", "@")


def render_csv(graph: CallGraph, columns: LabelColumns = NO_LABELS) -> str:
    """Render all arrows, those that leave the cluster last; the first row names the columns."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    labels = (f"{end}_label_{key}" for end in ("client", "server") for key in columns.keys)
    writer.writerow((*COLUMNS, *map(_safe, labels)))
    for arrow in graph.arrows:
        writer.writerows(_rows(arrow, columns))
    return table.getvalue()


def _rows(arrow: Arrow, columns: LabelColumns) -> Iterator[tuple[str, ...]]:
    client, server = arrow.client, arrow.server
    labels = (*columns.cells(client), *columns.cells(server))
    for number_and_transport in arrow.ports or ("",):
        port, _, protocol = number_and_transport.partition("/")
        cells = (
            *(client.namespace, client.name, client.kind, server.namespace, server.name, server.kind),
            *(port, protocol, "manual" if arrow.manual else " ".join(arrow.via), client.cluster, server.cluster),
            *labels,
        )
        yield tuple(_safe(cell) for cell in cells)


def _safe(cell: str) -> str:
    text = escape_control(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
