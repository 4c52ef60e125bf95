"""Graphs that commands read from what a person names: a file, a folder, stdin."""

import io
import sys

import pytest

from callgraph.codec import encode
from callgraph.errors import InputError
from sink_exporter.files import replace_files
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.layout import lay_out
from sink_exporter.program import load_graph_from_file
from sink_exporter.render_text import render_text
from tests.graphs import SHOP_TEXT, edge_of, shop_edges, workload

LINES = b"\n".join(encode(edge) for edge in shop_edges())


def test_a_file_of_edge_records_is_read(tmp_path):
    (tmp_path / "edges.jsonl").write_bytes(LINES)
    assert render_text(load_graph_from_file(str(tmp_path / "edges.jsonl"))) == SHOP_TEXT


def test_stdin_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    assert render_text(load_graph_from_file("-")) == SHOP_TEXT


def test_the_folder_of_an_export_is_read_whatever_else_lies_in_it(tmp_path):
    graph = build_graph([*shop_edges(), edge_of(workload("a", "other"), workload("b", "other"))])
    replace_files(tmp_path, lay_out(graph, ("yaml", "text")))
    (tmp_path / "overrides.yaml").write_text("add: []\n")
    assert render_text(load_graph_from_file(str(tmp_path))) == render_text(graph)
    assert render_text(load_graph_from_file(str(tmp_path / "namespaces"))) == render_text(graph)


def test_an_empty_folder_is_an_empty_graph(tmp_path):
    assert load_graph_from_file(str(tmp_path)) == CallGraph()


@pytest.mark.parametrize(("content", "told"), [(None, "No such file"), (b"kind: Pod\n", "neither edge records nor")])
def test_what_cannot_be_read_is_one_sentence(tmp_path, content, told):
    path = tmp_path / "graph"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        load_graph_from_file(str(path))
