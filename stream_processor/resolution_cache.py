"""Resolutions again and again, each end looked up once until something that it rests on changes. Pure, but for memory.

In: observations. Out: exactly what `resolve` gives. An end that was found holds for the times that no comparison on its
way would have judged otherwise, and until a pod or slice changes that was looked at on its way (`Moment`); a change of
nodes or Services ends them all. Thousands of observations share few clients and servers, so nearly all cost two
look-ups.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from callgraph.records import ConnectionObservation, DnsObservation
from stream_processor.client_end import ClientEnd
from stream_processor.inventory import ClusterInventory, Inventory
from stream_processor.moment import Moment
from stream_processor.resolution import Resolution
from stream_processor.resolve import (
    Observation,
    client_of,
    join,
    named_server_of,
    refuse_unseen,
    servers_of,
    takes_name,
    with_name,
)
from stream_processor.server_end import ServerEnd

_MOST_ENDS = 50_000
"""Clients, and servers, kept per cluster; beyond it all are forgotten. One takes about 600 bytes."""

_NO_SERVER = ServerEnd((), (), wait=False)
End = TypeVar("End", ClientEnd, ServerEnd)


class _Kept(Generic[End]):
    """Ends by what they were asked for."""

    __slots__ = ("_resting_on", "ends")

    def __init__(self) -> None:
        self.ends: dict[object, tuple[int, int, End]] = {}
        self._resting_on: dict[str, set[object]] = {}

    def keep(self, key: object, moment: Moment, end: End) -> None:
        if len(self.ends) >= _MOST_ENDS:
            self.clear()
        self.ends[key] = (moment.since, moment.until, end)
        for token in moment.looked_at:
            self._resting_on.setdefault(token, set()).add(key)

    def drop(self, tokens: frozenset[str]) -> None:
        for token in tokens:
            for key in self._resting_on.pop(token, ()):
                self.ends.pop(key, None)

    def clear(self) -> None:
        self.ends.clear()
        self._resting_on.clear()


class _Ends:
    """The ends of one cluster."""

    __slots__ = ("clients", "servers", "version", "view")

    def __init__(self, view: ClusterInventory) -> None:
        self.view = view
        self.version = view.version
        self.clients: _Kept[ClientEnd] = _Kept()
        self.servers: _Kept[ServerEnd] = _Kept()

    def refresh(self) -> None:
        """Forget what rests on things that changed."""
        if self.version == self.view.version:
            return
        touched = self.view.changes_since(self.version)
        self.version = self.view.version
        for kept in (self.clients, self.servers):
            if touched is None:
                kept.clear()
            else:
                kept.drop(touched)


class ResolutionCache:
    """Resolves as `resolve` does, faster."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._clusters: dict[str, _Ends] = {}

    def ends(self, cluster: str) -> _Ends:
        """Return what is kept of a cluster, fit for use until the inventory changes."""
        found = self._clusters.get(cluster)
        if found is None:
            found = self._clusters[cluster] = _Ends(self._inventory.cluster(cluster))
        found.refresh()
        return found

    def resolve(self, observation: Observation, ends: _Ends, *, node: str, final: bool) -> Resolution:
        """Resolve one observation with the ends of its cluster."""
        refusal = refuse_unseen(observation)
        if refusal is not None:
            return Resolution(refusals=(refusal,))
        client = _client(observation, ends, node)
        if client.workload is None:
            return join(observation, client, _NO_SERVER)
        servers = _servers(observation, ends, final=final)
        if (
            servers.outside
            and isinstance(observation, ConnectionObservation)
            and takes_name(observation, client, servers)
        ):
            servers = with_name(servers, _named_server(observation, ends, final=final))
        return join(observation, client, servers)


def _client(observation: Observation, ends: _Ends, node: str) -> ClientEnd:
    if isinstance(observation, DnsObservation):
        key: object = (node, observation.client_address)
    else:
        key = (node, observation.client_address, observation.pod_uid)
    at = observation.observed_at
    kept = ends.clients.ends.get(key)
    if kept is not None and kept[0] <= at < kept[1]:
        return kept[2]
    moment = Moment(at)
    end = client_of(observation, ends.view, moment, node=node)
    ends.clients.keep(key, moment, end)
    return end


def _servers(observation: Observation, ends: _Ends, *, final: bool) -> ServerEnd:
    if isinstance(observation, ConnectionObservation):
        # Who has an address does not depend on the late window: only names do.
        key: object = (observation.server_address, observation.server_port, observation.network_transport)
    else:
        key = (
            final,
            observation.dns_question_name,
            observation.dns_question_type,
            observation.addresses,
            observation.cnames,
            observation.targets,
        )
    at = observation.observed_at
    kept = ends.servers.ends.get(key)
    if kept is not None and kept[0] <= at < kept[1]:
        return kept[2]
    moment = Moment(at)
    end = servers_of(observation, ends.view, moment, final=final)
    ends.servers.keep(key, moment, end)
    return end


def _named_server(connection: ConnectionObservation, ends: _Ends, *, final: bool) -> ServerEnd:
    key = (
        final,
        connection.dns_question_name,
        connection.cnames,
        connection.server_port,
        connection.network_transport,
    )
    at = connection.observed_at
    kept = ends.servers.ends.get(key)
    if kept is not None and kept[0] <= at < kept[1]:
        return kept[2]
    moment = Moment(at)
    end = named_server_of(connection, ends.view, moment, final=final)
    ends.servers.keep(key, moment, end)
    return end
