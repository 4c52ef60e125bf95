"""The call graph as GraphML, for Gephi, yEd and networkx. Pure.

Source: graphml.graphdrawing.org/primer; XML 1.0 section 2.2 for the characters that a document may hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from sink_exporter.graph import Arrow, CallGraph
from sink_exporter.render_text import escape_control
from sink_exporter.workload_ids import list_workloads, path_of

_NODE_KEYS = ("cluster", "namespace", "kind", "name")
_EDGE_KEYS = ("ports", "via")


def render_graphml(graph: CallGraph) -> str:
    """Render the whole graph."""
    return "".join(_lines(graph))


def _lines(graph: CallGraph) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for kind, keys in (("node", _NODE_KEYS), ("edge", _EDGE_KEYS)):
        for key in keys:
            yield f'  <key id="{key}" for="{kind}" attr.name="{key}" attr.type="string"/>\n'
    yield '  <graph id="calls" edgedefault="directed">\n'
    for workload in list_workloads(graph.arrows):
        data = "".join(_data(key, getattr(workload, key)) for key in _NODE_KEYS)
        yield f"    <node id={quoteattr(path_of(workload))}>{data}</node>\n"
    for arrow in graph.arrows:
        yield _edge(arrow)
    yield "  </graph>\n</graphml>\n"


def _edge(arrow: Arrow) -> str:
    ends = f"source={quoteattr(path_of(arrow.client))} target={quoteattr(path_of(arrow.server))}"
    return f"    <edge {ends}>{_data('ports', ' '.join(arrow.ports))}{_data('via', ' '.join(arrow.via))}</edge>\n"


def _data(key: str, text: str) -> str:
    return f'<data key="{key}">{escape(escape_control(text))}</data>' if text else ""
