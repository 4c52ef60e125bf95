"""Canonical YAML: the documented bytes, and any graph read back unchanged."""

import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.graph_files import parse_graph
from sink_exporter.render_yaml import render_namespaces, render_yaml
from sink_exporter.yaml_scalars import flow_list, quote_scalar
from tests.graphs import HOSTILE, edge_lists, edge_of, graphs, names, shop_edges, shuffled_and_repeated, workload

CHECKOUT = workload("checkoutservice", "otterize-ecom-demo")


def without_evidence(graph):
    blank = {"dns_names": (), "services": (), "first_seen": None, "last_seen": None, "observations": 0}
    return CallGraph(
        calls=tuple(replace(arrow, **blank) for arrow in graph.calls),
        external=tuple(replace(arrow, **blank) for arrow in graph.external),
    )


def test_a_namespace_reads_as_documented():
    graph = build_graph(
        [
            edge_of(CHECKOUT, workload("cartservice", "otterize-ecom-demo")),
            edge_of(
                CHECKOUT,
                workload("cartservice", "otterize-ecom-demo"),
                server_port=7070,
                network_transport="tcp",
                evidence=("socket",),
            ),
            edge_of(CHECKOUT, workload("redis", "data", "StatefulSet")),
            edge_of(CHECKOUT, workload("api.stripe.com", "", "External"), server_port=443, network_transport="tcp"),
        ]
    )
    assert (
        render_yaml(graph)
        == """\
apiVersion: whocalls.dev/v1
kind: CallGraph
metadata:
  cluster: c
  namespace: otterize-ecom-demo
services:
  - name: checkoutservice
    kind: Deployment
    calls:
      - name: cartservice
        kind: Deployment
        via: [dns, socket]
        ports: [7070/TCP]
      - name: redis
        namespace: data
        kind: StatefulSet
        via: [dns]
    external:
      - name: api.stripe.com
        via: [dns]
        ports: [443/TCP]
"""
    )


def test_each_namespace_of_each_cluster_has_a_document():
    graph = build_graph(
        [edge_of(workload("a", *home), workload("b", *home)) for home in (("n", "D", "d"), ("m",), ("n",))]
    )
    assert [(home.cluster, home.namespace) for home in render_namespaces(graph)] == [("c", "m"), ("c", "n"), ("d", "n")]


def test_a_server_in_another_cluster_names_it():
    text = render_yaml(build_graph([edge_of(workload("a"), workload("b", cluster="d"))]))
    assert "        cluster: d\n        kind: Deployment\n" in text


def test_a_server_without_a_namespace_says_so():
    graph = build_graph([edge_of(workload("a"), workload("b", ""))])
    assert '        namespace: ""\n' in render_yaml(graph)
    assert parse_graph(render_yaml(graph).encode(), "it").calls[0].server == workload("b", "")


def test_nothing_that_changes_by_itself_is_in_it():
    before = [edge_of(workload("a"), workload("b"), first_seen=1, last_seen=2, observations=3, nodes=("n1",))]
    after = [replace(before[0], last_seen=9, observations=10, nodes=("n1", "n2"), exemplars=("t/0/1",))]
    assert render_yaml(build_graph(before)) == render_yaml(build_graph(after))


def test_one_more_edge_is_exactly_its_lines():
    edges = shop_edges()
    more = edge_of(edges[0].client, workload("zz", "otterize-ecom-demo"))
    before, after = (render_yaml(build_graph(some)) for some in (edges, [*edges, more]))
    added = "      - name: zz\n        kind: Deployment\n        via: [dns]\n"
    assert after.replace(added, "") == before


def test_an_empty_graph_is_the_empty_text():
    assert render_yaml(CallGraph()) == ""


def test_plain_names_are_not_quoted():
    assert [quote_scalar(name) for name in ("redis-cart", "api.stripe.com", "7070/TCP")] == [
        "redis-cart",
        "api.stripe.com",
        "7070/TCP",
    ]


def test_other_scripts_are_written_in_ascii():
    assert [quote_scalar(text) for text in ("\xff", "\u0100", "\U0001f600")] == [
        '"\\xff"',
        '"\\u0100"',
        '"\\U0001f600"',
    ]


def test_words_with_another_meaning_are_quoted():
    assert quote_scalar("no") == '"no"'
    assert quote_scalar("1e5") == '"1e5"'


@given(names | st.sampled_from(HOSTILE) | st.text())
def test_every_text_reads_back_in_block_and_flow(text):
    assert yaml.safe_load(f"k: {quote_scalar(text)}\n") == {"k": text}
    assert yaml.safe_load(f"k: {flow_list((text, text))}\n") == {"k": [text, text]}


@given(graphs)
def test_every_graph_reads_back_without_its_evidence(graph):
    assert parse_graph(render_yaml(graph).encode(), "it") == without_evidence(graph)


@given(graphs)
def test_the_yaml_is_plain_ascii_lines(graph):
    text = render_yaml(graph)
    assert text.isascii()
    assert text == "" or text.endswith("\n")
    assert not any(ord(character) < 32 and character != "\n" for character in text)


@given(edge_lists, st.randoms(use_true_random=False))
def test_shuffled_and_repeated_edges_give_the_same_yaml(some, random):
    assert render_yaml(build_graph(shuffled_and_repeated(some, random))) == render_yaml(build_graph(some))
