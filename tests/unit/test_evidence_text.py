"""What people are told of one workload and of one call."""

from hypothesis import given

from sink_exporter.evidence_text import render_evidence, render_workloads
from sink_exporter.graph import Arrow, CallGraph, build_graph
from tests.graphs import edge_of, graphs, workload

WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
STRIPE = workload("api.stripe.com", "", "External")
GRAPH = build_graph(
    [
        edge_of(
            WEB,
            API,
            server_port=8080,
            network_transport="tcp",
            evidence=("dns", "syn"),
            dns_names=("api.shop.svc.cluster.local",),
            services=("shop/api",),
            nodes=("node-1", "node-2"),
            first_seen=1_700_000_000_000_000_000,
            last_seen=1_700_000_060_500_000_000,
            observations=7,
            exemplars=("dns-answers/0/12",),
        ),
        edge_of(API, DB),
        edge_of(API, STRIPE),
    ]
)


def test_a_workload_is_shown_with_both_sides():
    assert render_workloads(GRAPH, "shop/api") == (
        "api (Deployment in namespace shop)\n"
        "  is called by:\n"
        "    - shop/web (dns, syn, 8080/TCP)\n"
        "  calls:\n"
        "    - data/db (dns)\n"
        "    - api.stripe.com (dns)\n"
    )


def test_a_pattern_may_mean_several_workloads():
    assert render_workloads(GRAPH, "*").count("\n\n") == 3
    assert "api.stripe.com (outside the cluster)\n" in render_workloads(GRAPH, "api*")


def test_a_call_is_explained_by_its_evidence():
    assert render_evidence(GRAPH, "web", "shop/api") == (
        "shop/web -> shop/api\n"
        "  dns: the client was given the server's address by DNS\n"
        "  syn: the client was seen opening a connection\n"
        "  ports: 8080/TCP\n"
        "  names asked for: api.shop.svc.cluster.local\n"
        "  services gone through: shop/api\n"
        "  seen on nodes: node-1, node-2\n"
        "  first seen: 2023-11-14T22:13:20Z\n"
        "  last seen: 2023-11-14T22:14:20.5Z\n"
        "  observations: 7\n"
        "  raw records (topic/partition/offset): dns-answers/0/12\n"
    )


def test_a_call_that_somebody_added_says_so():
    added = CallGraph(calls=(Arrow(client=WEB, server=DB, manual=True), Arrow(client=WEB, server=API)))
    assert render_evidence(added, "web", "db") == "shop/web -> data/db\n  added by hand: nothing was seen\n"
    assert render_workloads(added, "web") == (
        "web (Deployment in namespace shop)\n  calls:\n    - data/db (added by hand)\n    - shop/api\n"
    )


def test_nothing_meant_is_no_text():
    assert render_workloads(GRAPH, "nobody") == ""
    assert render_evidence(GRAPH, "db", "web") == ""


@given(graphs)
def test_no_name_moves_a_cursor(graph):
    for text in (render_workloads(graph, "*"), render_evidence(graph, "*", "*")):
        assert all(line.isprintable() for line in text.split("\n"))
