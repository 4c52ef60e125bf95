"""Which arrows pass a filter."""

import pytest
from hypothesis import given

from sink_exporter.filters import Filter, filter_graph, matches
from sink_exporter.graph import build_graph
from tests.graphs import edge_of, graph_of, graphs, workload

WEB, API = workload("web"), workload("api")
DB, JOB = workload("db", "data", "StatefulSet"), workload("job", "batch")
STRIPE = workload("api.stripe.com", "", "External")
GRAPH = graph_of((WEB, API), (WEB, DB), (API, DB), (JOB, JOB), (WEB, STRIPE))


def pairs(**wanted):
    return {(arrow.client.name, arrow.server.name) for arrow in filter_graph(GRAPH, Filter(**wanted)).arrows}


def test_a_namespace_keeps_the_calls_with_an_end_in_it():
    assert pairs(namespaces=("data",)) == {("web", "db"), ("api", "db")}
    assert pairs(namespaces=("dat*", "batch")) == {("web", "db"), ("api", "db"), ("job", "job")}


def test_from_and_to_hold_both():
    assert pairs(clients=("web",), servers=("data/*",)) == {("web", "db")}


def test_exclude_drops_calls_at_either_end():
    assert pairs(exclude=("api",)) == {("web", "db"), ("job", "job"), ("web", "api.stripe.com")}


def test_calls_to_outside_can_be_left_out():
    assert ("web", "api.stripe.com") not in pairs(external=False)
    assert pairs(servers=("*.stripe.com",)) == {("web", "api.stripe.com")}


def test_since_keeps_what_was_seen_later_and_what_has_no_time():
    seen = build_graph([edge_of(WEB, API, last_seen=5), edge_of(WEB, DB, last_seen=9)])
    assert [arrow.server for arrow in filter_graph(seen, Filter(since=6)).arrows] == [DB]
    timeless = type(seen)(calls=tuple(type(one)(client=one.client, server=one.server) for one in seen.calls))
    assert filter_graph(timeless, Filter(since=6)) == timeless


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [("db", True), ("data/db", True), ("d?", True), ("*/d*", True), ("shop/db", False), ("DB", False), ("", False)],
)
def test_a_pattern_is_a_name_or_a_namespace_and_a_name(pattern, meant):
    assert matches(DB, pattern) is meant


@given(graphs)
def test_an_empty_filter_keeps_everything(graph):
    assert filter_graph(graph, Filter()) == graph
    assert filter_graph(graph, Filter(namespaces=("*",))) == graph


COREDNS, SCRAPER = workload("coredns", "kube-system"), workload("prometheus-server", "monitoring")
API_SERVER = workload("kubernetes", "default", "Service")


def test_infrastructure_is_left_out_at_either_end():
    busy = graph_of((WEB, API), (WEB, COREDNS), (SCRAPER, API), (WEB, API_SERVER))
    assert filter_graph(busy, Filter(infrastructure=False)) == graph_of((WEB, API))


@pytest.mark.parametrize(
    "shown",
    [
        *(WEB, workload("kubernetes"), workload("core"), workload("x", "kube-systems")),
        workload("prometheus.io", "", "External"),
    ],
)
def test_what_only_looks_like_infrastructure_is_kept(shown):
    assert filter_graph(graph_of((shown, API)), Filter(infrastructure=False)) == graph_of((shown, API))
