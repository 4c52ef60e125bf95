"""The files of the page, read from the package, and the page of a graph. Shell."""

from __future__ import annotations

import functools
from importlib.resources import files

from sink_exporter.graph import CallGraph
from sink_exporter.page_assembly import assemble_page
from sink_exporter.page_json import encode_graph, model_of

_KINDS = (".js", ".css", ".html")


@functools.cache
def read_sources() -> dict[str, str]:
    """Return the texts of the page's files by name."""
    folder = files("sink_exporter").joinpath("page")
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(_KINDS)}


def render_page(graph: CallGraph, baseline: CallGraph | None = None) -> bytes:
    """Render the page with a graph inside, and with another that it is compared to."""
    pieces = encode_graph(model_of(graph), version="file", live=False, with_evidence=True, coverage=graph.coverage)
    parts = [b'{"live":false,"graph":', *pieces]
    if baseline is not None:
        parts += [b',"baseline":', *encode_graph(model_of(baseline), version="baseline", live=False)]
    return assemble_page(read_sources(), b"".join((*parts, b"}")), live=False)


def render_live_page(*, has_baseline: bool) -> bytes:
    """Render the page that asks its server for the graph and follows it."""
    return assemble_page(
        read_sources(), b'{"live":true,"baseline":%s}' % (b"true" if has_baseline else b"false"), live=True
    )
