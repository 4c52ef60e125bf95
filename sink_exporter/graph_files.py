"""Graphs read back from files: edge records or arrows as JSON Lines, the JSON document, canonical YAML. Pure.

The first bytes tell which: every JSON form begins with `{`. In: bytes and what to call them in errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from callgraph.errors import InputError
from callgraph.records import Edge, Evidence, Workload
from sink_exporter.coverage import Coverage
from sink_exporter.graph import EXTERNAL, Arrow, CallGraph, assemble_graph, build_graph
from sink_exporter.render_yaml import API_VERSION, KIND
from sink_exporter.timestamps import parse_time

Port = Annotated[str, Meta(pattern=r"^[0-9]{1,5}(/[A-Z]+)?$")]


class _YamlServer(Struct, frozen=True, kw_only=True):
    name: str
    cluster: str | None = None
    namespace: str | None = None
    kind: str = EXTERNAL
    source: Literal["manual"] | None = None
    via: tuple[Evidence, ...] = ()
    ports: tuple[Port, ...] = ()


class _YamlService(Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    owner: str | None = None
    calls: tuple[_YamlServer, ...] = ()
    external: tuple[_YamlServer, ...] = ()


class _YamlHome(Struct, frozen=True, kw_only=True):
    cluster: str
    namespace: str


class _YamlDocument(Struct, frozen=True, kw_only=True):
    apiVersion: Literal["whocalls.dev/v1"]  # noqa: N815  (Kubernetes' spelling)
    kind: Literal["CallGraph"]
    metadata: _YamlHome
    services: tuple[_YamlService, ...] = ()


class _JsonArrow(Struct, frozen=True, kw_only=True):
    client: Workload
    server: Workload
    ports: tuple[Port, ...] = ()
    via: tuple[Evidence, ...] = ()
    dns_names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    first_seen: str | None = None
    last_seen: str | None = None
    observations: int = 0
    exemplars: tuple[str, ...] = ()
    manual: bool = False


class _JsonOwner(Struct, frozen=True, kw_only=True):
    workload: Workload
    owner: str


class _JsonDocument(Struct, frozen=True, kw_only=True):
    apiVersion: Literal["whocalls.dev/v1"]  # noqa: N815  (Kubernetes' spelling)
    kind: Literal["CallGraph"]
    coverage: Coverage | None = None
    owners: tuple[_JsonOwner, ...] = ()
    calls: tuple[_JsonArrow, ...] = ()
    external: tuple[_JsonArrow, ...] = ()


def parse_graph(content: bytes, name: str) -> CallGraph:
    """Read a graph in any of the forms. Raises InputError, naming the file and the line or field."""
    text = content.lstrip()
    if not text:
        return CallGraph()
    if not text.startswith(b"{"):
        return _parse_yaml(content, name)
    if b'"apiVersion":"whocalls.dev/' in b"".join(text[:200].split()):
        return _parse_document(text, name)
    return _parse_lines(text, name)


def _parse_lines(text: bytes, name: str) -> CallGraph:
    edges: list[Edge] = []
    arrows: list[Arrow] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            if b'"schema"' in line:
                edges.append(msgspec.json.decode(line, type=Edge))
            else:
                arrows.append(_arrow_of(msgspec.json.decode(line, type=_JsonArrow)))
        except (msgspec.DecodeError, ValueError) as error:
            raise InputError(f"line {number} of {name} is neither an edge record nor an arrow: {error}") from error
    return assemble_graph((*build_graph(edges).arrows, *arrows))


def _parse_document(text: bytes, name: str) -> CallGraph:
    try:
        document = msgspec.json.decode(text, type=_JsonDocument)
        graph = assemble_graph(_arrow_of(arrow) for arrow in (*document.calls, *document.external))
        owners = {one.workload: one.owner for one in document.owners}
        return msgspec.structs.replace(graph, coverage=document.coverage, owners=owners)
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"{name} is not a {KIND} of {API_VERSION}: {error}") from error


def _arrow_of(arrow: _JsonArrow) -> Arrow:
    fields: dict[str, Any] = msgspec.structs.asdict(arrow)
    for field in ("first_seen", "last_seen"):
        if fields[field] is not None:
            fields[field] = parse_time(fields[field])
    return Arrow(**fields)


def _parse_yaml(content: bytes, name: str) -> CallGraph:
    documents = list(_yaml_documents(content, name))
    clients = ((_client_of(document, service), service) for document in documents for service in document.services)
    owners = {client: service.owner for client, service in clients if service.owner is not None}
    graph = assemble_graph(arrow for document in documents for arrow in _arrows_of(document))
    return msgspec.structs.replace(graph, owners=owners)


def _yaml_documents(content: bytes, name: str) -> Iterator[_YamlDocument]:
    import yaml  # noqa: PLC0415  (0.08 s that JSON does not need)

    try:
        for document in yaml.load_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if document is not None:
                yield msgspec.convert(document, _YamlDocument)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{name} is neither edge records nor a {KIND} of {API_VERSION}: {reason} (export one with "
            "`whocalls export yaml`)"
        ) from error


def _arrows_of(document: _YamlDocument) -> Iterator[Arrow]:
    home = document.metadata
    for service in document.services:
        client = _client_of(document, service)
        for server in service.calls:
            yield _arrow_to(client, server, home.namespace if server.namespace is None else server.namespace)
        yield from (_arrow_to(client, server, "") for server in service.external)


def _client_of(document: _YamlDocument, service: _YamlService) -> Workload:
    home = document.metadata
    return Workload(cluster=home.cluster, namespace=home.namespace, kind=service.kind, name=service.name)


def _arrow_to(client: Workload, server: _YamlServer, namespace: str) -> Arrow:
    cluster = client.cluster if server.cluster is None else server.cluster
    end = Workload(cluster=cluster, namespace=namespace, kind=server.kind, name=server.name)
    return Arrow(client=client, server=end, ports=server.ports, via=server.via, manual=server.source == "manual")


def merge_graphs(graphs: Iterable[CallGraph]) -> CallGraph:
    """Make one graph of several, as of the files of a folder."""
    graphs = tuple(graphs)
    owners = {workload: owner for graph in graphs for workload, owner in graph.owners.items()}
    merged = assemble_graph(arrow for graph in graphs for arrow in graph.arrows)
    return msgspec.structs.replace(merged, owners=owners)
