"""Resolutions again and again, each end looked up once until something that it rests on changes. Pure, but for memory.

In: observations. Out: exactly what `resolve` gives, for each or for all that come to the same. An end that was found
holds for the times that no comparison on its way would have judged otherwise, and until a pod or slice changes that was
looked at on its way (`Moment`); a change of nodes or Services ends them all. Thousands of observations share few
clients and servers, so nearly all cost two look-ups.

Ends bear numbers. Ends that come to the same in a call share one: the pods of a workload do, and so do the addresses
behind which the same server is found. What is refused, or may still change, has a number of its own. So a pair of
numbers stands for one resolution, whatever the addresses were.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

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

_MOST_ENDS = 100_000
"""Clients, and servers, kept per cluster; beyond it all are forgotten. One takes about 600 bytes."""
_MOST_PAIRS = 100_000
"""Pairs of what ends come to: as many as edges, where the ends are fewer. One takes about 300 bytes."""

_NO_SERVER = ServerEnd((), (), wait=False)
End = TypeVar("End", ClientEnd, ServerEnd)

_Pair = tuple[int, int]
"""The numbers of client and server."""


class Alike(NamedTuple):
    """Observations of one batch that come to the same, with their positions in it."""

    resolution: Resolution
    indexes: list[int]
    observations: list[Observation]


class _Found(Generic[End]):
    """An end, the times for which it holds, and its number."""

    __slots__ = ("end", "number", "outside", "since", "until")

    def __init__(self, end: End, moment: Moment, number: int, *, outside: bool = False) -> None:
        self.end: End = end
        self.outside = outside
        self.since = moment.since
        self.until = moment.until
        self.number = number


_ALONE = _Found(_NO_SERVER, Moment(0), -1)
"""In place of a server: the observation is resolved by itself."""


class _Kept(Generic[End]):
    """Ends by what they were asked for."""

    __slots__ = ("_resting_on", "ends")

    def __init__(self) -> None:
        self.ends: dict[Hashable, _Found[End]] = {}
        # One key is kept as it is, several are a set: most addresses have one, and a set takes 216 bytes.
        self._resting_on: dict[str, Hashable | set[Hashable]] = {}

    def find(self, key: Hashable, at: int) -> _Found[End] | None:
        found = self.ends.get(key)
        return found if found is not None and found.since <= at < found.until else None

    def keep(self, key: Hashable, moment: Moment, found: _Found[End]) -> None:
        if len(self.ends) >= _MOST_ENDS:
            self.clear()
        self.ends[key] = found
        for token in moment.looked_at:
            others = self._resting_on.setdefault(token, key)
            if isinstance(others, set):
                others.add(key)
            elif others != key:
                self._resting_on[token] = {others, key}

    def drop(self, tokens: frozenset[str]) -> None:
        for token in tokens:
            keys = self._resting_on.pop(token, None)
            for key in keys if isinstance(keys, set) else (keys,):
                self.ends.pop(key, None)

    def clear(self) -> None:
        self.ends.clear()
        self._resting_on.clear()


class _Numbers:
    """Numbers of what ends come to. None is given out twice, forgotten or not."""

    __slots__ = ("_known", "_next")

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}
        self._next = 0

    def of(self, identity: Hashable | None) -> int:
        """Number what ends come to; None comes to nothing else."""
        known = self._known.get(identity) if identity is not None else None
        if known is not None:
            return known
        self._next += 1
        if identity is not None:
            if len(self._known) >= _MOST_ENDS:
                self._known.clear()
            self._known[identity] = self._next
        return self._next


class _Ends:
    """The ends of one cluster."""

    __slots__ = ("_numbers", "clients", "pairs", "servers", "version", "view")

    def __init__(self, view: ClusterInventory) -> None:
        self.view = view
        self.version = view.version
        self.clients: _Kept[ClientEnd] = _Kept()
        self.servers: _Kept[ServerEnd] = _Kept()
        self.pairs: dict[_Pair, Resolution] = {}
        self._numbers = _Numbers()

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

    def client(self, key: Hashable, observation: Observation, *, node: str) -> _Found[ClientEnd]:
        """Find the client's end."""
        found = self.clients.find(key, observation.observed_at)
        if found is None:
            moment = Moment(observation.observed_at)
            end = client_of(observation, self.view, moment, node=node)
            known = end.workload is not None and not end.wait and refuse_unseen(observation) is None
            found = _Found(end, moment, self._numbers.of(end.workload if known else None))
            self.clients.keep(key, moment, found)
        return found

    def server(self, key: Hashable, observation: Observation, *, final: bool) -> _Found[ServerEnd]:
        """Find the servers' end."""
        found = self.servers.find(key, observation.observed_at)
        if found is None:
            moment = Moment(observation.observed_at)
            found = self._keep(key, observation, moment, servers_of(observation, self.view, moment, final=final))
        return found

    def named_server(self, connection: ConnectionObservation, *, final: bool) -> _Found[ServerEnd]:
        """Find the servers' end of a connection by the name that came with it."""
        asked, at = (final, connection.dns_question_name, connection.cnames), connection.observed_at
        key = (*asked, connection.server_port, connection.network_transport, connection.evidence)
        found = self.servers.find(key, at)
        if found is None:
            moment = Moment(at)
            found = self._keep(key, connection, moment, named_server_of(connection, self.view, moment, final=final))
        return found

    def keep_pair(self, pair: _Pair, resolution: Resolution) -> None:
        """Keep what a pair of ends comes to."""
        if len(self.pairs) >= _MOST_PAIRS:
            self.pairs.clear()
        self.pairs[pair] = resolution

    def _keep(self, key: Hashable, observation: Observation, moment: Moment, end: ServerEnd) -> _Found[ServerEnd]:
        number = self._numbers.of(_destination(end, observation))
        found = _Found(end, moment, number, outside=end.outside)
        self.servers.keep(key, moment, found)
        return found


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
        client = ends.client(_client_keys([observation], node)[0], observation, node=node).end
        if client.workload is None:
            return join(observation, client, _NO_SERVER)
        servers = ends.server(_server_keys([observation], final=final)[0], observation, final=final).end
        if isinstance(observation, ConnectionObservation) and takes_name(observation, client, servers):
            servers = with_name(servers, ends.named_server(observation, final=final).end)
        return join(observation, client, servers)

    def resolve_all(
        self, indexes: Iterable[int], observations: Sequence[Observation], ends: _Ends, *, node: str, final: bool
    ) -> list[Alike]:
        """Resolve observations of one kind, seen on one node, together where they come to the same.

        The loop is what the processor spends most of its time in.
        """
        clients, servers = ends.clients.ends, ends.servers.ends
        found: dict[_Pair, Alike] = {}
        alone: list[Alike] = []
        keys = zip(_client_keys(observations, node), _server_keys(observations, final=final), strict=True)
        for index, observation, (client_key, server_key) in zip(indexes, observations, keys, strict=True):
            at = observation.observed_at
            client = clients.get(client_key)
            if client is None or not client.since <= at < client.until:
                client = ends.client(client_key, observation, node=node)
            server = servers.get(server_key)
            if server is None or not server.since <= at < server.until:
                server = ends.server(server_key, observation, final=final)
            if server.outside:
                server = _named(observation, client, server, ends, final=final)
            pair = (client.number, server.number)
            alike = found.get(pair)
            if alike is None:
                resolution = ends.pairs.get(pair)
                if resolution is None:
                    if server is _ALONE:
                        resolution = self.resolve(observation, ends, node=node, final=final)
                    else:
                        resolution = _join(observation, client.end, server.end)
                    if server is _ALONE or _may_be_itself(client.end, server.end):
                        alone.append(Alike(resolution, [index], [observation]))
                        continue
                    ends.keep_pair(pair, resolution)
                alike = found[pair] = Alike(resolution, [], [])
            alike.indexes.append(index)
            alike.observations.append(observation)
        return [*found.values(), *alone]


