"""ClientIntents read back: what somebody has declared, as a graph to hold against what was seen. Pure.

Intents name no cluster, seldom a kind, and write dots in the names of workloads as underscores; so each end is taken
for the workload of the other graph that it can mean. Targets that are no workload (SQL, AWS, ...) are counted.
Source: `k8s.otterize.com/v2beta1` of otterize/intents-operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from callgraph.errors import InputError
from callgraph.records import Workload
from sink_exporter.client_intents import KIND, otterize_name
from sink_exporter.graph import EXTERNAL, Arrow, CallGraph, assemble_graph, list_clusters
from sink_exporter.yaml_objects import parse_objects

_GROUP = "k8s.otterize.com/"


class _Meta(Struct, frozen=True):
    name: str
    namespace: str = "default"


class _Named(Struct, frozen=True):
    name: str
    kind: str | None = None


class _Internet(Struct, frozen=True):
    domains: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()


class _Target(Struct, frozen=True):
    kubernetes: _Named | None = None
    service: _Named | None = None
    kafka: _Named | None = None
    internet: _Internet | None = None


class _Spec(Struct, frozen=True):
    workload: _Named
    targets: tuple[_Target, ...] | None = None


class _Document(Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    metadata: _Meta
    spec: _Spec


class Declared(Struct, frozen=True, kw_only=True):
    """Calls as they were declared, and how many targets are no workload. A kind of `""` is not said."""

    arrows: tuple[Arrow, ...] = ()
    other_targets: int = 0


def parse_intents(content: bytes, name: str) -> Declared:
    """Read ClientIntents, a document each or in a `List`. Raises InputError."""
    documents = parse_objects(content, _Document, f"{name} does not hold {KIND}")
    for document in documents:
        if document.kind != KIND or not document.api_version.startswith(_GROUP):
            raise InputError(f"{name} holds {document.api_version} {document.kind} beside {KIND} (keep them apart)")
    targets = [(document, target) for document in documents for target in document.spec.targets or ()]
    declared = [tuple(_arrows_to(target, document)) for document, target in targets]
    return Declared(
        arrows=tuple(arrow for arrows in declared for arrow in arrows),
        other_targets=sum(not arrows for arrows in declared),
    )


def merge_declared(parts: Iterable[Declared]) -> Declared:
    """Put what several files declare together."""
    some = tuple(parts)
    return Declared(
        arrows=tuple(arrow for part in some for arrow in part.arrows),
        other_targets=sum(part.other_targets for part in some),
    )


def match_intents(declared: Declared, graph: CallGraph) -> CallGraph:
    """Return what was declared in the words of a graph: each end as the workload of it that can be meant."""
    finder = _Finder(graph)
    return assemble_graph(
        Arrow(client=finder.find(arrow.client), server=finder.find(arrow.server)) for arrow in declared.arrows
    )


class _Finder:
    """Knows the workloads of a graph by what intents say of them."""

    def __init__(self, graph: CallGraph) -> None:
        clusters = list_clusters(graph)
        self._cluster = clusters[0] if clusters else ""
        self._known: dict[tuple[str, str], dict[str, Workload]] = {}
        ends = {end for arrow in graph.arrows for end in (arrow.client, arrow.server)}
        for end in sorted(ends, key=lambda end: (end.cluster, end.kind), reverse=True):
            self._known.setdefault((end.namespace, otterize_name(end.name)), {})[end.kind] = end

    def find(self, said: Workload) -> Workload:
        """Return the workload of that namespace and name, of the kind that was said or else of any."""
        known = self._known.get((said.namespace, otterize_name(said.name)), {})
        found = known.get(said.kind) or (next(reversed(known.values()), None) if not said.kind else None)
        kind = said.kind or "Deployment"
        return found or Workload(cluster=self._cluster, namespace=said.namespace, kind=kind, name=said.name)


def _arrows_to(target: _Target, document: _Document) -> Iterator[Arrow]:
    home = document.metadata.namespace
    client = _workload(document.spec.workload.name, home, document.spec.workload.kind)
    if target.internet:
        for outside in (*target.internet.domains, *target.internet.ips):
            yield Arrow(client=client, server=_workload(outside, "", EXTERNAL))
    elif target.service:
        yield Arrow(client=client, server=_server(target.service.name, home, "Service"))
    elif named := target.kubernetes or target.kafka:
        yield Arrow(client=client, server=_server(named.name, home, named.kind))


def _server(text: str, home: str, kind: str | None) -> Workload:
    name, _, namespace = text.partition(".")
    return _workload(name, namespace or home, kind)


def _workload(name: str, namespace: str, kind: str | None) -> Workload:
    fields: dict[str, Any] = {"cluster": "", "namespace": namespace, "kind": kind or "", "name": name}
    return Workload(**fields)
