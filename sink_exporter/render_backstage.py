"""The call graph as `dependsOn` of Backstage's components: snippets to put into their descriptors. Pure.

Source: backstage.io/docs/features/software-catalog/descriptor-format. A Component must say its type, its lifecycle and
its owner, which nobody can see on a wire; so each document holds what belongs into a descriptor that is there. What
lies outside the cluster, or has a name that Backstage does not take, stands in comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from callgraph.records import Workload
from sink_exporter.graph import CallGraph, is_external
from sink_exporter.yaml_scalars import quote_scalar

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class _Component(NamedTuple):
    """What one component calls; workloads of the same namespace and name are one component, whatever their kind."""

    depends_on: set[str]
    unnamed: set[str]
    owners: set[str]
    outside: set[str]


def render_backstage(graph: CallGraph) -> str:
    """Render one document for each client, sorted by namespace and name."""
    components: dict[tuple[str, str], _Component] = {}
    for arrow in graph.arrows:
        client, server = arrow.client, arrow.server
        component = components.setdefault((client.namespace, client.name), _Component(set(), set(), set(), set()))
        component.owners.update({graph.owners[client]} if client in graph.owners else ())
        if is_external(server):
            component.outside.add(server.name)
        elif not _has_name(server):
            component.unnamed.add(f"{server.namespace}/{server.name}")
        elif (server.namespace, server.name) != (client.namespace, client.name):
            component.depends_on.add(f"component:{server.namespace}/{server.name}")
    documents = ("".join(_document(*place, components[place])) for place in sorted(components))
    return "---\n".join(filter(None, documents))


def _document(namespace: str, name: str, component: _Component) -> Iterator[str]:
    path = quote_scalar(f"{namespace}/{name}")
    for server in sorted(component.outside):
        yield f"# {path} calls {quote_scalar(server)}, outside the cluster.\n"
    for server in sorted(component.unnamed):
        yield f"# {path} calls {quote_scalar(server)}, a name that Backstage does not take.\n"
    if not (_NAME.fullmatch(name) and _NAMESPACE.fullmatch(namespace)):
        for server in sorted(component.depends_on):
            yield f"# {path}, a name that Backstage does not take, calls {quote_scalar(server)}.\n"
    elif component.depends_on:
        yield from _component(namespace, name, component)


def _component(namespace: str, name: str, component: _Component) -> Iterator[str]:
    yield "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n"
    yield f"  name: {quote_scalar(name)}\n  namespace: {quote_scalar(namespace)}\nspec:\n"
    yield from (f"  owner: {quote_scalar(owner)}\n" for owner in sorted(component.owners)[:1])
    yield "  dependsOn:\n"
    yield from (f"    - {quote_scalar(reference)}\n" for reference in sorted(component.depends_on))


def _has_name(workload: Workload) -> bool:
    return bool(_NAME.fullmatch(workload.name) and _NAMESPACE.fullmatch(workload.namespace))
