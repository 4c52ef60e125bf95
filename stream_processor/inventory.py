"""Who had which address when, in one or several clusters. Pure.

In: the records of the inventory topic in their order, watermarks included. Out: lookups at a time, per cluster. Memory
holds intervals keyed by UID; nothing is ever deleted by address. Rules R1 to R4 and R6 of `docs/identity.md`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

import msgspec

from callgraph.records import (
    EndpointSliceRecord,
    KubeObject,
    NodeRecord,
    Owner,
    PodRecord,
    ServiceRecord,
    WatermarkRecord,
    Workload,
)
from stream_processor.address_space import AddressSpace
from stream_processor.moment import token
from stream_processor.owners import workload_of
from stream_processor.pod_index import PodIndex
from stream_processor.service_index import API_SERVER, ServiceIndex
from stream_processor.settings import AttributionSettings

_SECOND = 1_000_000_000
_CHANGES_KEPT = 4096
"""Enough for the changes between two calls of `Attribution.advance`; whoever is further behind looks at everything."""


class ClusterInventory:
    """One cluster: its pods, Services, nodes and owners, each index with its own lookups.

    `version` grows with every change that can alter an answer; `changes_since` tells what the changes concerned.
    """

    def __init__(self, name: str, settings: AttributionSettings) -> None:
        self.name = name
        self.settings = settings
        self.tolerance = int(settings.tolerance_seconds * _SECOND)
        self.pods = PodIndex()
        self.services = ServiceIndex(tolerance=self.tolerance, control_plane_prefix=settings.control_plane_prefix)
        self.space = AddressSpace(settings, tolerance=self.tolerance)
        self.watermark = 0
        self.version = 0
        self._controllers: dict[str, Owner | None] = {}
        self._closed_controllers: dict[str, int] = {}
        self._owned: Counter[str] = Counter()
        self._workloads: dict[Workload, Workload] = {}
        self._changes: deque[tuple[int, frozenset[str] | None]] = deque(maxlen=_CHANGES_KEPT)

    def apply(self, record: KubeObject | WatermarkRecord) -> None:
        """Take one record."""
        if isinstance(record, WatermarkRecord):
            self._apply_watermark(record)
        elif isinstance(record, PodRecord):
            self._apply_pod(record)
        elif isinstance(record, ServiceRecord):
            if self.services.put_service(record):
                self._changed(None)
        elif isinstance(record, EndpointSliceRecord):
            self._apply_slice(record)
        elif isinstance(record, NodeRecord):
            if self.space.put_node(record):
                self._changed(None)
        else:
            self._apply_controller(record.uid, record.owner, record.to_at)

    def workload(self, pod: PodRecord) -> Workload:
        """Name the pod's workload by what is known of its owners now; equal workloads are one object."""
        workload = workload_of(pod, self._controllers, self.settings)
        return self._workloads.setdefault(workload, workload)

    def changes_since(self, version: int) -> frozenset[str] | None:
        """Return what changed since a version, as addresses and `token`s; None: anything may have."""
        if version >= self.version:
            return frozenset()
        if not self._changes or self._changes[0][0] > version + 1:
            return None
        touched: set[str] = set()
        for number, tokens in reversed(self._changes):
            if number <= version:
                break
            if tokens is None:
                return None
            touched |= tokens
        return frozenset(touched)

    def expire(self, now: int) -> None:
        """Forget what ended longer ago than `tombstone_seconds`."""
        before = now - int(self.settings.tombstone_seconds * _SECOND)
        for pod in self.pods.expire(before):
            self._witness(pod, -1)
        self.services.expire(before)
        self.space.expire(before)
        self._expire_controllers(before)
        self._workloads.clear()
        self._changed(None)

    def _compact_slice(self, record: EndpointSliceRecord) -> EndpointSliceRecord:
        """Leave out what a slice repeats of its pods, which are found by their UIDs."""
        if (record.namespace, record.service) == API_SERVER:
            return record  # found by its addresses
        endpoints = []
        for each in record.endpoints:
            pod = self.pods.get(each.target_uid) if each.target_uid else None
            if pod is not None:
                each = msgspec.structs.replace(  # noqa: PLW2901  (the same endpoint, smaller)
                    each,
                    addresses=(),
                    target_kind="Pod",
                    target_namespace=None,
                    target_name=None,
                    target_uid=pod.uid,
                )
            endpoints.append(each)
        return msgspec.structs.replace(record, endpoints=tuple(endpoints))

    def _apply_watermark(self, record: WatermarkRecord) -> None:
        self.watermark = max(self.watermark, record.at)
        resources = {text.rpartition("/")[2] for text in record.denied}
        unseen = "services" in resources or bool(record.namespaces)
        if unseen != self.space.services_unseen:
            self.space.services_unseen = unseen
            self._changed(None)

    def _apply_pod(self, record: PodRecord) -> None:
        before, pod = self.pods.put(record)
        if before is pod:
            return
        if before is not None:
            self._witness(before, -1)
        self._witness(pod, 1)
        self._changed(frozenset(_tokens(pod) | (_tokens(before) if before is not None else set())))

    def _apply_slice(self, record: EndpointSliceRecord) -> None:
        if self.services.put_slice(self._compact_slice(record)):
            api_server = (record.namespace, record.service) == API_SERVER
            self._changed(None if api_server else frozenset({token("namespace", record.namespace)}))

    def _apply_controller(self, uid: str, owner: Owner | None, to_at: int | None) -> None:
        if to_at is None:
            self._closed_controllers.pop(uid, None)
        else:
            self._closed_controllers[uid] = to_at
        if uid not in self._controllers or self._controllers[uid] != owner:
            self._controllers[uid] = owner
            if self._owned[uid]:
                self._changed(None)

    def _expire_controllers(self, before: int) -> None:
        """R4.9: an owner is remembered as long as any of its pods is."""
        for uid, to_at in list(self._closed_controllers.items()):
            if to_at < before and not self._owned[uid]:
                del self._closed_controllers[uid]
                self._controllers.pop(uid, None)

    def _witness(self, pod: PodRecord, count: int) -> None:
        self.space.witness(pod.host_addresses, pod.node or "", count)
        if pod.owner is not None:
            self._owned[pod.owner.uid] += count
            if not self._owned[pod.owner.uid]:
                del self._owned[pod.owner.uid]

    def _changed(self, tokens: frozenset[str] | None) -> None:
        self.version += 1
        self._changes.append((self.version, tokens))


