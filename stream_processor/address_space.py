"""Which addresses belong to the cluster: those of its nodes, and the ranges of pods and Services. Pure.

In: `NodeRecord`s, the node addresses that pods report, and configured ranges. Out: whose node an address is, and
whether an address that nobody is known to have lies inside. Rule R11 of `docs/identity.md`. Sources: RFC 1918, 4193,
6598.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

from callgraph.records import NodeRecord
from stream_processor.settings import AttributionSettings

Side = Literal["inside", "perhaps", "outside"]

_Network = IPv4Network | IPv6Network
_PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


class Ranges:
    """A set of networks; telling whether an address is in one costs as many look-ups as there are prefix lengths."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[int, int], Counter[int]] = {}

    def add(self, texts: Iterable[str], count: int = 1) -> None:
        """Add networks, or take them away with a count of -1; what is no network is passed over."""
        for text in texts:
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                continue
            key = (network.version, network.prefixlen)
            members = self._prefixes.setdefault(key, Counter())
            members[int(network.network_address)] += count
            if members[int(network.network_address)] <= 0:
                del members[int(network.network_address)]
            if not members:
                del self._prefixes[key]

    def has_version(self, version: int) -> bool:
        """Tell whether there is a network of this IP version."""
        return any(each == version for each, _ in self._prefixes)

    def __contains__(self, address: str) -> bool:
        parsed = ip_address(address)
        number, bits = int(parsed), parsed.max_prefixlen
        return any(
            version == parsed.version and (number >> (bits - length) << (bits - length)) in members
            for (version, length), members in self._prefixes.items()
        )


class AddressSpace:
    """The nodes of one cluster, and its ranges."""

    def __init__(self, settings: AttributionSettings) -> None:
        self._nodes: dict[str, NodeRecord] = {}
        self._node_names: dict[str, Counter[str]] = {}
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
        self._pods.add(record.pod_cidrs)
        self.count_node_addresses(record.addresses, record.name)
        return True

    def count_node_addresses(self, addresses: Iterable[str], node: str, count: int = 1) -> None:
        """Add one witness that the addresses are the node's, or take it away with a count of -1."""
        for address in addresses:
            names = self._node_names.setdefault(address, Counter())
            names[node] += count
            if names[node] <= 0:
                del names[node]
            if not names:
                del self._node_names[address]

    def node_names(self, address: str) -> list[str]:
        """Return the nodes that have the address; a pod whose node is not known witnesses for the name `""`."""
        return sorted(self._node_names.get(address, ()))

    def side(self, address: str) -> Side:
        """Tell on which side of the cluster's border an address lies that nobody is known to have.

        `perhaps`: a private address outside of all known ranges; whoever has it may not have been heard of yet.
        """
        if address in self._pods or address in self._services:
            return "inside"
        parsed = ip_address(address)
        if not any(parsed.version == network.version and parsed in network for network in _PRIVATE):
            return "outside"
        unknown = not self._pods.has_version(parsed.version)
        # Where not all Services may be read and no range is configured, any private address may be a cluster IP.
        unknown |= self.services_unseen and not self._services.has_version(parsed.version)
        return "inside" if unknown else "perhaps"

    def expire(self, before: int) -> None:
        """Drop the nodes that ended before a time."""
        for record in [each for each in self._nodes.values() if each.to_at is not None and each.to_at < before]:
            self._drop(record)
            del self._nodes[record.uid]

    def _drop(self, record: NodeRecord) -> None:
        self._pods.add(record.pod_cidrs, -1)
        self.count_node_addresses(record.addresses, record.name, -1)
