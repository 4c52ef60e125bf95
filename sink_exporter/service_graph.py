"""The call graph as the metric that Grafana and Tempo call a service graph. Pure.

In: edges, and how many series there may be. Out: a count for each pair of workloads, the oldest pairs first, so that a
series that is there stays; the rest is one series. Counts are observations (DNS answers, SYNs, sockets), not requests:
rates and error columns of Grafana's view mean nothing here.
Source: opentelemetry-collector-contrib, connector/servicegraphconnector (traces_service_graph_request_total).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from callgraph.records import Edge
from sink_exporter.graph import is_external

OVERFLOW = "overflow"


class Series(NamedTuple):
    """Label values in the order of `SERVICE_GRAPH.labels`."""

    client: str
    client_namespace: str
    server: str
    server_namespace: str
    connection_type: str


class ServiceGraph(NamedTuple):
    """What is shown, and how many pairs are not shown by themselves."""

    samples: dict[Series, int]
    overflowed: int


def count_pairs(edges: Iterable[Edge], *, most: int) -> ServiceGraph:
    """Sum up observations by pair of workloads; at most `most` series beside the one of the rest, none for 0."""
    if not most:
        return ServiceGraph({}, 0)
    counts: dict[Series, int] = {}
    first: dict[Series, int] = {}
    for edge in edges:
        pair = _series(edge)
        counts[pair] = counts.get(pair, 0) + edge.observations
        first[pair] = min(first.get(pair, edge.first_seen), edge.first_seen)
    oldest = sorted(counts, key=lambda pair: (first[pair], pair))
    samples = {pair: counts[pair] for pair in oldest[:most]}
    if rest := oldest[most:]:
        samples[Series(OVERFLOW, "", OVERFLOW, "", "")] = sum(counts[pair] for pair in rest)
    return ServiceGraph(samples, len(rest))


def _series(edge: Edge) -> Series:
    client, server = edge.client, edge.server
    outside = is_external(server)
    return Series(client.name, client.namespace, server.name, server.namespace, "virtual_node" if outside else "")
