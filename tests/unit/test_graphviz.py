"""Pictures by the real Graphviz, and one sentence where it is not there or fails."""

import shutil
import struct

import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from callgraph.errors import ConfigurationError, WhocallsError
from sink_exporter.formats import render_graph
from sink_exporter.graphviz import draw_picture
from sink_exporter.render_yaml import render_yaml
from tests.graphs import graph_of, graphs, workload
from whocalls.command import whocalls

needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed (apt: graphviz)")
GRAPH = graph_of((workload("web"), workload("api")))


@needs_graphviz
def test_a_graph_becomes_an_svg_with_its_names():
    drawn = draw_picture(render_graph(GRAPH, "dot"), "svg", arrows=1).decode()
    assert "<svg" in drawn
    assert ">web</text>" in drawn


@needs_graphviz
def test_a_graph_becomes_a_png():
    drawn = draw_picture(render_graph(GRAPH, "dot"), "png", arrows=1)
    assert drawn.startswith(b"\x89PNG")
    assert min(struct.unpack(">II", drawn[16:24])) > 10


@needs_graphviz
def test_a_large_graph_is_drawn_by_sfdp():
    pairs = [(workload(f"a{number}"), workload(f"b{number % 50}")) for number in range(400)]
    assert b"<svg" in draw_picture(render_graph(graph_of(*pairs), "dot"), "svg", arrows=400)


@needs_graphviz
@settings(max_examples=25, deadline=None)
@given(graphs)
def test_the_real_graphviz_reads_any_names(graph):
    text = render_graph(graph, "dot")
    drawn = draw_picture(text, "svg", arrows=len(graph.arrows)).decode()
    ends = {end for arrow in graph.arrows for end in (arrow.client, arrow.server)}
    assert drawn.count('class="node"') == len(ends)
    assert drawn.count('class="edge"') == len(graph.arrows)


@needs_graphviz
def test_what_graphviz_does_not_read_is_one_sentence():
    with pytest.raises(WhocallsError, match=r"^dot could not draw the graph: Error: .*syntax error"):
        draw_picture("digraph {", "svg", arrows=1)


def test_without_graphviz_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"drawing svg needs Graphviz: .*install the package graphviz"):
        draw_picture("digraph {}", "svg", arrows=1)


@needs_graphviz
def test_export_writes_the_picture_whole(tmp_path):
    (tmp_path / "seen.yaml").write_text(render_yaml(GRAPH))
    target = tmp_path / "map.png"
    arguments = ["export", "png", "--input", str(tmp_path / "seen.yaml"), "-O", str(target)]
    assert CliRunner().invoke(whocalls, arguments, standalone_mode=False).exception is None
    assert target.read_bytes().startswith(b"\x89PNG")
