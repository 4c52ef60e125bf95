"""Kubernetes objects, cut down at once to what attribution needs, with their intervals per UID. Pure.

In: decoded objects with the operation and the time that they arrived. Out: records of `callgraph.records`, or None
where nothing that matters changed. Kept per UID: the last record, encoded (about 0.7 KB a pod), so that a changed
address (R1.3), a terminal phase (R2.3), a deletion (R2.4) and a relist (R2.5) give the whole interval each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, cast

import msgspec

from callgraph.records import (
    ContainerPort,
    Endpoint,
    EndpointSliceRecord,
    JobRecord,
    KubeObject,
    NodeRecord,
    Owner,
    PodRecord,
    ReplicaSetRecord,
    ServicePort,
    ServiceRecord,
    Transport,
)
from stream_processor.intervals import (
    address_intervals,
    canonical_addresses,
    ended_at,
    host_addresses,
    nanoseconds,
)
from stream_processor.kube_types import (
    KIND_OF,
    ContainerPortJson,
    EndpointSliceJson,
    JobJson,
    KubeJson,
    KubeKind,
    MetadataJson,
    NodeJson,
    PodJson,
    ReplicaSetJson,
    ServiceJson,
    decode_object,
)
from stream_processor.settings import AttributionSettings

Operation = Literal["ADDED", "MODIFIED", "DELETED"]

STATIC_POD_ANNOTATION = "kubernetes.io/config.hash"
TEMPLATE_HASH_LABELS = ("pod-template-hash", "rollouts-pod-template-hash")
_SERVICE_LABEL = "kubernetes.io/service-name"
_SECOND = 1_000_000_000
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[KubeObject] = msgspec.msgpack.Decoder(KubeObject)
_RECORD_KINDS: dict[type[KubeObject], KubeKind] = {
    PodRecord: "Pod",
    ServiceRecord: "Service",
    EndpointSliceRecord: "EndpointSlice",
    NodeRecord: "Node",
    ReplicaSetRecord: "ReplicaSet",
    JobRecord: "Job",
}


class Projector:
    """What one cluster's API server has said, per UID.

    `apply` takes watch events, `relist` a whole list; `close_missing` is the second half of a relist for those who
    stream the first. `restore` feeds back records of an earlier run, so that what vanished in between can be closed.
    """

    def __init__(self, cluster: str, settings: AttributionSettings) -> None:
        self._cluster = cluster
        self._annotations = settings.override_annotations
        self._remembered = int(settings.remembered_seconds * _SECOND)
        self._left_kept = int(settings.tombstone_seconds * _SECOND)
        self._known: dict[tuple[KubeKind, str], dict[str, bytes]] = {}
        self._deleted: dict[tuple[KubeKind, str], int] = {}
        self._promised: int | None = None

    def apply(self, op: Operation, obj: KubeJson | bytes, arrived_at: int) -> KubeObject | None:
        """Take one watch event; None where the record stays as it was. Raises msgspec.DecodeError for bad bytes."""
        decoded = decode_object(obj) if isinstance(obj, bytes) else obj
        if decoded is None:
            return None
        kind, uid = KIND_OF[type(decoded)], decoded.metadata.uid
        if (kind, uid) in self._deleted:
            return None  # a UID never comes back: this is an old event, seen again
        group = self._known.setdefault((kind, decoded.metadata.namespace), {})
        before = _DECODER.decode(group[uid]) if uid in group else None
        record = self._project(decoded, before, arrived_at=arrived_at, deleted=op == "DELETED")
        encoded = _ENCODER.encode(record)
        if op == "DELETED":
            changed = group.pop(uid, None) != encoded
            self._deleted[kind, uid] = arrived_at
        else:
            changed = group.get(uid) != encoded
            group[uid] = encoded
        return record if changed else None

    def relist(
        self, kind: KubeKind, objects: Iterable[KubeJson], arrived_at: int, *, namespace: str | None = None
    ) -> list[KubeObject]:
        """Take a whole list: what is in it replaces what was known, what is not in it is over (R2.5).

        `namespace`: the list covered only this one.
        """
        records: list[KubeObject] = []
        present: set[str] = set()
        for obj in objects:
            present.add(obj.metadata.uid)
            record = self.apply("MODIFIED", obj, arrived_at)
            if record is not None:
                records.append(record)
        return records + self.close_missing(kind, present, arrived_at, namespace=namespace)

    def close_missing(
        self, kind: KubeKind, present: set[str], arrived_at: int, *, namespace: str | None = None
    ) -> list[KubeObject]:
        """Close every known object of the kind whose UID is not among those present.

        It opens again when a later list shows it: a list served from a lagging cache may lack the newest objects.
        """
        closed: list[KubeObject] = []
        for group in self._groups(kind, namespace):
            for uid in group.keys() - present:
                before = _DECODER.decode(group[uid])
                after = close(before, arrived_at, seen_until=self._promised)
                if after != before:
                    group[uid] = _ENCODER.encode(after)
                    closed.append(after)
        return sorted(closed, key=lambda record: record.uid)

    def promise(self, at: int) -> None:
        """Note a watermark: everything up to it was applied, so what then goes missing was there until then."""
        self._promised = at

    def restore(self, record: KubeObject) -> None:
        """Take back a record that an earlier run published."""
        kind = _RECORD_KINDS[type(record)]
        namespace = "" if isinstance(record, NodeRecord) else record.namespace
        self._known.setdefault((kind, namespace), {})[record.uid] = _ENCODER.encode(record)

    def expire(self, now: int) -> list[tuple[KubeKind, str]]:
        """Forget what ended longer ago than `remembered_seconds`; name it, so that the topic can forget it too."""
        limit = now - self._remembered
        old = [key for key, at in self._deleted.items() if at < limit]
        for key in old:
            del self._deleted[key]
        return old

    def forget(self, kind: KubeKind, uid: str) -> None:
        """Forget one object, as if it had never been seen."""
        for group in self._groups(kind, None):
            group.pop(uid, None)

    def counts(self) -> dict[KubeKind, int]:
        """Count the objects known, by kind."""
        counts: dict[KubeKind, int] = {}
        for (kind, _), group in self._known.items():
            counts[kind] = counts.get(kind, 0) + len(group)
        return counts

    def _groups(self, kind: KubeKind, namespace: str | None) -> Iterator[dict[str, bytes]]:
        for (each_kind, each_namespace), group in self._known.items():
            if each_kind == kind and namespace in {None, each_namespace}:
                yield group

    def _project(self, obj: KubeJson, before: KubeObject | None, *, arrived_at: int, deleted: bool) -> KubeObject:
        if isinstance(obj, PodJson):
            previous = before if isinstance(before, PodRecord) else None
            record = project_pod(obj, previous, arrived_at=arrived_at, deleted=deleted)
            return msgspec.structs.replace(record, cluster=self._cluster, overrides=self._overrides(obj.metadata))
        if isinstance(obj, EndpointSliceJson):
            earlier = before if isinstance(before, EndpointSliceRecord) else None
            slice_ = project_slice(obj, earlier, cluster=self._cluster, arrived_at=arrived_at)
            kept = tuple(each for each in slice_.endpoints if (each.to_at or arrived_at) > arrived_at - self._left_kept)
            record_: KubeObject = msgspec.structs.replace(slice_, endpoints=kept)
        elif isinstance(obj, ServiceJson):
            record_ = project_service(obj, cluster=self._cluster)
        elif isinstance(obj, NodeJson):
            record_ = project_node(obj, cluster=self._cluster)
        else:
            record_ = project_owner(obj, cluster=self._cluster)
        return close(record_, arrived_at) if deleted else record_

    def _overrides(self, metadata: MetadataJson) -> dict[str, str]:
        annotations = metadata.annotations or {}
        return {name: annotations[name] for name in self._annotations if name in annotations}


def close(record: KubeObject, at: int, *, seen_until: int | None = None) -> KubeObject:
    """Return the record ended at `at`; one that has ended stays as it is.

    `seen_until`: when the object was last known to be there, if nobody saw it end.
    """
    if not isinstance(record, PodRecord):
        return record if record.to_at is not None else cast("KubeObject", msgspec.structs.replace(record, to_at=at))
    if record.ended_at is not None:
        return record
    addresses = tuple(
        each if each.to_at is not None else msgspec.structs.replace(each, to_at=max(at, each.from_at))
        for each in record.addresses
    )
    return msgspec.structs.replace(record, ended_at=at, ended_after=seen_until, addresses=addresses)


def project_pod(pod: PodJson, previous: PodRecord | None, *, arrived_at: int, deleted: bool) -> PodRecord:
    """Cut a pod down to its record, with the intervals of every address that it had; cluster and overrides empty."""
    metadata, spec = pod.metadata, pod.spec
    was_ended = previous.ended_at if previous else None
    end = ended_at(pod, arrived_at=arrived_at, deleted=deleted, before=was_ended)
    owner = controller(metadata)
    intervals = address_intervals(
        pod,
        previous=previous.addresses if previous else (),
        was_ended_at=was_ended,
        to_at=end,
        arrived_at=arrived_at,
    )
    return PodRecord(
        cluster="",
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        node=spec.node_name or None,
        addresses=intervals,
        host_network=bool(spec.host_network),
        host_addresses=host_addresses(pod),
        created_at=_created_at(metadata),
        terminating=metadata.deletion_timestamp is not None,
        ended_at=end,
        ended_after=previous.ended_after if previous and end is not None and end == was_ended else None,
        static_uid=_static_uid(metadata, owner),
        owner=owner,
        labels=dict(sorted((metadata.labels or {}).items())),
        service_account=spec.service_account_name or None,
        ports=_pod_ports(pod),
    )


def project_service(service: ServiceJson, *, cluster: str) -> ServiceRecord:
    """Cut a Service down to its record."""
    metadata, spec = service.metadata, service.spec
    balancer = service.status.load_balancer
    ingress = [each.ip for each in (balancer.ingress or ())] if balancer else []
    return ServiceRecord(
        cluster=cluster,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        type=spec.type or "ClusterIP",
        addresses=canonical_addresses(spec.cluster_ips or [spec.cluster_ip]),
        external_addresses=canonical_addresses([*ingress, *(spec.external_ips or ())]),
        external_name=(spec.external_name or "").rstrip(".").lower() or None,
        selector=dict(sorted((spec.selector or {}).items())),
        ports=tuple(
            ServicePort(
                port=each.port,
                transport=_transport(each.protocol),
                name=each.name or None,
                node_port=each.node_port or None,
                target_port=None if each.target_port is None else str(each.target_port),
            )
            for each in spec.ports or ()
        ),
        from_at=_created_at(metadata),
    )


def project_slice(
    slice_: EndpointSliceJson, previous: EndpointSliceRecord | None, *, cluster: str, arrived_at: int
) -> EndpointSliceRecord:
    """Cut an EndpointSlice down to its record; endpoints that left stay in it, with the time of their leaving."""
    metadata = slice_.metadata
    before = {_endpoint_key(each): each for each in (previous.endpoints if previous else ()) if each.to_at is None}
    left = {_endpoint_key(each): each for each in (previous.endpoints if previous else ()) if each.to_at is not None}
    endpoints: dict[tuple[object, ...], Endpoint] = {}
    for each in slice_.endpoints or ():
        target = each.target_ref
        endpoint = Endpoint(
            addresses=canonical_addresses(each.addresses or ()),
            target_kind=target.kind if target else None,
            target_namespace=target.namespace if target else None,
            target_name=target.name if target else None,
            target_uid=target.uid if target else None,
            from_at=0 if previous is None else arrived_at,
        )
        key = _endpoint_key(endpoint)
        endpoints[key] = before.get(key) or left.get(key, endpoint)
    endpoints = {key: msgspec.structs.replace(each, to_at=None) for key, each in endpoints.items()}
    gone = [msgspec.structs.replace(each, to_at=arrived_at) for key, each in before.items() if key not in endpoints]
    old = [each for key, each in left.items() if key not in endpoints]
    return EndpointSliceRecord(
        cluster=cluster,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        service=(metadata.labels or {}).get(_SERVICE_LABEL),
        endpoints=(*endpoints.values(), *old, *gone),
        ports=tuple(
            ServicePort(port=each.port, transport=_transport(each.protocol), name=each.name or None)
            for each in slice_.ports or ()
            if each.port is not None
        ),
        from_at=_created_at(metadata),
    )


def project_node(node: NodeJson, *, cluster: str) -> NodeRecord:
    """Cut a Node down to its record."""
    return NodeRecord(
        cluster=cluster,
        name=node.metadata.name,
        uid=node.metadata.uid,
        addresses=canonical_addresses(each.address for each in node.status.addresses or ()),
        pod_cidrs=tuple(each for each in node.spec.pod_cidrs or (node.spec.pod_cidr or "",) if each),
        from_at=_created_at(node.metadata),
    )


def project_owner(obj: ReplicaSetJson | JobJson, *, cluster: str) -> ReplicaSetRecord | JobRecord:
    """Cut a ReplicaSet or a Job, or the PartialObjectMetadata of one, down to its record."""
    metadata = obj.metadata
    if isinstance(obj, JobJson):
        return JobRecord(
            cluster=cluster,
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            owner=controller(metadata),
            created_at=_created_at(metadata),
        )
    labels = metadata.labels or {}
    return ReplicaSetRecord(
        cluster=cluster,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        owner=controller(metadata),
        labels={name: labels[name] for name in TEMPLATE_HASH_LABELS if name in labels},
    )


def controller(metadata: MetadataJson) -> Owner | None:
    """Return the controlling owner (R4.1), never merely the first."""
    for each in metadata.owner_references or ():
        if each.controller:
            return Owner(kind=each.kind, name=each.name, uid=each.uid)
    return None


def _created_at(metadata: MetadataJson) -> int:
    return nanoseconds(metadata.creation_timestamp) if metadata.creation_timestamp else 0


def _static_uid(metadata: MetadataJson, owner: Owner | None) -> str | None:
    """A mirror pod's cgroup carries the config hash, not the UID that the API server gave the mirror."""
    mirrored = owner is not None and owner.kind == "Node"
    return (metadata.annotations or {}).get(STATIC_POD_ANNOTATION) if mirrored else None


def _endpoint_key(endpoint: Endpoint) -> tuple[object, ...]:
    return endpoint.addresses, endpoint.target_kind, endpoint.target_name, endpoint.target_uid


def _pod_ports(pod: PodJson) -> tuple[ContainerPort, ...]:
    containers = [*(pod.spec.containers or ()), *(pod.spec.init_containers or ())]
    return tuple(_container_port(port) for each in containers for port in each.ports or ())


def _container_port(port: ContainerPortJson) -> ContainerPort:
    return ContainerPort(
        port=port.container_port,
        transport=_transport(port.protocol),
        host_port=port.host_port or None,
        name=port.name or None,
    )


def _transport(protocol: str | None) -> Transport:
    text = (protocol or "TCP").lower()
    return cast("Transport", text) if text in {"udp", "sctp"} else "tcp"
