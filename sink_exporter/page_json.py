"""What the page reads: the whole graph, what changed, and the evidence of one arrow. Pure.

The contract is described in docs/page.md. Rows are arrays whose fields stand once in `*_fields`; ends of arrows are
positions in `services`. Times are whole seconds since the epoch, because nanoseconds do not survive JavaScript;
evidence has them in full, as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from callgraph.records import Evidence
from sink_exporter.coverage import Coverage
from sink_exporter.filters import is_infrastructure
from sink_exporter.graph import Arrow, CallGraph
from sink_exporter.page_names import find_domain
from sink_exporter.page_places import PagePlaces
from sink_exporter.page_table import PageTable, Pair, workload_id
from sink_exporter.timestamps import format_time

GRAPH_SCHEMA = "page-graph.v1"
CHANGE_SCHEMA = "page-change.v1"
SERVICE_FIELDS = (
    *("id", "cluster", "namespace", "kind", "name", "group", "column", "row", "infrastructure", "domain"),
)
GROUP_FIELDS = ("cluster", "namespace", "column", "row")
ARROW_FIELDS = ("client", "server", "via", "ports", "first_seen", "last_seen", "manual")
VIA: dict[Evidence, int] = {"dns": 1, "socket": 2, "syn": 4}
"""Bits of `via`."""
_SECOND = 1_000_000_000
_RELAYOUT = 1.5
"""The whole is laid out anew for the next reader once it has grown by so much."""
_MOST_SILENT = 20
"""Names of silent nodes that the page gets; all are counted."""


class PageModel(NamedTuple):
    """The graph and where it stands on the map."""

    table: PageTable
    places: PagePlaces


def encode_graph(
    model: PageModel, *, version: str, live: bool, with_evidence: bool = False, coverage: Coverage | None = None
) -> Iterator[bytes]:
    """Encode the whole graph, piece by piece.

    With all evidence, and with what it rests on, where nobody can be asked for it later.
    """
    _settle(model)
    table, places = model.table, model.places
    head = {
        "schema": GRAPH_SCHEMA,
        "version": version,
        "live": live,
        "via": VIA,
        "group_fields": GROUP_FIELDS,
        "service_fields": SERVICE_FIELDS,
        "arrow_fields": ARROW_FIELDS,
    }
    yield _encode(head)[:-1]
    yield from _encode_list("groups", (_group_row(model, number) for number in range(len(places.groups))))
    yield from _encode_list("services", (_service_row(model, number) for number in range(len(table.workloads))))
    yield from _encode_list("arrows", (_arrow_row(pair, arrow) for pair, arrow in table.arrows()))
    if with_evidence:
        yield from _encode_list("evidence", (_evidence(arrow) for _, arrow in table.arrows()))
    if coverage:
        yield b',\n"coverage":' + encode_coverage(coverage)
    yield b"}\n"


def encode_change(model: PageModel, pairs: Iterable[Pair], *, before: str, version: str) -> bytes:
    """Encode what changed between two versions: new groups and services, arrows as they are now, arrows that are gone.

    Services that are new get their places here.
    """
    known = len(model.places.groups)
    changed = sorted(pairs)
    new = model.places.extend(model.table.workloads, changed)
    arrows = [(pair, model.table.arrow(pair)) for pair in changed]
    return _encode(
        {
            "schema": CHANGE_SCHEMA,
            "before": before,
            "version": version,
            "groups": [_group_row(model, number) for number in range(known, len(model.places.groups))],
            "services": [_service_row(model, number) for number in new],
            "arrows": [_arrow_row(pair, arrow) for pair, arrow in arrows if arrow is not None],
            "removed": [pair for pair, arrow in arrows if arrow is None],
        }
    )


def encode_coverage(coverage: Coverage) -> bytes:
    """Encode what the graph rests on; of the nodes that report only the number, of the silent ones a few names."""
    return _encode(_coverage_fields(coverage))


def encode_evidence(arrow: Arrow, edge_id: str) -> bytes:
    """Encode everything that is known of one arrow."""
    return _encode({"id": edge_id, "client": arrow.client, "server": arrow.server, **_evidence(arrow)})


def find_pair(model: PageModel, edge_id: str) -> Pair | None:
    """Return the pair that `CLIENT.SERVER` means, each a service's id."""
    client, _, server = edge_id.partition(".")
    numbers = {workload_id(workload): number for number, workload in enumerate(model.table.workloads)}
    pair = numbers.get(client), numbers.get(server)
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def model_of(graph: CallGraph) -> PageModel:
    """Build the model of a graph that was read whole."""
    model = PageModel(PageTable(), PagePlaces())
    model.table.add_graph(graph)
    model.table.take_changes()
    return model


def _settle(model: PageModel) -> None:
    workloads, places = model.table.workloads, model.places
    if len(workloads) > places.laid_out * _RELAYOUT:
        places.lay_out(workloads, model.table.pairs())
    else:
        places.extend(workloads, model.table.pairs())


def _encode_list(name: str, rows: Iterable[Any]) -> Iterator[bytes]:
    """Encode a list, a row a line."""
    yield b',\n"%s":[' % name.encode()
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"") + _encode(row)
    yield b"]"


def _coverage_fields(coverage: Coverage) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(coverage),
        "nodes_reporting": len(coverage.nodes_reporting),
        "nodes_silent": len(coverage.nodes_silent),
        "silent": coverage.nodes_silent[:_MOST_SILENT],
    }


def _group_row(model: PageModel, number: int) -> tuple[Any, ...]:
    return *model.places.groups[number], *model.places.group_cells[number]


def _service_row(model: PageModel, number: int) -> tuple[Any, ...]:
    workload = model.table.workloads[number]
    return (
        *(workload_id(workload), workload.cluster, workload.namespace, workload.kind, workload.name),
        *(model.places.group_of[number], *model.places.cells[number]),
        *(int(is_infrastructure(workload)), find_domain(workload)),
    )


def _arrow_row(pair: Pair, arrow: Arrow) -> tuple[Any, ...]:
    via = sum(VIA[source] for source in arrow.via)
    times = (None if at is None else at // _SECOND for at in (arrow.first_seen, arrow.last_seen))
    return (*pair, via, arrow.ports, *times, int(arrow.manual))


def _evidence(arrow: Arrow) -> dict[str, Any]:
    return {name: value for name, value in _evidence_fields(arrow) if value not in ((), None)}


def _evidence_fields(arrow: Arrow) -> Iterator[tuple[str, Any]]:
    for name in ("via", "ports", "dns_names", "services", "nodes", "exemplars"):
        yield name, getattr(arrow, name)
    for name in ("first_seen", "last_seen"):
        at = getattr(arrow, name)
        yield name, None if at is None else format_time(at)
    yield "observations", arrow.observations or None
    yield "manual", arrow.manual or None


_encode = msgspec.json.Encoder().encode
