"""Resolutions again and again, each end looked up once per version of the inventory. Pure, but for what it remembers.

In: observations. Out: exactly what `resolve` gives. An end that was found holds for the times that no comparison on its
way would have judged otherwise (`Moment`), and until its cluster's inventory changes. Thousands of observations share
few clients and servers, so nearly all cost two look-ups.
"""

from __future__ import annotations

from callgraph.records import ConnectionObservation, DnsObservation
from stream_processor.client_end import ClientEnd
from stream_processor.inventory import ClusterInventory, Inventory
from stream_processor.moment import Moment
from stream_processor.resolution import Resolution
from stream_processor.resolve import Observation, client_of, join, refuse_unseen, servers_of
from stream_processor.server_end import ServerEnd

_MOST_ENDS = 100_000
"""Ends kept per cluster; beyond it all are forgotten. An end takes about 400 bytes."""

_NO_SERVER = ServerEnd((), (), wait=False)


class _Ends:
    """The ends of one cluster, found at one version of its inventory."""

    __slots__ = ("clients", "servers", "version", "view")

    def __init__(self, view: ClusterInventory) -> None:
        self.view = view
        self.version = view.version
        self.clients: dict[object, tuple[int, int, ClientEnd]] = {}
        self.servers: dict[object, tuple[int, int, ServerEnd]] = {}

    def refresh(self) -> None:
        """Forget everything once the inventory has changed, or too much is kept."""
        full = len(self.clients) + len(self.servers) > _MOST_ENDS
        if self.version != self.view.version or full:
            self.version = self.view.version
            self.clients.clear()
            self.servers.clear()


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
        return join(observation, client, _servers(observation, ends, final=final))


def _client(observation: Observation, ends: _Ends, node: str) -> ClientEnd:
    if isinstance(observation, DnsObservation):
        key: object = (node, observation.client_address, True)
    else:
        key = (node, observation.client_address, observation.pod_uid)
    at = observation.observed_at
    kept = ends.clients.get(key)
    if kept is not None and kept[0] <= at < kept[1]:
        return kept[2]
    moment = Moment(at)
    end = client_of(observation, ends.view, moment, node=node)
    ends.clients[key] = (moment.since, moment.until, end)
    return end


def _servers(observation: Observation, ends: _Ends, *, final: bool) -> ServerEnd:
    if isinstance(observation, ConnectionObservation):
        # What accepts connections does not depend on the late window: only names do.
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
    kept = ends.servers.get(key)
    if kept is not None and kept[0] <= at < kept[1]:
        return kept[2]
    moment = Moment(at)
    end = servers_of(observation, ends.view, moment, final=final)
    ends.servers[key] = (moment.since, moment.until, end)
    return end
