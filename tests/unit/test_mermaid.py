"""What the real mermaid (tests/mermaid, `npm ci --prefix tests/mermaid`) makes of our diagrams."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sink_exporter.formats import render_graph
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.labels import group_by_label
from tests.graphs import graph_of, graphs, shop_edges, workload

FOLDER = Path(__file__).parents[1] / "mermaid"
INSTALLED = shutil.which("node") and (FOLDER / "node_modules" / "mermaid").is_dir()
pytestmark = pytest.mark.skipif(
    not INSTALLED, reason="the real mermaid is not installed (npm ci --prefix tests/mermaid)"
)


def complaints(*diagrams):
    """Parse diagrams with mermaid, and return what is wrong with each: None for nothing."""
    command = ["node", str(FOLDER / "parse.mjs")]
    ended = subprocess.run(command, input=json.dumps(diagrams), capture_output=True, text=True, check=True, timeout=300)
    return json.loads(ended.stdout)


def mermaid(graph):
    return render_graph(graph, "mermaid")


def test_mermaid_refuses_what_is_wrong():
    syntax, size = complaints("flowchart LR\n a -->", "flowchart LR\n" + "".join(f"a{n} --> b\n" for n in range(501)))
    assert "Parse error" in syntax
    assert "Edge limit exceeded" in size


def test_mermaid_reads_the_shop_the_empty_graph_and_what_is_grouped():
    shop = build_graph(shop_edges())
    grouped = group_by_label(shop, "team", lambda one: {"team": one.name[:1]})
    assert complaints(*map(mermaid, (shop, CallGraph(), grouped))) == [None, None, None]


def test_mermaid_reads_graphs_that_are_too_large_to_be_drawn_whole():
    by_namespace = [(workload("a", f"n{number % 40}"), workload("b", f"m{number % 30}")) for number in range(3_000)]
    pairs = [(workload("a", f"n{number}"), workload("b", f"m{number}")) for number in range(5_000)]
    at_the_cap = [(workload(f"a{number % 30}"), workload(f"b{number // 30}")) for number in range(100)]
    diagrams = [mermaid(graph_of(*some)) for some in (by_namespace, pairs, at_the_cap)]
    assert complaints(*diagrams) == [None, None, None]
    assert max(map(len, diagrams)) < 50_000


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(graphs, min_size=5, max_size=40))
def test_mermaid_reads_any_names(some):
    assert set(complaints(*map(mermaid, some))) == {None}
