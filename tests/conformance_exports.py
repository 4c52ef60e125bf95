"""The suites of `network_mapper_cases.json` about what comes out: intents, text, exclusion, what is new.

Each takes one case and returns None, or one line that says how it failed. What those cases call HTTP paths, methods and
Kafka topics is payload, which is never read here: the cases that turn on it fail, and the runner lists them by id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from callgraph.codec import encode, encode_key
from callgraph.records import Edge, Workload
from sink_exporter.edge_table import EdgeTable
from sink_exporter.filters import Filter, filter_graph
from sink_exporter.formats import render_graph
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.render_text import render_text

Case = dict[str, Any]


def _workload(end: dict[str, Any]) -> Workload:
    """A workload of a case; the API server, which has no kind there, is a Service here (rule R10)."""
    is_service = end.get("kubernetes_service") and not end.get("kind")
    kind = end.get("kind") or ("Service" if is_service else "Deployment")
    return Workload(cluster="c", namespace=end["namespace"], kind=kind, name=end["name"])


def _edge(edge: dict[str, Any], seen: int = 0) -> Edge:
    return Edge(
        client=_workload(edge["client"]),
        server=_workload(edge["server"]),
        evidence=("dns",),
        first_seen=seen,
        last_seen=seen,
        observations=seen + 1,
    )


def _graph(case: Case) -> CallGraph:
    graph = build_graph(_edge(edge) for edge in case["input"]["edges"] if not _is_payload(edge))
    namespaces = case["input"].get("namespaces", ())
    calls = (arrow for arrow in graph.calls if not namespaces or arrow.client.namespace in namespaces)
    return CallGraph(calls=tuple(calls))


def _is_payload(edge: dict[str, Any]) -> bool:
    return edge.get("type") == "KAFKA"


def _client_intents(case: Case) -> str | None:
    if case["input"]["format"] == "yaml":
        found = list(yaml.safe_load_all(render_graph(_graph(case), "clientintents")))
        return _compare(found, list(yaml.safe_load_all(case["expected"]["yaml"])))
    return _compare(json.loads(render_graph(_graph(case), "clientintents-json")), case["expected"]["json"])


def _list_text(case: Case) -> str | None:
    return _compare(render_text(_graph(case), full=True), case["expected"]["text"])


def _exclude_services(case: Case) -> str | None:
    left = filter_graph(_graph(case), Filter(exclude=tuple(case["input"]["exclude_services"])))
    return _compare(sorted({arrow.server.name for arrow in left.calls}), sorted(case["expected"]["remaining_targets"]))


def _edge_store(case: Case) -> str | None:
    """What is new since the last look, at the table of the compacted topic."""
    table = EdgeTable(track_changes=True)
    known: dict[bytes, int] = {}
    for number, step in enumerate(case["input"]["steps"], start=1):
        if step["op"] == "add":
            _add(table, known, step["edge"])
        elif failure := _compare(list(_drained(table)), [_bare(edge) for edge in step["expect"]]):
            return f"step {number}: {failure}"
    return None


def _add(table: EdgeTable, known: dict[bytes, int], edge: dict[str, Any]) -> None:
    """Add as the stream processor does: each sighting publishes the edge again, seen once more."""
    key = encode_key(edge["client"]["name"], edge["server"]["namespace"], edge["server"]["name"])
    known[key] = known.get(key, 0) + 1
    table.apply(key, encode(_edge(edge, seen=known[key])))


def _drained(table: EdgeTable) -> Iterator[dict[str, Any]]:
    for change in table.take_changes():
        edge = change.after
        assert edge
        yield {
            "client": {"name": edge.client.name, "namespace": edge.client.namespace},
            "server": {"name": edge.server.name, "namespace": edge.server.namespace},
        }


def _bare(edge: dict[str, Any]) -> dict[str, Any]:
    """An expected edge without its `count`: distinct client ports in a window, for which there is no word here."""
    return {name: value for name, value in edge.items() if name != "count"}


def _compare(found: object, expected: object) -> str | None:
    return None if found == expected else f"found {found!r}, expected {expected!r}"


SUITES: dict[str, Callable[[Case], str | None]] = {
    "clientintents_export": _client_intents,
    "list_text": _list_text,
    "exclude_services": _exclude_services,
    "edge_store": _edge_store,
}

_PAYLOAD = "HTTP paths and Kafka topics are payload, which is never read"
EXCEPTIONS: dict[str, str] = {"exp-002": _PAYLOAD, "exp-005": _PAYLOAD, "store-005": _PAYLOAD}
"""Cases that are expected to fail, with the reason."""
