"""Which addresses belong to the cluster: those of its nodes, and the ranges of pods and Services. Pure.

In: `NodeRecord`s, the node addresses that pods report, and configured ranges. Out: whose node an address was at a
time, and whether an address that nobody is known to have had lay inside. Rule R11 of `docs/identity.md`. Sources: RFC
1918, 4193, 6598.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

from callgraph.records import NodeRecord
from stream_processor.moment import ALWAYS, Moment
from stream_processor.settings import AttributionSettings

Side = Literal["inside", "perhaps", "outside"]

_Network = IPv4Network | IPv6Network
_PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


class Ranges:
    """A set of networks, each since a time; looking an address up costs one step for each prefix length."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[int, int], dict[int, Counter[int]]] = {}
        self._first: dict[int, int | None] = {}

    def add(self, texts: Iterable[str], *, since: int = -ALWAYS, count: int = 1) -> None:
        """Add networks, or take them away with a count of -1; what is no network is passed over."""
        for text in texts:
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                continue
            self._first.pop(network.version, None)
            members = self._prefixes.setdefault((network.version, network.prefixlen), {})
            times = members.setdefault(int(network.network_address), Counter())
            times[since] += count
            if times[since] <= 0:
                del times[since]
            if not times:
                del members[int(network.network_address)]

    def first_since(self, version: int) -> int | None:
        """Return since when there is a network of this IP version; None: there is none."""
        if version not in self._first:
            times = [
                since
                for (each, _), members in self._prefixes.items()
                if each == version
                for counter in members.values()
                for since in counter
            ]
            self._first[version] = min(times, default=None)
        return self._first[version]

    def since(self, address: str) -> int | None:
        """Return since when a network holds the address; None: none does."""
        parsed = ip_address(address)
        number, bits = int(parsed), parsed.max_prefixlen
        found = [
            min(times)
            for (version, length), members in self._prefixes.items()
            if version == parsed.version and (times := members.get(number >> (bits - length) << (bits - length)))
        ]
        return min(found, default=None)


class AddressSpace:
    """The nodes of one cluster, and its ranges, at a time."""

    def __init__(self, settings: AttributionSettings, *, tolerance: int) -> None:
        self._tolerance = tolerance
        self._nodes: dict[str, NodeRecord] = {}
        self._nodes_at: dict[str, set[str]] = {}
        self._witnesses: dict[str, Counter[str]] = {}
        self._pods = Ranges()
        self._pods.add(settings.pod_cidrs)
        self._services = Ranges()
        self._services.add(settings.service_cidrs)
        self.services_unseen = False

    def put_node(self, record: NodeRecord) -> bool:
        """Replace the node of this UID; tell whether that changed anything."""
        before = self._nodes.get(record.uid)
        if before == record:
            return False
        if before is not None:
            self._drop(before)
        self._nodes[record.uid] = record
        self._pods.add(record.pod_cidrs, since=record.from_at)
        for address in record.addresses:
            self._nodes_at.setdefault(address, set()).add(record.uid)
        return True

    def witness(self, addresses: Iterable[str], node: str, count: int = 1) -> None:
        """Add a pod that says that the addresses are its node's, or take it away with a count of -1."""
        for address in addresses:
            names = self._witnesses.setdefault(address, Counter())
            names[node] += count
            if names[node] <= 0:
                del names[node]
            if not names:
                del self._witnesses[address]

    def node_names(self, address: str, moment: Moment) -> list[str]:
        """Return the nodes that had the address.

        Of a node that is not known its pods witness, for all times; one whose node they do not tell, for the name `""`.
        """
        uids, witnesses = self._nodes_at.get(address, ()), self._witnesses.get(address, ())
        if not uids and not witnesses:
            return []
        nodes = [self._nodes[uid] for uid in uids]
        had = {each.name for each in nodes if moment.near(each.from_at, each.to_at, self._tolerance)}
        return sorted(had | (set(witnesses) - {each.name for each in nodes}))

    def side(self, address: str, moment: Moment) -> Side:
        """Tell on which side of the cluster's border an address lay that nobody is known to have had.

        `perhaps`: a private address outside of all known ranges; whoever has it may not have been heard of yet. The
        range of a node that is gone still counts, until the node is forgotten.
        """
        if any(self._has_begun(ranges.since(address), moment) for ranges in (self._pods, self._services)):
            return "inside"
        parsed = ip_address(address)
        if not any(parsed.version == network.version and parsed in network for network in _PRIVATE):
            return "outside"
        unknown = not self._has_begun(self._pods.first_since(parsed.version), moment)
        # Where not all Services may be read and no range is configured, any private address may be a cluster IP.
        unknown |= self.services_unseen and self._services.first_since(parsed.version) is None
        return "inside" if unknown else "perhaps"

    def expire(self, before: int) -> None:
        """Drop the nodes that ended before a time."""
        for record in [each for each in self._nodes.values() if each.to_at is not None and each.to_at < before]:
            self._drop(record)
            del self._nodes[record.uid]

    def _has_begun(self, since: int | None, moment: Moment) -> bool:
        return since is not None and moment.near(since, None, self._tolerance)

    def _drop(self, record: NodeRecord) -> None:
        self._pods.add(record.pod_cidrs, since=record.from_at, count=-1)
        for address in record.addresses:
            uids = self._nodes_at[address]
            uids.discard(record.uid)
            if not uids:
                del self._nodes_at[address]
