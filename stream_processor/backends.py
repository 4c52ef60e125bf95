"""The workloads behind a Service at a moment. Pure.

In: a Service with its EndpointSlices. Out: the workloads of its pods, and the port that they listen on. Rule R6.1 of
`docs/identity.md`. Source: EndpointSlice API discovery.k8s.io/v1; Service.spec.ports.targetPort.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from callgraph.records import EndpointSliceRecord, PodRecord, ServicePort, ServiceRecord, Workload
from stream_processor.client_end import is_alive, owner_at
from stream_processor.inventory import ClusterInventory
from stream_processor.moment import Moment, token


class Backends(NamedTuple):
    """What stands behind a Service; `outside`: an endpoint that is no pod is among it."""

    workloads: tuple[Workload, ...]
    pods: tuple[PodRecord, ...]
    outside: bool


def find_backends(
    inventory: ClusterInventory, service: ServiceRecord, slices: list[EndpointSliceRecord], moment: Moment
) -> Backends:
    """Return the distinct workloads of a Service's pods, in a fixed order.

    The slices decide, ready or not; a Service without any falls back to its selector.
    """
    moment.looked_at.add(token("namespace", service.namespace))
    outside = False
    found: dict[str, PodRecord] = {}
    for endpoint in inventory.services.endpoints(slices, moment):
        if endpoint.target_kind == "Pod" and endpoint.target_uid:
            pod = inventory.pods.get(endpoint.target_uid)
        else:
            owners = [owner_at(inventory, address, moment) for address in endpoint.addresses]
            pod = next((owner.pod for owner in owners if owner is not None and owner.pod is not None), None)
            outside |= pod is None
        if pod is not None:
            found[pod.uid] = pod
    if not slices:
        found = {pod.uid: pod for pod in _selected(inventory, service)}
    alive = [pod for pod in found.values() if is_alive(pod, moment, inventory.tolerance)]
    # Slices that were first seen after the fact list only those who came later; they stand for those before them.
    pods = tuple(alive or found.values())
    workloads = sorted({inventory.workload(pod) for pod in pods}, key=lambda each: (each.kind, each.name))
    return Backends(tuple(workloads), pods, outside)


def target_port(port: ServicePort, slices: Iterable[EndpointSliceRecord], pods: Iterable[PodRecord]) -> int | None:
    """Return the port that a Service's port leads to, so that both sides of the translation are one edge (R12.1)."""
    target = port.target_port
    if target is None or target.isdecimal():
        return int(target or port.port) or port.port
    for each in (each for slice_ in slices for each in slice_.ports):
        if each.name == port.name and each.transport == port.transport:
            return each.port
    named = (each.port for pod in pods for each in pod.ports if each.name == target)
    return next(named, None)


def _selected(inventory: ClusterInventory, service: ServiceRecord) -> Iterator[PodRecord]:
    if service.selector:
        for pod in inventory.pods.in_namespace(service.namespace):
            if service.selector.items() <= pod.labels.items():
                yield pod
