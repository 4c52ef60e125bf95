"""The pods of one cluster, by UID and by address in event time. Pure.

In: `PodRecord`s, each replacing the one of the same UID. Out: who held an address, with the cuts of R2.6. Memory: equal
labels, ports and owners are held once, so that a pod costs about 1 KB (`python -m benchmarks.resolve`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any, NamedTuple

import msgspec

from callgraph.records import PodRecord
from stream_processor.small_sets import SmallSets


class Holding(NamedTuple):
    """One address held by one pod during `[from_at, to_at)`; `sure_until`: its end went unseen some time after that."""

    pod: PodRecord
    from_at: int
    to_at: int | None
    firm: bool
    sure_until: int | None


class PodIndex:
    """Pods of one cluster; ended ones stay until `expire`."""

    def __init__(self) -> None:
        self._pods: dict[str, PodRecord] = {}
        self._static: dict[str, str] = {}
        self._by_address: SmallSets[str] = SmallSets()
        self._by_namespace: dict[str, set[str]] = {}
        self._with_host_ports: dict[str, set[str]] = {}
        self._shared: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[PodRecord]:
        return iter(self._pods.values())

    def put(self, record: PodRecord) -> tuple[PodRecord | None, PodRecord]:
        """Replace the pod of this UID; return what stood before and what stands now."""
        pod = self._compact(record)
        before = self._pods.get(pod.uid)
        if before is not None:
            if before == pod:
                return before, before
            self._unlink(before)
        self._pods[pod.uid] = pod
        self._link(pod)
        return before, pod

    def get(self, uid: str) -> PodRecord | None:
        """Find a pod by its UID, or by what the kubelet calls a static pod."""
        return self._pods.get(uid) or self._pods.get(self._static.get(uid, ""))

    def in_namespace(self, namespace: str) -> Iterator[PodRecord]:
        """Yield the pods of a namespace, in the order of their UIDs."""
        for uid in sorted(self._by_namespace.get(namespace, ())):
            yield self._pods[uid]

    def with_host_ports(self, node: str) -> Iterator[PodRecord]:
        """Yield the pods that may listen on a node's own addresses, in the order of their UIDs."""
        for uid in sorted(self._with_host_ports.get(node, ())):
            yield self._pods[uid]

    def holdings(self, address: str) -> list[Holding]:
        """Return everyone who ever held the address, oldest first, each cut by the newer ones (R2.6)."""
        pods = [self._pods[uid] for uid in self._by_address.get(address)]
        found = [
            Holding(pod, each.from_at, each.to_at, each.firm, pod.ended_after if each.to_at == pod.ended_at else None)
            for pod in pods
            for each in pod.addresses
            if each.address == address
        ]
        if len(found) == 1:
            return found
        found.sort(key=lambda holding: (holding.from_at, holding.pod.uid))
        return [_cut(holding, found[index + 1 :]) for index, holding in enumerate(found)]

    def expire(self, before: int) -> list[PodRecord]:
        """Drop the pods that ended before a time; return them."""
        old = [pod for pod in self._pods.values() if pod.ended_at is not None and pod.ended_at < before]
        for pod in old:
            self._unlink(pod)
            del self._pods[pod.uid]
        if old:
            self._shared.clear()  # else it would keep what only they had; equal parts are shared again as they come
        return old

    def _link(self, pod: PodRecord) -> None:
        for address in {each.address for each in pod.addresses}:
            self._by_address.add(address, pod.uid)
        self._by_namespace.setdefault(pod.namespace, set()).add(pod.uid)
        if pod.static_uid:
            self._static[pod.static_uid] = pod.uid
        if pod.node and _has_host_ports(pod):
            self._with_host_ports.setdefault(pod.node, set()).add(pod.uid)

    def _unlink(self, pod: PodRecord) -> None:
        for address in {each.address for each in pod.addresses}:
            self._by_address.discard(address, pod.uid)
        _discard(self._by_namespace, pod.namespace, pod.uid)
        if pod.static_uid and self._static.get(pod.static_uid) == pod.uid:
            del self._static[pod.static_uid]
        if pod.node:
            _discard(self._with_host_ports, pod.node, pod.uid)

    def _compact(self, record: PodRecord) -> PodRecord:
        return msgspec.structs.replace(
            record,
            cluster=intern(record.cluster),
            namespace=intern(record.namespace),
            node=intern(record.node) if record.node else None,
            host_addresses=self._share(record.host_addresses),
            owner=self._share(record.owner),
            ports=self._share(record.ports),
            labels=self._share_labels(record.labels),
            service_account=None,
        )

    def _share(self, value: Any) -> Any:
        return self._shared.setdefault(value, value)

    def _share_labels(self, labels: dict[str, str]) -> dict[str, str]:
        shared: dict[str, str] = self._shared.setdefault(("labels", *labels, *labels.values()), labels)
        return shared


def _cut(holding: Holding, newer: Iterable[Holding]) -> Holding:
    """R2.6: a node gives an address to one pod at a time; across nodes only a pod on its way out gives way."""
    to_at = holding.to_at
    for each in newer:
        same_node = each.pod.node is not None and each.pod.node == holding.pod.node
        if each.firm and each.from_at > holding.from_at and (same_node or holding.pod.terminating):
            to_at = each.from_at if to_at is None else min(to_at, each.from_at)
    return holding._replace(to_at=to_at)


def _has_host_ports(pod: PodRecord) -> bool:
    return pod.host_network or any(port.host_port for port in pod.ports)


def _discard(sets: dict[str, set[str]], key: str, value: str) -> None:
    members = sets.get(key)
    if members is not None:
        members.discard(value)
        if not members:
            del sets[key]
