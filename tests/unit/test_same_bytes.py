"""The same edges give the same bytes in every format, however the records came; one more edge gives its own lines."""

import json
import random as randomness
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from callgraph.codec import encode, encode_key
from callgraph.records import Edge, Workload
from sink_exporter.cilium_policy import render_cilium_policies
from sink_exporter.edge_table import EdgeTable
from sink_exporter.formats import FORMATS
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.istio_policy import render_istio_policies
from sink_exporter.kube_facts import parse_kube_facts
from sink_exporter.network_policy import render_network_policies
from tests.graphs import edge_lists, edge_of
from tests.unit.test_policies import deployment

Render = Callable[[CallGraph], str]


def with_facts(render, **choices) -> Render:
    """Render policies for a graph whose workloads are all known."""

    def render_known(graph):
        ends = sorted({end for arrow in graph.arrows for end in (arrow.client, arrow.server)}, key=repr)
        known = [one for one in ends if one.kind in ("Deployment", "StatefulSet")]
        items = [deployment(one.name, one.namespace, one.kind) for one in known]
        return render(graph, parse_kube_facts(json.dumps({"items": items}).encode(), "it"), **choices)

    return render_known


RENDERERS: dict[str, Render] = {name: chosen.render for name, chosen in FORMATS.items()} | {
    "networkpolicy": with_facts(render_network_policies, direction="both"),
    "cilium": with_facts(render_cilium_policies, direction="both"),
    "istio": with_facts(render_istio_policies),
}
every_format = pytest.mark.parametrize("name", RENDERERS)


def key_of(edge):
    return encode_key(repr(edge.client), repr(edge.server), edge.server_port, edge.network_transport)


def records_of(edges):
    """What the processor publishes of edges: each as it was first, and then as it is."""
    for edge in edges:
        early = replace(edge, last_seen=edge.first_seen, observations=1, evidence=edge.evidence[:1])
        yield key_of(edge), encode(early)
        yield key_of(edge), encode(edge)


def read_partitions(records, partitions, random):
    """Read records spread over partitions: in order within each, in any order among them, some of them twice."""
    queues = [[] for _ in range(partitions)]
    for key, value in records:
        queues[crc32(key) % partitions].append((key, value))
    table = EdgeTable()
    while any(queues):
        queue = random.choice([one for one in queues if one])
        key, value = queue.pop(0)
        table.apply(key, value)
        if random.random() < 0.3:
            table.apply(key, value)
    return build_graph(table.edges())


# Few workloads, so that arrows have several edges.
near = st.sampled_from([Workload(cluster="c", namespace="n", kind="Deployment", name=name) for name in "ab"])
parallel_edges = st.builds(
    lambda client, server, port, evidence, names: edge_of(
        client,
        server,
        server_port=port,
        network_transport="tcp" if port else None,
        evidence=tuple(sorted(evidence)),
        dns_names=tuple(sorted(names)),
        nodes=tuple(sorted(names)),
    ),
    *(near, near, st.sampled_from([None, 80, 443, 9]), st.sets(st.sampled_from(["dns", "socket", "syn"]), min_size=1)),
    st.sets(st.sampled_from("xyz")),
)


@every_format
@given(
    edge_lists | st.lists(parallel_edges, max_size=8),
    *(st.integers(1, 8), st.integers(1, 8), st.randoms(use_true_random=False)),
)
def test_shuffled_repeated_and_repartitioned_records_give_the_same_bytes(name, edges, some, others, random):
    edges = list({key_of(edge): edge for edge in edges}.values())
    shuffled = random.sample(edges, len(edges))
    one = read_partitions(records_of(edges), some, random)
    other = read_partitions(records_of(shuffled), others, randomness.Random(random.random()))
    assert RENDERERS[name](one).encode() == RENDERERS[name](other).encode()


# Names that need no more words when another workload comes: one cluster, a kind for each name, few enough to be drawn.
plain = st.builds(
    lambda namespace, name: Workload(cluster="c", namespace=namespace, kind="Deployment", name=name),
    st.sampled_from(["shop", "data", "a b"]),
    st.sampled_from(["web", "api", "a.b", "yes", "#x", "é"]),
)
outside = st.sampled_from(["example.com", "192.0.2.1"]).map(
    lambda name: Workload(cluster="c", namespace="", kind="External", name=name)
)
plain_edges = st.builds(
    lambda client, server, port: edge_of(client, server, server_port=port, network_transport="tcp" if port else None),
    *(plain, plain | outside, st.sampled_from([None, 80, 443])),
)


def lines_of(text):
    """Split into lines; the comma behind all but the last element of a JSON array is no line's own."""
    return [line.rstrip(",") for line in text.splitlines()]


def is_part(some, whole):
    """Tell whether lines stand in a text in the same order."""
    rest = iter(whole)
    return all(line in rest for line in some)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "wide"])
@given(st.lists(plain_edges, min_size=1, max_size=12), plain_edges)
def test_one_more_edge_adds_its_lines_and_touches_no_other(name, edges: list[Edge], more: Edge):
    edges = [edge for edge in edges if (edge.client, edge.server) != (more.client, more.server)]
    before, after = (lines_of(RENDERERS[name](build_graph(some))) for some in (edges, [*edges, more]))
    assert is_part(before, after) or (name, edges) == ("clientintents-json", [])
    assert len(after) > len(before) or more.client == more.server
    # A resource of a client of its own is the longest that an edge can add.
    assert len(after) - len(before) <= 32
