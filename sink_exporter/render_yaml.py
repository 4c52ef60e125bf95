"""The call graph as canonical YAML, one document for each namespace. Pure.

What a repository tracks: sorted, block style, nothing that changes without a change of who calls whom (no counts, no
times, no nodes). `namespace` and `cluster` of a server are left out where they are the client's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from callgraph.records import Workload
from sink_exporter.graph import Arrow, CallGraph, is_external
from sink_exporter.yaml_scalars import flow_list, quote_scalar

API_VERSION = "whocalls.dev/v1"
KIND = "CallGraph"


class Home(NamedTuple):
    """Where a document's clients live."""

    cluster: str
    namespace: str


def render_yaml(graph: CallGraph) -> str:
    """Render the whole graph as one stream of documents; an empty graph as the empty text."""
    return "---\n".join(render_namespaces(graph).values())


def render_namespaces(graph: CallGraph) -> dict[Home, str]:
    """Render one document for each cluster and namespace that has a client, in the order of both."""
    clients: dict[Home, dict[Workload, _Service]] = {}
    for arrow in graph.arrows:
        home = Home(arrow.client.cluster, arrow.client.namespace)
        service = clients.setdefault(home, {}).setdefault(arrow.client, _Service([], []))
        (service.external if is_external(arrow.server) else service.calls).append(arrow)
    return {home: "".join(_document(home, services, graph.owners)) for home, services in sorted(clients.items())}


class _Service(NamedTuple):
    calls: list[Arrow]
    external: list[Arrow]


def _document(home: Home, services: dict[Workload, _Service], owners: Mapping[Workload, str]) -> Iterator[str]:
    yield f"apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata:\n"
    yield f"  cluster: {quote_scalar(home.cluster)}\n  namespace: {quote_scalar(home.namespace)}\n"
    yield "services:\n"
    for client in sorted(services, key=attrgetter("name", "kind")):
        yield f"  - name: {quote_scalar(client.name)}\n    kind: {quote_scalar(client.kind)}\n"
        if client in owners:
            yield f"    owner: {quote_scalar(owners[client])}\n"
        yield from _section("calls", home, services[client].calls)
        yield from _section("external", home, services[client].external)


def _section(title: str, home: Home, arrows: list[Arrow]) -> Iterator[str]:
    if arrows:
        yield f"    {title}:\n"
    for arrow in arrows:
        yield _server(home, arrow)


def _server(home: Home, arrow: Arrow) -> str:
    server = arrow.server
    text = f"      - name: {quote_scalar(server.name)}\n"
    if server.cluster != home.cluster:
        text += f"        cluster: {quote_scalar(server.cluster)}\n"
    if not is_external(server):
        if server.namespace != home.namespace:
            text += f"        namespace: {quote_scalar(server.namespace)}\n"
        text += f"        kind: {quote_scalar(server.kind)}\n"
    if arrow.manual:
        text += "        source: manual\n"
    else:
        text += f"        via: {flow_list(arrow.via)}\n"
    return f"{text}        ports: {flow_list(arrow.ports)}\n" if arrow.ports else text
