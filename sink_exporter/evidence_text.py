"""What is known of one workload, and of one call, for people. Pure.

`show` answers "who calls it, whom does it call", `why` answers "how do you know".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callgraph.records import Workload
from sink_exporter.difference import describe_arrows
from sink_exporter.filters import matches
from sink_exporter.graph import Arrow, CallGraph, is_external
from sink_exporter.render_text import escape_control
from sink_exporter.timestamps import format_time

_SOURCES = {
    "dns": "the client was given the server's address by DNS",
    "socket": "a connection between the two was found open",
    "syn": "the client was seen opening a connection",
}
_BY_HAND = "added by hand"


def render_workloads(graph: CallGraph, pattern: str) -> str:
    """Write callers and callees of every workload that a pattern means; none as the empty text."""
    ends = (end for arrow in graph.arrows for end in (arrow.client, arrow.server))
    meant = sorted({end for end in ends if matches(end, pattern)}, key=_order_of)
    return "\n".join("".join(_workload(graph, workload)) for workload in meant)


def render_evidence(graph: CallGraph, client: str, server: str) -> str:
    """Write everything that is known of the calls between what two patterns mean; none as the empty text."""
    meant = [arrow for arrow in graph.arrows if matches(arrow.client, client) and matches(arrow.server, server)]
    titles = describe_arrows(meant)
    return "\n".join("".join(_evidence(title, arrow)) for title, arrow in zip(titles, meant, strict=True))


def _workload(graph: CallGraph, workload: Workload) -> Iterator[str]:
    place = "outside the cluster" if is_external(workload) else f"{workload.kind} in namespace {workload.namespace}"
    yield f"{escape_control(workload.name)} ({escape_control(place)})\n"
    yield from _section("is called by", [arrow for arrow in graph.arrows if arrow.server == workload], "client")
    yield from _section("calls", [arrow for arrow in graph.arrows if arrow.client == workload], "server")


def _section(title: str, arrows: list[Arrow], end: str) -> Iterator[str]:
    if not arrows:
        return
    yield f"  {title}:\n"
    for arrow in arrows:
        other: Workload = getattr(arrow, end)
        name = "/".join(filter(None, (other.namespace, other.name)))
        known = (*((_BY_HAND,) if arrow.manual else ()), *arrow.via, *arrow.ports)
        evidence = f" ({', '.join(known)})" if known else ""
        yield f"    - {escape_control(name)}{evidence}\n"


def _evidence(title: str, arrow: Arrow) -> Iterator[str]:
    yield f"{title}\n"
    if arrow.manual:
        yield f"  {_BY_HAND}: nothing was seen\n"
    for source in arrow.via:
        yield f"  {source}: {_SOURCES[source]}\n"
    yield from _list("ports", arrow.ports)
    yield from _list("names asked for", arrow.dns_names)
    yield from _list("services gone through", arrow.services)
    yield from _list("seen on nodes", arrow.nodes)
    if arrow.first_seen is not None:
        yield f"  first seen: {format_time(arrow.first_seen)}\n"
    if arrow.last_seen is not None:
        yield f"  last seen: {format_time(arrow.last_seen)}\n"
    if arrow.observations:
        yield f"  observations: {arrow.observations}\n"
    yield from _list("raw records (topic/partition/offset)", arrow.exemplars)


def _list(title: str, values: Iterable[str]) -> Iterator[str]:
    if text := ", ".join(values):
        yield f"  {title}: {escape_control(text)}\n"


def _order_of(workload: Workload) -> tuple[str, ...]:
    return workload.cluster, workload.namespace, workload.name, workload.kind
