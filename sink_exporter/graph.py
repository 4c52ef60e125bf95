"""Edges to the call graph. Pure.

In: edges in any order, repeated or not. Out: one arrow for each client and server, with the ports, the evidence and the
times of all its edges; calls that leave the cluster apart from the others. Equal sets of edges give equal graphs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from callgraph.records import Edge, Evidence, Transport, Workload
from sink_exporter.coverage import Coverage

T = TypeVar("T", bound=str)

EXTERNAL = "External"
"""The kind of a workload outside the cluster; its name is a DNS name or an address, its namespace is empty."""

GROUP = "Group"
"""The kind of what stands for all workloads of one label: its namespace is the label's key, its name the value."""


class EdgeKey(NamedTuple):
    """What makes an edge itself and no other."""

    client: Workload
    server: Workload
    server_port: int | None
    network_transport: Transport | None


class Arrow(Struct, frozen=True, kw_only=True, gc=False):
    """All edges of one client and one server.

    `ports` are `7070/TCP`, in the order of their numbers; none means that only DNS answers speak for the arrow.
    `first_seen` and `last_seen` are nanoseconds, None where the source of the graph does not say. `manual` means that
    somebody added it, and nothing was seen.
    """

    client: Workload
    server: Workload
    ports: tuple[str, ...] = ()
    via: tuple[Evidence, ...] = ()
    dns_names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    first_seen: int | None = None
    last_seen: int | None = None
    observations: int = 0
    exemplars: tuple[str, ...] = ()
    manual: bool = False


class CallGraph(Struct, frozen=True, kw_only=True):
    """Who calls whom: arrows within the cluster, and those that leave it; each sorted by client, then server.

    `coverage` says what the graph rests on, `owners` who answers for a workload; each where that is known.
    """

    calls: tuple[Arrow, ...] = ()
    external: tuple[Arrow, ...] = ()
    coverage: Coverage | None = None
    owners: dict[Workload, str] = {}

    @property
    def arrows(self) -> tuple[Arrow, ...]:
        """All arrows, those within the cluster first."""
        return self.calls + self.external


def edge_key(edge: Edge) -> EdgeKey:
    """Return the identity of an edge."""
    return EdgeKey(edge.client, edge.server, edge.server_port, edge.network_transport)


def build_graph(edges: Iterable[Edge]) -> CallGraph:
    """Merge edges into arrows. Of several records of one edge the one that has seen most is taken."""
    pairs: dict[tuple[Workload, Workload], dict[tuple[int | None, Transport | None], Edge]] = {}
    for edge in edges:
        pair = pairs.setdefault((edge.client, edge.server), {})
        port = edge.server_port, edge.network_transport
        known = pair.get(port)
        pair[port] = edge if known is None else max(known, edge, key=_progress)
    return sort_arrows(_merge_edges(list(pair.values())) for pair in pairs.values())


def assemble_graph(arrows: Iterable[Arrow]) -> CallGraph:
    """Build a graph from arrows, as files hold them; those of the same client and server become one."""
    pairs: dict[tuple[Workload, Workload], list[Arrow]] = {}
    for arrow in dict.fromkeys(arrows):
        pairs.setdefault((arrow.client, arrow.server), []).append(arrow)
    return sort_arrows(merge_arrows(pair) for pair in pairs.values())


def list_clusters(graph: CallGraph) -> tuple[str, ...]:
    """Return the clusters that the graph knows of, sorted."""
    ends = chain.from_iterable((arrow.client, arrow.server) for arrow in graph.arrows)
    return tuple(sorted({end.cluster for end in ends}))


def format_port(port: int | None, transport: Transport | None) -> str | None:
    """Write a port as Kubernetes people do, `7070/TCP`; None where it is not known."""
    if port is None:
        return None
    return f"{port}/{transport.upper()}" if transport else str(port)


def is_external(workload: Workload) -> bool:
    """Tell whether the workload is outside the cluster."""
    return workload.kind == EXTERNAL


def _progress(edge: Edge) -> tuple[int, int, bytes]:
    """Order the records of one edge by how much they have seen; the bytes decide only what nothing else does."""
    return edge.last_seen, edge.observations, msgspec.json.encode(edge, order="deterministic")


def _merge_edges(edges: list[Edge]) -> Arrow:
    """Make one arrow of the edges of one pair; nearly every pair has one, which is worth a way of its own."""
    arrows = [arrow_of(edge) for edge in edges]
    return arrows[0] if len(arrows) == 1 else merge_arrows(arrows)


def arrow_of(edge: Edge) -> Arrow:
    """Make an arrow of one edge."""
    port = format_port(edge.server_port, edge.network_transport)
    return Arrow(
        client=edge.client,
        server=edge.server,
        ports=(port,) if port else (),
        via=_tidy(edge.evidence),
        dns_names=_tidy(edge.dns_names),
        services=_tidy(edge.services),
        nodes=_tidy(edge.nodes),
        first_seen=edge.first_seen,
        last_seen=edge.last_seen,
        observations=edge.observations,
        exemplars=_tidy(edge.exemplars),
    )


def merge_arrows(arrows: list[Arrow]) -> Arrow:
    """Make one arrow of several between the same two workloads."""
    first = arrows[0]
    return Arrow(
        client=first.client,
        server=first.server,
        ports=_sort_ports(chain.from_iterable(arrow.ports for arrow in arrows)),
        via=_union(arrow.via for arrow in arrows),
        dns_names=_union(arrow.dns_names for arrow in arrows),
        services=_union(arrow.services for arrow in arrows),
        nodes=_union(arrow.nodes for arrow in arrows),
        first_seen=min((arrow.first_seen for arrow in arrows if arrow.first_seen is not None), default=None),
        last_seen=max((arrow.last_seen for arrow in arrows if arrow.last_seen is not None), default=None),
        observations=sum(arrow.observations for arrow in arrows),
        exemplars=_union(arrow.exemplars for arrow in arrows),
        manual=all(arrow.manual for arrow in arrows),
    )


def _union(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(sorted(set(chain.from_iterable(parts))))


def _tidy(values: tuple[T, ...]) -> tuple[T, ...]:
    return values if len(values) < 2 else tuple(sorted(set(values)))


def _sort_ports(ports: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(ports), key=_port_order))


def _port_order(port: str) -> tuple[int, str]:
    number, _, transport = port.partition("/")
    return int(number) if number.isdecimal() else 0, transport


def sort_arrows(arrows: Iterable[Arrow]) -> CallGraph:
    """Put arrows, one for each pair, in the order of a graph."""
    inside: list[Arrow] = []
    outside: list[Arrow] = []
    for arrow in arrows:
        (outside if is_external(arrow.server) else inside).append(arrow)
    return CallGraph(calls=_in_order(inside), external=_in_order(outside))


def _in_order(arrows: list[Arrow]) -> tuple[Arrow, ...]:
    return tuple(sorted(arrows, key=_arrow_order))


def _arrow_order(arrow: Arrow) -> tuple[str, ...]:
    a, b = arrow.client, arrow.server
    return a.cluster, a.namespace, a.name, a.kind, b.name, b.namespace, b.kind, b.cluster
