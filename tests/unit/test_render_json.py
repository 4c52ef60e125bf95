"""The graph as JSON: everything that is known of it, read back exactly."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgraph.codec import encode
from callgraph.errors import InputError
from callgraph.records import CoverageRecord
from sink_exporter.coverage import summarize_coverage
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.graph_files import parse_graph
from sink_exporter.render_json import render_json, render_json_lines
from sink_exporter.timestamps import format_time, parse_time
from tests.graphs import edge_lists, edge_of, graph_of, graphs, shop_edges, shuffled_and_repeated, workload


def test_an_arrow_carries_its_evidence():
    edge = edge_of(
        workload("a"),
        workload("b"),
        server_port=80,
        network_transport="tcp",
        dns_names=("b.shop",),
        first_seen=1_700_000_000_123_456_789,
        last_seen=1_700_000_001_000_000_000,
        observations=3,
    )
    document = json.loads(render_json(build_graph([edge])))
    assert document["apiVersion"] == "whocalls.dev/v1"
    assert document["calls"] == [
        {
            "client": {"cluster": "c", "namespace": "shop", "kind": "Deployment", "name": "a"},
            "server": {"cluster": "c", "namespace": "shop", "kind": "Deployment", "name": "b"},
            "ports": ["80/TCP"],
            "via": ["dns"],
            "dns_names": ["b.shop"],
            "first_seen": "2023-11-14T22:13:20.123456789Z",
            "last_seen": "2023-11-14T22:13:21Z",
            "observations": 3,
        }
    ]
    assert document["external"] == []


def test_an_empty_graph_is_a_document_still():
    assert json.loads(render_json(CallGraph())) == {
        "apiVersion": "whocalls.dev/v1",
        "kind": "CallGraph",
        "calls": [],
        "external": [],
    }


@given(st.integers(0, 2**63 - 1))
def test_times_read_back_to_the_nanosecond(nanoseconds):
    assert parse_time(format_time(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@given(graphs)
def test_every_graph_reads_back_from_its_document(graph):
    assert parse_graph(render_json(graph).encode(), "it") == graph


@given(graphs)
def test_every_graph_reads_back_from_its_lines(graph):
    assert parse_graph(render_json_lines(graph).encode(), "it") == graph


@given(edge_lists)
def test_edge_records_as_in_the_topic_are_read(some):
    lines = b"\n".join(encode(edge) for edge in some)
    assert parse_graph(lines, "it") == build_graph(some)


@given(edge_lists, st.randoms(use_true_random=False))
def test_shuffled_and_repeated_edges_give_the_same_json(some, random):
    assert render_json(build_graph(shuffled_and_repeated(some, random))) == render_json(build_graph(some))


def test_a_document_may_be_laid_out_anew_on_its_way():
    graph = build_graph(shop_edges())
    assert parse_graph(json.dumps(json.loads(render_json(graph)), indent=4).encode(), "it") == graph


def test_a_workload_of_the_kind_of_a_document_is_not_taken_for_one():
    edge = edge_of(workload("a", kind="CallGraph"), workload("b"))
    assert parse_graph(encode(edge), "it") == build_graph([edge])


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"{", "line 1 of it"),
        (encode(shop_edges()[0]) + b'\n{"client": 1}', "line 2 of it"),
        (b'{"apiVersion":"whocalls.dev/v9","kind":"CallGraph"}', "it is not a CallGraph"),
        (b'{"apiVersion":"whocalls.dev/v1","kind":"CallGraph","calls":[{}]}', "it is not a CallGraph"),
        (b"kind: Pod\n", "it is neither edge records nor a CallGraph"),
        (b"a: [", "it is neither edge records nor a CallGraph"),
        (b"\xff\xfe\x00", "it is neither edge records nor a CallGraph"),
        (b"just words", "it is neither edge records nor a CallGraph"),
    ],
)
def test_what_is_no_graph_is_refused_in_one_sentence(content, where):
    with pytest.raises(InputError) as caught:
        parse_graph(content, "it")
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_graph_or_the_one_error(content):
    with suppress(InputError):
        parse_graph(content, "it")


def test_nothing_is_the_empty_graph():
    assert parse_graph(b" \n", "it") == CallGraph()


def test_what_the_graph_rests_on_is_written_and_read_back():
    two_nodes = [CoverageRecord(cluster="c", node=node, from_at=0, to_at=at) for node, at in (("a", 10**12), ("b", 1))]
    covered = msgspec.structs.replace(
        graph_of((workload("web"), workload("api"))), coverage=summarize_coverage(two_nodes)
    )
    text = render_json(covered)
    assert json.loads(text)["coverage"]["nodes_silent"] == ["b"]
    assert parse_graph(text.encode(), "it") == covered
    assert "coverage" not in render_json(graph_of((workload("web"), workload("api"))))
