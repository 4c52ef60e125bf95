"""The Services of one cluster and what stands behind them. Pure.

In: `ServiceRecord`s and `EndpointSliceRecord`s. Out: the Service of an address, of a node port or of a name at a time,
and its endpoints at that time. Rules R6 and R10 of `docs/identity.md`. Memory: equal ports are held once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from sys import intern
from typing import TypeVar

from msgspec.structs import replace

from callgraph.records import Endpoint, EndpointSliceRecord, ServicePort, ServiceRecord, Transport
from stream_processor.moment import Moment
from stream_processor.small_sets import SmallSets

API_SERVER = ("default", "kubernetes")
DNS_PORT = 53

_Key = tuple[str, object]
R = TypeVar("R", ServiceRecord, EndpointSliceRecord)


class ServiceIndex:
    """Services and EndpointSlices of one cluster; ended ones stay until `expire`."""

    def __init__(self, *, tolerance: int, control_plane_prefix: int) -> None:
        self._tolerance = tolerance
        self._prefix = control_plane_prefix
        self._services: dict[str, ServiceRecord] = {}
        self._slices: dict[str, EndpointSliceRecord] = {}
        self._found: SmallSets[_Key] = SmallSets()
        self._slices_of: SmallSets[tuple[str, str | None]] = SmallSets()
        self._ports: dict[tuple[ServicePort, ...], tuple[ServicePort, ...]] = {}

    def put_service(self, record: ServiceRecord) -> bool:
        """Replace the Service of this UID; tell whether that changed anything."""
        record = self._compact(record)
        before = self._services.get(record.uid)
        if before == record:
            return False
        if before is not None:
            self._forget(before)
        self._services[record.uid] = record
        for key in _keys(record):
            self._found.add(key, record.uid)
        return True

    def put_slice(self, record: EndpointSliceRecord) -> bool:
        """Replace the EndpointSlice of this UID; tell whether that changed anything."""
        record = self._compact(record)
        before = self._slices.get(record.uid)
        if before == record:
            return False
        if before is not None:
            self._forget_slice(before)
        self._slices[record.uid] = record
        self._slices_of.add((record.namespace, record.service), record.uid)
        return True

    def named(self, namespace: str, name: str, moment: Moment) -> ServiceRecord | None:
        """Find a Service by name; a re-created one is found by time."""
        alive = self._alive(("name", (namespace, name)), moment)
        return max(alive, key=lambda service: (service.from_at, service.uid), default=None)

    def of_address(self, address: str, moment: Moment) -> list[ServiceRecord]:
        """Find the Services that have the address as a cluster IP."""
        return self._alive(("cluster", address), moment)

    def of_external_address(self, address: str, moment: Moment) -> list[ServiceRecord]:
        """Find the Services that have the address as a load balancer's or as an external IP."""
        return self._alive(("external", address), moment)

    def of_node_port(self, port: int, transport: Transport, moment: Moment) -> list[ServiceRecord]:
        """Find the Services that listen on every node at this port."""
        return self._alive(("node_port", (port, transport)), moment)

    def of_port(self, port: int, moment: Moment) -> list[ServiceRecord]:
        """Find the Services of a well-known port: 53 is the only one that is looked for."""
        return self._alive(("port", port), moment)

    def slices(self, service: ServiceRecord) -> list[EndpointSliceRecord]:
        """Return the slices of a Service in a fixed order, ended ones included."""
        uids = self._slices_of.get((service.namespace, service.name))
        return [self._slices[uid] for uid in sorted(uids)]

    def endpoints(self, slices: Iterable[EndpointSliceRecord], moment: Moment) -> Iterator[Endpoint]:
        """Yield the endpoints, ready or not, that were listed at the time."""
        for each in slices:
            if not moment.near(each.from_at, each.to_at, self._tolerance):
                continue
            for endpoint in each.endpoints:
                if moment.near(endpoint.from_at, endpoint.to_at, self._tolerance):
                    yield endpoint

    def is_api_server(self, address: str, port: int | None, moment: Moment) -> bool:
        """Tell whether an address and port are an endpoint of default/kubernetes; without a port any will do."""
        for uid in self._slices_of.get(API_SERVER):
            record = self._slices[uid]
            ports = {each.port for each in record.ports}
            if port is not None and ports and port not in ports:
                continue
            for endpoint in self.endpoints([record], moment):
                if any(self._same_plane(address, each) for each in endpoint.addresses):
                    return True
        return False

    def expire(self, before: int) -> None:
        """Drop what ended before a time."""
        services = [each for each in self._services.values() if each.to_at is not None and each.to_at < before]
        slices = [each for each in self._slices.values() if each.to_at is not None and each.to_at < before]
        for service in services:
            self._forget(service)
            del self._services[service.uid]
        for record in slices:
            self._forget_slice(record)
            del self._slices[record.uid]
        if services or slices:
            self._ports.clear()  # else it would keep what only they had

    def _compact(self, record: R) -> R:
        return replace(
            record,
            cluster=intern(record.cluster),
            namespace=intern(record.namespace),
            ports=self._ports.setdefault(record.ports, record.ports),
        )

    def _same_plane(self, address: str, endpoint: str) -> bool:
        if address == endpoint or self._prefix == 32 or ":" in endpoint:
            return address == endpoint
        return ip_address(address) in ip_network(f"{endpoint}/{self._prefix}", strict=False)

    def _alive(self, key: _Key, moment: Moment) -> list[ServiceRecord]:
        found = [self._services[uid] for uid in sorted(self._found.get(key))]
        return [each for each in found if moment.near(each.from_at, each.to_at, self._tolerance)]

    def _forget(self, record: ServiceRecord) -> None:
        for key in _keys(record):
            self._found.discard(key, record.uid)

    def _forget_slice(self, record: EndpointSliceRecord) -> None:
        self._slices_of.discard((record.namespace, record.service), record.uid)


def _keys(record: ServiceRecord) -> set[_Key]:
    keys: set[_Key] = {("name", (record.namespace, record.name))}
    keys |= {("cluster", address) for address in record.addresses}
    keys |= {("external", address) for address in record.external_addresses}
    keys |= {("port", port.port) for port in record.ports if port.port == DNS_PORT}
    keys |= {("node_port", (port.node_port, port.transport)) for port in record.ports if port.node_port}
    return keys
