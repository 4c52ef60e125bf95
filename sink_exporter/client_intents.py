"""Otterize ClientIntents: what each workload needs to call, for the operator that enforces it. Pure.

Source: the API type `k8s.otterize.com/v2beta1` of otterize/intents-operator, and the order of otterize-cli: targets by
name, then namespace. A server elsewhere is `name.namespace`, which is split at the first dot, so dots in the name of a
workload are written as Otterize writes them: as underscores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from callgraph.addresses import is_address
from callgraph.records import Workload
from sink_exporter.graph import Arrow, CallGraph, is_external, list_clusters
from sink_exporter.json_text import encode_json
from sink_exporter.yaml_scalars import flow_list, quote_scalar

API_VERSION = "k8s.otterize.com/v2beta1"
KIND = "ClientIntents"


class NamedTarget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workload (`kubernetes`, with its kind) or a Service (without)."""

    name: str
    kind: str | None = None


class InternetTarget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something outside the cluster, by its name or by its address."""

    domains: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


class Target(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the three is set."""

    kubernetes: NamedTarget | None = None
    service: NamedTarget | None = None
    internet: InternetTarget | None = None


class Intents(Struct, frozen=True, kw_only=True):
    """One resource: `name` is the resource's own, `workload` says whose calls these are."""

    name: str
    workload: Workload
    targets: tuple[Target, ...]
    elsewhere: tuple[Workload, ...] = ()


def list_intents(graph: CallGraph) -> list[Intents]:
    """Return one resource for each client, sorted by namespace and name."""
    arrows = sorted(graph.arrows, key=lambda arrow: (_order_of(arrow.client), is_external(arrow.server)))
    clients = [(client, list(group)) for client, group in groupby(arrows, key=attrgetter("client"))]
    sharing = Counter((client.cluster, client.namespace, client.name) for client, _ in clients)
    return [
        _intents_of(client, group, shares_name=sharing[client.cluster, client.namespace, client.name] > 1)
        for client, group in clients
    ]


def render_client_intents(graph: CallGraph) -> str:
    """Render one YAML document for each client."""
    several = len(list_clusters(graph)) > 1
    return "---\n".join("".join(_document(intents, several=several)) for intents in list_intents(graph))


def render_client_intents_json(graph: CallGraph) -> str:
    """Render one JSON array, with the empty fields that `otterize network-mapper export --format json` writes."""
    return msgspec.json.format(encode_json([_object_of(intents) for intents in list_intents(graph)])) + "\n"


def _order_of(client: Workload) -> tuple[str, ...]:
    return client.cluster, client.namespace, client.name, client.kind


def _intents_of(client: Workload, arrows: list[Arrow], *, shares_name: bool) -> Intents:
    return Intents(
        # One of two workloads of the same name would overwrite the other.
        name=f"{client.name}-{client.kind.lower()}" if shares_name else client.name,
        workload=client,
        targets=tuple(_target_of(client, arrow) for arrow in arrows if not _is_elsewhere(arrow)),
        elsewhere=tuple(arrow.server for arrow in arrows if _is_elsewhere(arrow)),
    )


def _is_elsewhere(arrow: Arrow) -> bool:
    return not is_external(arrow.server) and arrow.server.cluster != arrow.client.cluster


def _target_of(client: Workload, arrow: Arrow) -> Target:
    server = arrow.server
    if is_external(server):
        return Target(internet=_internet_of(arrow))
    name = otterize_name(server.name)
    if server.namespace != client.namespace:
        name = f"{name}.{server.namespace}"
    if server.kind == "Service":
        return Target(service=NamedTarget(name=name))
    return Target(kubernetes=NamedTarget(name=name, kind=server.kind))


def _internet_of(arrow: Arrow) -> InternetTarget:
    name = arrow.server.name
    ports = tuple(int(port.partition("/")[0]) for port in arrow.ports)
    if is_address(name):
        return InternetTarget(ips=(name,), ports=ports)
    return InternetTarget(domains=(name,), ports=ports)


def otterize_name(name: str) -> str:
    """Write the name of a workload as Otterize does."""
    return name.replace(".", "_")


def _document(intents: Intents, *, several: bool) -> Iterator[str]:
    client = intents.workload
    for server in intents.elsewhere:
        yield f"# Also calls {_comment(server)}, in another cluster, which ClientIntents cannot say.\n"
    yield f"apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata:\n"
    yield f"  name: {quote_scalar(intents.name)}\n  namespace: {quote_scalar(client.namespace)}\n"
    if several:
        yield f"  annotations:\n    whocalls.dev/cluster: {quote_scalar(client.cluster)}\n"
    yield f"spec:\n  workload:\n    name: {quote_scalar(otterize_name(client.name))}\n"
    yield f"    kind: {quote_scalar(client.kind)}\n"
    yield "  targets:\n" if intents.targets else "  targets: []\n"
    for target in intents.targets:
        yield from _target_lines(target)


def _target_lines(target: Target) -> Iterator[str]:
    if target.internet:
        yield "    - internet:\n"
        for key, values in (("domains", target.internet.domains), ("ips", target.internet.ips)):
            if values:
                yield f"        {key}: {flow_list(values)}\n"
        if target.internet.ports:
            yield f"        ports: [{', '.join(map(str, target.internet.ports))}]\n"
        return
    named = target.service or target.kubernetes
    assert named
    yield f"    - {'service' if target.service else 'kubernetes'}:\n        name: {quote_scalar(named.name)}\n"
    if named.kind:
        yield f"        kind: {quote_scalar(named.kind)}\n"


def _comment(workload: Workload) -> str:
    return quote_scalar(f"{workload.cluster}/{workload.namespace}/{workload.name}")


def _object_of(intents: Intents) -> dict[str, Any]:
    client = intents.workload
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {"name": intents.name, "namespace": client.namespace, "creationTimestamp": None},
        "spec": {
            "workload": {"name": otterize_name(client.name), "kind": client.kind},
            "targets": intents.targets,
        },
        "status": {"upToDate": False, "observedGeneration": 0},
    }
