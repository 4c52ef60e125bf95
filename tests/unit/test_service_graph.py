"""The service-graph metric: pairs of workloads, a cap that holds, and series that stay."""

from __future__ import annotations

from callgraph.records import Edge, Workload
from sink_exporter.service_graph import OVERFLOW, Series, count_pairs


def a_workload(name, kind="Deployment"):
    return Workload(cluster="c", namespace="" if kind == "External" else "shop", kind=kind, name=name)


def an_edge(client, server, *, port=80, first_seen=1, observations=1):
    ends = {"client": a_workload(client), "server": server if isinstance(server, Workload) else a_workload(server)}
    return Edge(**ends, server_port=port, first_seen=first_seen, observations=observations)


def test_ports_of_a_pair_are_one_series():
    edges = [an_edge("a", "b", observations=2), an_edge("a", "b", port=81, observations=3)]
    assert count_pairs(edges, most=5) == ({Series("a", "shop", "b", "shop", ""): 5}, 0)


def test_beyond_the_cap_is_one_series_that_loses_no_count():
    edges = [an_edge("a", f"s{n}", first_seen=n, observations=10) for n in range(5)]
    graph = count_pairs(edges, most=2)
    assert [pair.server for pair in graph.samples] == ["s0", "s1", OVERFLOW]
    assert sum(graph.samples.values()) == 50
    assert graph.overflowed == 3


def test_a_newer_pair_takes_the_place_of_none():
    old = [an_edge("a", "z", first_seen=1), an_edge("a", "y", first_seen=2)]
    graph = count_pairs([an_edge("a", "b", first_seen=3, observations=100), *old], most=2)
    assert [pair.server for pair in graph.samples] == ["z", "y", OVERFLOW]


def test_zero_series_are_none_at_all():
    assert count_pairs([an_edge("a", "b")], most=0) == ({}, 0)


def test_the_outside_is_a_virtual_node():
    (pair,) = count_pairs([an_edge("a", a_workload("api.example.com", "External"))], most=1).samples
    assert pair == Series("a", "shop", "api.example.com", "", "virtual_node")
