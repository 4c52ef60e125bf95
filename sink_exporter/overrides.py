"""What people know better than what was seen: `overrides.yaml`. Pure.

    add:                                  # a call that was not seen, or not yet
      - {from: shop/checkout, to: data/redis, ports: [6379/TCP], reason: nightly batch, until: 2027-01-31}
    ignore:                               # calls that are no dependency; patterns as in filters
      - {from: "monitoring/*", to: "*", reason: scraping}
    rename:                               # a better name, in the same namespace
      - {from: shop/checkout-v2, to: checkout, reason: one service in two deployments}
    owner:                                # who answers for it; of several entries the first that fits
      - {of: "shop/*", owner: team-shop}

`NAMESPACE/NAME` or `NAMESPACE/KIND/NAME` is a workload; without a slash it is a name outside the cluster. An entry ends
after its day `until`. Added calls are marked until they are seen; that, and ignored calls that are gone, is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct

from callgraph.errors import InputError
from callgraph.records import Workload
from sink_exporter.filters import matches
from sink_exporter.graph import EXTERNAL, Arrow, CallGraph, assemble_graph, is_external, list_clusters

Place = Annotated[str, Meta(pattern=r"^[^/]+(/[^/]+){0,2}$")]


class _Note(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str = ""
    until: date | None = None


class _Entry(_Note, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    source: Place
    target: Place


class Addition(_Entry, frozen=True, kw_only=True):
    """A call to be added."""

    ports: tuple[Annotated[str, Meta(pattern=r"^[0-9]{1,5}(/[A-Z]+)?$")], ...] = ()
    cluster: str | None = None


class Ignored(_Entry, frozen=True, kw_only=True):
    """Calls to be left out, by patterns of both ends."""


class Renaming(_Entry, frozen=True, kw_only=True):
    """A workload and its better name."""


class Ownership(_Note, frozen=True, kw_only=True):
    """Workloads, by a pattern, and who answers for them."""

    of: Place
    owner: Annotated[str, Meta(min_length=1)]


E = TypeVar("E", bound=_Note)


class Overrides(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    add: tuple[Addition, ...] = ()
    ignore: tuple[Ignored, ...] = ()
    rename: tuple[Renaming, ...] = ()
    owner: tuple[Ownership, ...] = ()

    @property
    def entries(self) -> tuple[_Entry | Ownership, ...]:
        """All entries of the file."""
        return *self.add, *self.ignore, *self.rename, *self.owner


class Amended(Struct, frozen=True, kw_only=True):
    """The graph as people want it, and which entries have done their work, as `FROM -> TO`."""

    graph: CallGraph
    now_seen: tuple[str, ...] = ()
    ignored_gone: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()


def parse_overrides(content: bytes, name: str) -> Overrides:
    """Read the file; an empty one asks for nothing. Raises InputError."""
    try:
        return msgspec.convert(yaml.safe_load(content) or {}, Overrides)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{name} does not say what to override: {reason} (add, ignore, rename and owner hold lists)"
        ) from error


def amend_graph(graph: CallGraph, overrides: Overrides, today: date) -> Amended:
    """Leave out, rename and add, in this order, and say who owns what then is there."""
    ignore = _lasting(overrides.ignore, today)
    kept = [arrow for arrow in graph.arrows if not any(_means(entry, arrow) for entry in ignore)]
    seen = assemble_graph(_rename(kept, _lasting(overrides.rename, today)))
    find = _WorkloadFinder(seen)
    known = {(arrow.client, arrow.server) for arrow in seen.arrows}
    additions = [(entry, find.arrow_of(entry)) for entry in _lasting(overrides.add, today)]
    new = [arrow for _, arrow in additions if (arrow.client, arrow.server) not in known]
    whole = assemble_graph((*seen.arrows, *new))
    owners = _owners(whole, _lasting(overrides.owner, today))
    return Amended(
        graph=msgspec.structs.replace(whole, coverage=graph.coverage, owners=owners),
        now_seen=_describe(entry for entry, arrow in additions if (arrow.client, arrow.server) in known),
        ignored_gone=_describe(entry for entry in ignore if not any(_means(entry, arrow) for arrow in graph.arrows)),
        expired=_describe(entry for entry in overrides.entries if not _lasts(entry, today)),
    )


class _WorkloadFinder:
    """Knows the workloads of a graph by the places that people write."""

    def __init__(self, graph: CallGraph) -> None:
        ends = {end for arrow in graph.arrows for end in (arrow.client, arrow.server)}
        self._kinds: dict[tuple[str, str, str], str] = {}
        for end in sorted(ends, key=lambda end: end.kind, reverse=True):
            self._kinds[end.cluster, end.namespace, end.name] = end.kind
        self._cluster = next(iter(list_clusters(graph)), "default")

    def arrow_of(self, entry: Addition) -> Arrow:
        """Return the arrow that an addition means."""
        cluster = entry.cluster or self._cluster
        client, server = (self._find(place, cluster) for place in (entry.source, entry.target))
        return Arrow(client=client, server=server, ports=entry.ports, manual=True)

    def _find(self, place: str, cluster: str) -> Workload:
        """Return a workload, of the kind that the graph knows it by, else a Deployment."""
        namespace, *kind, name = ("", EXTERNAL, place) if "/" not in place else place.split("/")
        known = self._kinds.get((cluster, namespace, name), "Deployment")
        return Workload(cluster=cluster, namespace=namespace, kind=kind[0] if kind else known, name=name)


def _lasting(entries: tuple[E, ...], today: date) -> list[E]:
    return [entry for entry in entries if _lasts(entry, today)]


def _lasts(entry: _Note, today: date) -> bool:
    return entry.until is None or today <= entry.until


def _means(entry: Ignored, arrow: Arrow) -> bool:
    return matches(arrow.client, entry.source) and matches(arrow.server, entry.target)


def _rename(arrows: Iterable[Arrow], renamings: list[Renaming]) -> Iterator[Arrow]:
    names = {entry.source: entry.target for entry in renamings}
    for arrow in arrows:
        client, server = (_renamed(end, names) for end in (arrow.client, arrow.server))
        yield msgspec.structs.replace(arrow, client=client, server=server)


def _renamed(workload: Workload, names: dict[str, str]) -> Workload:
    path = f"{workload.namespace}/{workload.name}"
    full = f"{workload.namespace}/{workload.kind}/{workload.name}"
    name = names.get(full) or names.get(path)
    return msgspec.structs.replace(workload, name=name) if name else workload


def _owners(graph: CallGraph, ownerships: list[Ownership]) -> dict[Workload, str]:
    if not ownerships:
        return {}
    ends = dict.fromkeys(end for arrow in graph.arrows for end in (arrow.client, arrow.server))
    found = ((end, [entry.owner for entry in ownerships if matches(end, entry.of)]) for end in ends)
    return {end: owners[0] for end, owners in found if owners and not is_external(end)}


def _describe(entries: Iterable[_Entry | Ownership]) -> tuple[str, ...]:
    return tuple(
        f"{entry.of}: {entry.owner}" if isinstance(entry, Ownership) else f"{entry.source} -> {entry.target}"
        for entry in entries
    )
