"""The text of the graph: exact where the article fixed it, unambiguous where it did not."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sink_exporter.filters import Filter, filter_graph
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.render_text import render_text
from tests.graphs import SHOP_TEXT, edge_lists, graph_of, graphs, shop_edges, shuffled_and_repeated, workload


def test_the_shop_reads_as_in_the_founding_article():
    edges = shop_edges()
    assert len(edges) == 16
    assert render_text(build_graph(reversed(edges))) == SHOP_TEXT


def test_a_server_in_another_namespace_names_it():
    assert render_text(graph_of((workload("a"), workload("redis", "data")))) == (
        "a in namespace shop calls:\n  - redis in namespace data\n"
    )


def test_the_namespace_of_every_server_is_said_when_asked_for():
    assert render_text(graph_of((workload("a"), workload("b"))), full=True) == (
        "a in namespace shop calls:\n  - b in namespace shop\n"
    )


def test_clients_are_sorted_by_namespace_then_name():
    text = render_text(
        graph_of(
            (workload("b", "n1"), workload("x", "n1")),
            (workload("a", "n2"), workload("x", "n2")),
            (workload("a", "n1"), workload("x", "n1")),
        )
    )
    assert [line for line in text.splitlines() if line.endswith(":")] == [
        "a in namespace n1 calls:",
        "b in namespace n1 calls:",
        "a in namespace n2 calls:",
    ]


def test_two_workloads_of_one_name_are_told_apart_by_kind():
    text = render_text(graph_of((workload("a"), workload("db")), (workload("db", kind="Service"), workload("b"))))
    assert text == ("a in namespace shop calls:\n  - db (Deployment)\ndb (Service) in namespace shop calls:\n  - b\n")


def test_one_name_in_two_namespaces_needs_no_kind():
    text = render_text(
        graph_of((workload("a"), workload("db")), (workload("a"), workload("db", "data", "StatefulSet")))
    )
    assert text == "a in namespace shop calls:\n  - db in namespace data\n  - db\n"


def test_calls_out_of_the_cluster_have_their_own_section():
    stripe = workload("api.stripe.com", "", "External")
    both = graph_of((workload("a"), stripe), (workload("a"), workload("b")))
    inside = "a in namespace shop calls:\n  - b\n"
    assert render_text(both) == inside + "\na in namespace shop calls outside the cluster:\n  - api.stripe.com\n"
    assert render_text(filter_graph(both, Filter(external=False))) == inside


def test_the_cluster_is_said_when_there_are_several():
    text = render_text(graph_of((workload("a"), workload("b")), (workload("a"), workload("b", cluster="d"))))
    assert text == ("a in namespace shop of cluster c calls:\n  - b\n  - b in namespace shop of cluster d\n")


def test_an_empty_graph_is_the_empty_text():
    assert render_text(CallGraph()) == ""


def test_a_name_cannot_forge_a_line_or_move_the_cursor():
    forged = workload("x\n  - evil\x1b[2J")
    assert render_text(graph_of((workload("a"), forged))) == "a in namespace shop calls:\n  - x\\n  - evil\\x1b[2J\n"


@given(edge_lists, st.randoms(use_true_random=False))
def test_shuffled_and_repeated_edges_give_the_same_text(some, random):
    again = shuffled_and_repeated(some, random)
    assert render_text(build_graph(again)) == render_text(build_graph(some))


@given(graphs)
def test_every_arrow_is_one_line(graph):
    lines = render_text(graph).split("\n")
    assert sum(line.startswith("  - ") for line in lines) == len(graph.arrows)


def test_one_more_edge_is_one_more_line():
    edges = shop_edges()
    more = replace(edges[0], server=workload("zz", "otterize-ecom-demo"))
    before, after = (render_text(build_graph(some)).splitlines() for some in (edges, [*edges, more]))
    assert [line for line in after if line not in before] == ["  - zz"]
    assert len(after) == len(before) + 1