def _tokens(pod: PodRecord) -> set[str]:
    tokens = {*(each.address for each in pod.addresses), *pod.host_addresses}
    tokens |= {token("namespace", pod.namespace), token("node", pod.node or ""), token("pod", pod.uid)}
    return tokens | {token("pod", pod.static_uid)} if pod.static_uid else tokens


class Inventory:
    """All clusters, told apart by the cluster that each record names."""

    def __init__(self, settings: AttributionSettings) -> None:
        self._settings = settings
        self._clusters: dict[str, ClusterInventory] = {}

    def apply(self, record: KubeObject | WatermarkRecord) -> None:
        """Take one record of the inventory topic."""
        self.cluster(record.cluster).apply(record)

    def apply_all(self, records: Iterable[KubeObject | WatermarkRecord]) -> None:
        """Take records in their order."""
        for record in records:
            self.apply(record)

    def cluster(self, name: str) -> ClusterInventory:
        """Return what is known of a cluster; of an unknown one, nothing yet."""
        found = self._clusters.get(name)
        if found is None:
            found = self._clusters[name] = ClusterInventory(name, self._settings)
        return found

    def watermark(self, cluster: str) -> int:
        """Return the time up to which everything that the API server said has been applied; 0 before the first."""
        found = self._clusters.get(cluster)
        return found.watermark if found else 0

    def expire(self, now: int) -> None:
        """Forget what ended long before `now`: the oldest event time that may still be asked for, not the clock's."""
        for each in self._clusters.values():
            each.expire(now)
