"""Kubernetes JSON as typed structs: only the fields that attribution needs, all else is skipped unread. Pure.

In: the bytes of an object, a list page or a watch line. Out: structs, or `msgspec.DecodeError` (of which
`ValidationError` is one). Environment variables, arguments, images and volumes have no field here, so they are never
decoded. Sources: Kubernetes API reference v1.36 (Pod v1, Service v1, Node v1, EndpointSlice discovery.k8s.io/v1,
ObjectMeta v1, WatchEvent v1, PartialObjectMetadata v1). Items of a list carry no kind; hence the functions by kind.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

import msgspec
from msgspec import Struct

KubeKind = Literal["Pod", "Service", "EndpointSlice", "Node", "ReplicaSet", "Job"]
KUBE_KINDS: tuple[KubeKind, ...] = get_args(KubeKind)


class Json(Struct, frozen=True, rename="camel", gc=False):
    """The base: camel case on the wire, unknown fields skipped."""


class OwnerReferenceJson(Json, frozen=True, gc=False):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class MetadataJson(Json, frozen=True, gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReferenceJson] | None = None


class ContainerPortJson(Json, frozen=True, gc=False):
    container_port: int = 0
    host_port: int | None = None
    protocol: str | None = None
    name: str | None = None


class ContainerJson(Json, frozen=True, gc=False):
    ports: list[ContainerPortJson] | None = None


class PodSpecJson(Json, frozen=True, gc=False):
    node_name: str | None = None
    host_network: bool | None = None
    service_account_name: str | None = None
    containers: list[ContainerJson] | None = None
    init_containers: list[ContainerJson] | None = None


class RunningJson(Json, frozen=True, gc=False):
    started_at: datetime | None = None


class TerminatedJson(Json, frozen=True, gc=False):
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerStateJson(Json, frozen=True, gc=False):
    running: RunningJson | None = None
    terminated: TerminatedJson | None = None


class ContainerStatusJson(Json, frozen=True, gc=False):
    state: ContainerStateJson | None = None
    last_state: ContainerStateJson | None = None


class PodConditionJson(Json, frozen=True, gc=False):
    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class AddressJson(Json, frozen=True, gc=False):
    ip: str | None = None


class PodStatusJson(Json, frozen=True, gc=False):
    phase: str = ""
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: list[AddressJson] | None = msgspec.field(default=None, name="podIPs")
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    host_ips: list[AddressJson] | None = msgspec.field(default=None, name="hostIPs")
    start_time: datetime | None = None
    conditions: list[PodConditionJson] | None = None
    container_statuses: list[ContainerStatusJson] | None = None
    init_container_statuses: list[ContainerStatusJson] | None = None
    ephemeral_container_statuses: list[ContainerStatusJson] | None = None


class PodJson(Json, frozen=True, gc=False):
    metadata: MetadataJson
    spec: PodSpecJson = PodSpecJson()
    status: PodStatusJson = PodStatusJson()


class ServicePortJson(Json, frozen=True, gc=False):
    port: int = 0
    protocol: str | None = None
    name: str | None = None
    node_port: int | None = None
    target_port: int | str | None = None


class ServiceSpecJson(Json, frozen=True, gc=False):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    external_ips: list[str] | None = msgspec.field(default=None, name="externalIPs")
    external_name: str | None = None
    selector: dict[str, str] | None = None
    ports: list[ServicePortJson] | None = None


class LoadBalancerJson(Json, frozen=True, gc=False):
    ingress: list[AddressJson] | None = None


class ServiceStatusJson(Json, frozen=True, gc=False):
    load_balancer: LoadBalancerJson | None = None


class ServiceJson(Json, frozen=True, gc=False):
    metadata: MetadataJson
    spec: ServiceSpecJson = ServiceSpecJson()
    status: ServiceStatusJson = ServiceStatusJson()


class TargetReferenceJson(Json, frozen=True, gc=False):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class EndpointJson(Json, frozen=True, gc=False):
    addresses: list[str] | None = None
    target_ref: TargetReferenceJson | None = None


class EndpointPortJson(Json, frozen=True, gc=False):
    port: int | None = None
    protocol: str | None = None
    name: str | None = None


class EndpointSliceJson(Json, frozen=True, gc=False):
    metadata: MetadataJson
    endpoints: list[EndpointJson] | None = None
    ports: list[EndpointPortJson] | None = None


class NodeSpecJson(Json, frozen=True, gc=False):
    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = msgspec.field(default=None, name="podCIDRs")


class NodeAddressJson(Json, frozen=True, gc=False):
    type: str = ""
    address: str = ""


class NodeStatusJson(Json, frozen=True, gc=False):
    addresses: list[NodeAddressJson] | None = None


class NodeJson(Json, frozen=True, gc=False):
    metadata: MetadataJson
    spec: NodeSpecJson = NodeSpecJson()
    status: NodeStatusJson = NodeStatusJson()


class ReplicaSetJson(Json, frozen=True, gc=False):
    """A ReplicaSet, or the PartialObjectMetadata of one."""

    metadata: MetadataJson


class JobJson(Json, frozen=True, gc=False):
    """A Job, or the PartialObjectMetadata of one."""

    metadata: MetadataJson


KubeJson = PodJson | ServiceJson | EndpointSliceJson | NodeJson | ReplicaSetJson | JobJson

JSON_TYPES: dict[KubeKind, type[KubeJson]] = {
    "Pod": PodJson,
    "Service": ServiceJson,
    "EndpointSlice": EndpointSliceJson,
    "Node": NodeJson,
    "ReplicaSet": ReplicaSetJson,
    "Job": JobJson,
}
KIND_OF: dict[type[KubeJson], KubeKind] = {json_type: kind for kind, json_type in JSON_TYPES.items()}


class ListMetadataJson(Json, frozen=True, gc=False):
    """Of a list page: where to watch from, and where the next page begins."""

    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class KubeListJson(Json, frozen=True, gc=False):
    """A list page whose items are not decoded yet."""

    metadata: ListMetadataJson = ListMetadataJson()
    items: list[msgspec.Raw] | None = None


class WatchEventJson(Json, frozen=True, gc=False):
    """A watch line; what `object` is depends on `type`: the object, a bookmark's metadata, or a Status (ERROR)."""

    type: str
    object: msgspec.Raw


class _KindJson(Json, frozen=True, gc=False):
    kind: str = ""


_KIND_DECODER = msgspec.json.Decoder(_KindJson)
_LIST_DECODER = msgspec.json.Decoder(KubeListJson)
_EVENT_DECODER = msgspec.json.Decoder(WatchEventJson)
_DECODERS: dict[KubeKind, msgspec.json.Decoder[KubeJson]] = {
    kind: msgspec.json.Decoder(json_type) for kind, json_type in JSON_TYPES.items()
}


def decode_kind(kind: KubeKind, raw: bytes | msgspec.Raw) -> KubeJson:
    """Decode an object of a known kind, such as an item of a list, which carries no kind itself."""
    return _DECODERS[kind].decode(raw)


def decode_object(raw: bytes | msgspec.Raw) -> KubeJson | None:
    """Decode an object by the kind that it names; None for a kind that attribution does not use."""
    kind = _KIND_DECODER.decode(raw).kind
    return decode_kind(kind, raw) if kind in KUBE_KINDS else None


def decode_list(raw: bytes) -> KubeListJson:
    """Decode a list page down to its items, which `decode_kind` takes one at a time."""
    return _LIST_DECODER.decode(raw)


def decode_event(raw: bytes) -> WatchEventJson:
    """Decode a watch line down to its object."""
    return _EVENT_DECODER.decode(raw)
