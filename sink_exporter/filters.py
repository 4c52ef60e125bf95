"""A part of the graph: which arrows pass what a person asked for. Pure.

Names are patterns in the manner of a shell (`*`, `?`, `[…]`), case counts: `NAME` in any namespace, `NAMESPACE/NAME`
in one. An arrow passes when every given kind of filter lets it pass, and within a kind any one pattern does.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import Struct

from callgraph.records import Workload
from sink_exporter.graph import Arrow, CallGraph, is_external

INFRASTRUCTURE = (
    *("kube-system/*", "kube-public/*", "kube-node-lease/*", "default/kubernetes", "whocalls/*"),
    *("*/kube-dns", "*/coredns", "*/node-local-dns*", "*/kube-proxy*", "*/metrics-server*", "*/kube-state-metrics*"),
    *("*/*node-exporter*", "*/prometheus*", "*/alertmanager*", "*/grafana*", "*/vmagent*", "*/datadog*", "*/jaeger*"),
    *("*/fluent*", "*/promtail*", "*/otel-collector*", "*/opentelemetry-collector*"),
    *("*/cilium*", "*/calico*", "*/istiod*", "*/linkerd*", "*/cert-manager*"),
)
"""What is there for the cluster rather than for what the cluster does: nearly everything calls it, or it everything."""


class Filter(Struct, frozen=True, kw_only=True):
    """What to keep. `since` is in nanoseconds; an arrow whose source gives no times passes it."""

    namespaces: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    external: bool = True
    infrastructure: bool = True
    since: int | None = None


def filter_graph(graph: CallGraph, wanted: Filter) -> CallGraph:
    """Keep the arrows that pass; a client without any is gone."""
    if wanted == Filter():
        return graph
    passes = build_check(wanted)
    return CallGraph(
        coverage=graph.coverage,
        owners=graph.owners,
        calls=tuple(filter(passes, graph.calls)),
        external=tuple(filter(passes, graph.external)),
    )


def is_infrastructure(workload: Workload) -> bool:
    """Tell whether a workload is there for the cluster rather than for what the cluster does."""
    return not is_external(workload) and _matches_any(workload, INFRASTRUCTURE)


def matches(workload: Workload, pattern: str) -> bool:
    """Tell whether a pattern means this workload."""
    namespace, slash, name = pattern.rpartition("/")
    return fnmatchcase(workload.name, name) and (not slash or fnmatchcase(workload.namespace, namespace))


def build_check(wanted: Filter) -> Callable[[Arrow], bool]:
    """Return what tells of an arrow whether it passes."""
    named = lru_cache(maxsize=None)(_matches_any)
    housed = lru_cache(maxsize=None)(_lives_in_any)
    infrastructural = lru_cache(maxsize=None)(is_infrastructure)

    def passes(arrow: Arrow) -> bool:
        client, server = arrow.client, arrow.server
        return (
            (wanted.external or not is_external(server))
            and (not wanted.namespaces or housed(client, wanted.namespaces) or housed(server, wanted.namespaces))
            and (not wanted.clients or named(client, wanted.clients))
            and (not wanted.servers or named(server, wanted.servers))
            and not named(client, wanted.exclude)
            and not named(server, wanted.exclude)
            and (wanted.infrastructure or not (infrastructural(client) or infrastructural(server)))
            and (wanted.since is None or arrow.last_seen is None or arrow.last_seen >= wanted.since)
        )

    return passes


def _matches_any(workload: Workload, patterns: tuple[str, ...]) -> bool:
    return any(matches(workload, pattern) for pattern in patterns)


def _lives_in_any(workload: Workload, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(workload.namespace, pattern) for pattern in patterns)