def _join(observation: Observation, client: ClientEnd, server: ServerEnd) -> Resolution:
    refusal = refuse_unseen(observation)
    return join(observation, client, server) if refusal is None else Resolution(refusals=(refusal,))


def _may_be_itself(client: ClientEnd, server: ServerEnd) -> bool:
    """R13: where a workload's very pods were found to be its servers, some of them are the client and others not."""
    return any(each.pod is not None and each.workload == client.workload for each in server.servers)


def _client_keys(observations: Sequence[Any], node: str) -> list[Hashable]:
    if isinstance(observations[0], DnsObservation):
        return [(node, each.client_address) for each in observations]
    return [(node, each.client_address, each.pod_uid, each.client_side) for each in observations]


def _server_keys(observations: Sequence[Any], *, final: bool) -> list[Hashable]:
    if isinstance(observations[0], DnsObservation):
        return [
            (final, each.dns_question_name, each.dns_question_type, each.addresses, each.cnames, each.targets)
            for each in observations
        ]
    # Who has an address does not depend on the late window: only names do.
    return [(each.server_address, each.server_port, each.network_transport, each.evidence) for each in observations]


def _destination(end: ServerEnd, observation: Observation) -> Hashable | None:
    """Say what tells one servers' end from another in a call; None where that is the end itself."""
    if end.wait or end.refusals or refuse_unseen(observation) is not None:
        return None
    servers = tuple((each.workload, each.service, each.port, each.backends, each.pod is None) for each in end.servers)
    if isinstance(observation, DnsObservation):
        return observation.dns_question_name, servers
    return observation.evidence, observation.network_transport, servers


def _named(
    observation: Observation, client: _Found[ClientEnd], server: _Found[ServerEnd], ends: _Ends, *, final: bool
) -> _Found[ServerEnd]:
    """Return the server by the name that came with the connection, where that is all there is to it."""
    if not isinstance(observation, ConnectionObservation) or not takes_name(observation, client.end, server.end):
        return server
    named = ends.named_server(observation, final=final)
    return named if named.end.servers and not server.end.wait else _ALONE
