"""Every record that crosses Kafka, as frozen structs. Pure.

`schema` names the record and its version; fields are only ever added, with a default. Times are integers: nanoseconds
since the Unix epoch, on the clock of whoever observed. Addresses are text in canonical form (`callgraph.addresses`).
Names follow OpenTelemetry and ECS, with underscores. `docs/records.md` is generated from this module.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Transport = Literal["udp", "tcp", "sctp"]
Evidence = Literal["dns", "socket", "syn"]


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all records: immutable, named fields, defaults left out on the wire."""


# -- What an agent saw ------------------------------------------------------------------------------------------------


class DnsObservation(Record, frozen=True, kw_only=True, gc=False):
    """One question of one client with the addresses that a resolver answered; repeats are counted, not repeated."""

    observed_at: Annotated[int, Meta(description="When the answer was first seen: nanoseconds, capture clock.")]
    network_transport: Annotated[Transport, Meta(description="What carried the answer.")]
    client_address: Annotated[str, Meta(description="Who asked: the destination of the answer packet.")]
    server_address: Annotated[str, Meta(description="The resolver, as seen at the first tap (before or after NAT).")]
    dns_question_name: Annotated[str, Meta(description="Lower case, no trailing dot, odd bytes as \\DDD (RFC 4343).")]
    dns_question_type: Annotated[str, Meta(description="Mnemonic (A, AAAA, SRV, HTTPS), else TYPE and the number.")]
    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="A and AAAA data at the end of the question's own CNAME chain, address hints of HTTPS; sorted."
        ),
    ] = ()
    cnames: Annotated[tuple[str, ...], Meta(description="The CNAME chain from the question on, in order.")] = ()
    targets: Annotated[tuple[str, ...], Meta(description="Target names of SRV, HTTPS and SVCB answers; sorted.")] = ()
    ttl_seconds: Annotated[int, Meta(description="Smallest TTL among the records used.")] = 0
    count: Annotated[int, Meta(description="Answers that this observation stands for.", ge=1)] = 1


class ConnectionObservation(Record, frozen=True, kw_only=True, gc=False):
    """One connection, or all alike within a window, seen as a socket or as the packet that opened it."""

    observed_at: Annotated[int, Meta(description="When it was first seen: nanoseconds, capture clock.")]
    network_transport: Annotated[Transport, Meta(description="The transport of the connection.")]
    client_address: Annotated[str, Meta(description="Who opened the connection.")]
    server_address: Annotated[str, Meta(description="Who accepted it, before or after NAT, as seen at the tap.")]
    server_port: Annotated[int, Meta(description="The port that the connection was made to.", ge=0, le=65535)]
    evidence: Annotated[Literal["socket", "syn"], Meta(description="How it was learnt.")]
    client_port: Annotated[int | None, Meta(description="Only where it helps attribution.")] = None
    client_side: Annotated[
        Literal["known", "inferred", "unknown"],
        Meta(description="How sure the orientation is: known (listener or SYN), inferred from port ranges, unknown."),
    ] = "known"
    pod_uid: Annotated[str | None, Meta(description="The client's pod, where the agent could tell (from cgroup).")] = (
        None
    )
    dns_question_name: Annotated[
        str | None,
        Meta(
            description="The name by which this client last learnt the server's address, where the agent saw the "
            "answer; names external servers only, the address always decides."
        ),
    ] = None
    dns_observed_at: Annotated[
        int | None, Meta(description="When that answer was seen: nanoseconds; the name holds for the pod of then.")
    ] = None
    cnames: Annotated[tuple[str, ...], Meta(description="The CNAME chain of that answer, in order.")] = ()
    count: Annotated[int, Meta(description="Connections that this observation stands for.", ge=1)] = 1


class BatchCounters(Record, frozen=True, kw_only=True):
    """What one capture source did since its last batch: received = published + suppressed + sum of dropped."""

    received: Annotated[int, Meta(description="Answers, SYNs or socket rows that reached the program.")] = 0
    published: Annotated[int, Meta(description="Of these: carried as new observations.")] = 0
    suppressed: Annotated[int, Meta(description="Of these: repeats of a known fact, counted and not sent again.")] = 0
    dropped: Annotated[
        dict[str, int],
        Meta(description="Of these: not used, by reason (malformed_…, overflow, truncated, not_for_us)."),
    ] = {}
    kernel_dropped: Annotated[int, Meta(description="Packets that the kernel could not hand over (ring full).")] = 0


class DnsAnswerBatch(Record, frozen=True, kw_only=True, tag_field="schema", tag="dns-answers.v1"):
    """DNS observations of one node."""

    cluster: str
    node: Annotated[str, Meta(description="The Kubernetes name of the node that the agent runs on.")]
    boot_id: Annotated[str, Meta(description="New at each start of the agent; with the sequence it shows loss.")]
    sequence: Annotated[int, Meta(description="Counts batches of this topic since the boot id began, from 0.", ge=0)]
    sent_at: Annotated[int, Meta(description="When the batch was closed: nanoseconds, the node's clock.")]
    observations: tuple[DnsObservation, ...] = ()
    counters: BatchCounters = BatchCounters()


class ConnectionBatch(Record, frozen=True, kw_only=True, tag_field="schema", tag="connections.v1"):
    """Connection observations of one node."""

    cluster: str
    node: Annotated[str, Meta(description="The Kubernetes name of the node that the agent runs on.")]
    boot_id: Annotated[str, Meta(description="New at each start of the agent; with the sequence it shows loss.")]
    sequence: Annotated[int, Meta(description="Counts batches of this topic since the boot id began, from 0.", ge=0)]
    sent_at: Annotated[int, Meta(description="When the batch was closed: nanoseconds, the node's clock.")]
    observations: tuple[ConnectionObservation, ...] = ()
    counters: BatchCounters = BatchCounters()


ObservationBatch = DnsAnswerBatch | ConnectionBatch


# -- Who had which address when ---------------------------------------------------------------------------------------


class Owner(Record, frozen=True, kw_only=True, gc=False):
    """A controlling owner reference (`controller: true`)."""

    kind: str
    name: str
    uid: str


class AddressInterval(Record, frozen=True, kw_only=True, gc=False):
    """One address of one pod during [from_at, to_at)."""

    address: str
    from_at: Annotated[int, Meta(description="Nanoseconds; see `firm`.")]
    to_at: Annotated[int | None, Meta(description="Nanoseconds, exclusive; absent while it lasts.")] = None
    firm: Annotated[bool, Meta(description="The start is a kubelet time (sandbox or container), not startTime.")] = True


class ContainerPort(Record, frozen=True, kw_only=True, gc=False):
    """A declared port of a pod."""

    port: int
    transport: Transport = "tcp"
    host_port: int | None = None
    name: str | None = None


class PodRecord(Record, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="Pod"):
    """A pod, with the full interval of every address that it had."""

    cluster: str
    namespace: str
    name: str
    uid: str
    node: str | None = None
    addresses: tuple[AddressInterval, ...] = ()
    host_network: bool = False
    host_addresses: tuple[str, ...] = ()
    created_at: int = 0
    terminating: Annotated[bool, Meta(description="A deletionTimestamp is set; closes nothing by itself.")] = False
    ended_at: Annotated[int | None, Meta(description="When its last container finished or it was deleted.")] = None
    ended_after: Annotated[
        int | None,
        Meta(description="Until when it was certainly there, where its end went unseen and `ended_at` is the latest."),
    ] = None
    static_uid: Annotated[
        str | None,
        Meta(description="What the kubelet calls a static pod (its config hash), where that is not the UID."),
    ] = None
    owner: Owner | None = None
    labels: dict[str, str] = {}
    overrides: Annotated[dict[str, str], Meta(description="The configured naming annotations, and no others.")] = {}
    service_account: str | None = None
    ports: tuple[ContainerPort, ...] = ()


class ServicePort(Record, frozen=True, kw_only=True, gc=False):
    """A port of a Service; `node_port` where one is allocated."""

    port: int
    transport: Transport = "tcp"
    name: str | None = None
    node_port: int | None = None
    target_port: Annotated[str | None, Meta(description="A number or a container port's name, as text.")] = None


class ServiceRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="Service"):
    """A Service."""

    cluster: str
    namespace: str
    name: str
    uid: str
    type: str = "ClusterIP"
    addresses: Annotated[tuple[str, ...], Meta(description="Cluster IPs of all families; empty when headless.")] = ()
    external_addresses: Annotated[tuple[str, ...], Meta(description="Load-balancer ingress IPs and externalIPs.")] = ()
    external_name: str | None = None
    selector: dict[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    from_at: int = 0
    to_at: int | None = None


class Endpoint(Record, frozen=True, kw_only=True, gc=False):
    """One endpoint of a slice, ready or not."""

    addresses: tuple[str, ...] = ()
    target_kind: str | None = None
    target_namespace: str | None = None
    target_name: str | None = None
    target_uid: str | None = None
    from_at: Annotated[int, Meta(description="When it was first listed; 0: with the slice.")] = 0
    to_at: Annotated[int | None, Meta(description="When it was no longer listed; kept for a while after.")] = None


class EndpointSliceRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="EndpointSlice"):
    """An EndpointSlice."""

    cluster: str
    namespace: str
    name: str
    uid: str
    service: Annotated[str | None, Meta(description="From the label kubernetes.io/service-name.")] = None
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    from_at: int = 0
    to_at: int | None = None


class NodeRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="Node"):
    """A node."""

    cluster: str
    name: str
    uid: str
    addresses: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    from_at: int = 0
    to_at: int | None = None


class ReplicaSetRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="ReplicaSet"):
    """A ReplicaSet, as metadata only: what it takes to climb from a pod to its workload."""

    cluster: str
    namespace: str
    name: str
    uid: str
    owner: Owner | None = None
    labels: Annotated[dict[str, str], Meta(description="Only the pod template hashes.")] = {}
    to_at: int | None = None


class JobRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="Job"):
    """A Job, as metadata only: what it takes to climb from a pod to its CronJob."""

    cluster: str
    namespace: str
    name: str
    uid: str
    owner: Owner | None = None
    created_at: int = 0
    to_at: int | None = None


class WatermarkRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="Watermark"):
    """A promise on the same partition: everything the API server said up to `at` stands before this record."""

    cluster: str
    at: Annotated[int, Meta(description="Nanoseconds; the largest representable integer for a fixed file of objects.")]
    denied: Annotated[tuple[str, ...], Meta(description="Resources that may not be read (403).")] = ()
    namespaces: Annotated[tuple[str, ...], Meta(description="The only namespaces that are watched; empty: all.")] = ()
    source: Annotated[str, Meta(description="watch or file.")] = "watch"


KubeObject = PodRecord | ServiceRecord | EndpointSliceRecord | NodeRecord | ReplicaSetRecord | JobRecord


class InventoryRecord(Record, frozen=True, kw_only=True, tag_field="schema", tag="inventory.v1"):
    """One Kubernetes object as attribution needs it, or the watermark. The key is cluster, kind and UID."""

    object: KubeObject | WatermarkRecord


# -- Who calls whom ---------------------------------------------------------------------------------------------------


class Workload(Record, frozen=True, kw_only=True, gc=False):
    """The top owner of a pod; or a Service, an External name or address (namespace empty)."""

    cluster: str
    namespace: str
    kind: str
    name: str


class CallOrigin(Record, frozen=True, kw_only=True, gc=False):
    """Which observations of which batch a call stands for, so that a replay is never counted twice."""

    topic: str
    partition: int
    offset: int
    indexes: Annotated[tuple[int, ...], Meta(description="Positions in the batch.")]
    counts: Annotated[tuple[int, ...], Meta(description="What each position counts for.")]
    floor: Annotated[int, Meta(description="Every offset of the partition below this one is finished for good.")]


class Call(Record, frozen=True, kw_only=True, gc=False):
    """What one batch says of one edge."""

    client: Workload
    server: Workload
    evidence: tuple[Evidence, ...]
    first_seen: int
    last_seen: int
    origin: CallOrigin
    server_port: int | None = None
    network_transport: Transport | None = None
    dns_names: tuple[str, ...] = ()
    services: Annotated[tuple[str, ...], Meta(description="Services gone through, as namespace/name.")] = ()
    nodes: Annotated[tuple[str, ...], Meta(description="Nodes that saw it.")] = ()


class CallBatch(Record, frozen=True, kw_only=True, tag_field="schema", tag="calls.v1"):
    """The calls of one batch of observations that belong to one partition of the call graph."""

    calls: tuple[Call, ...] = ()


class Applied(Record, frozen=True, kw_only=True, gc=False):
    """Which observations of one input partition an edge has counted, above the floor."""

    floor: int = 0
    offsets: Annotated[
        dict[str, str],
        Meta(description="Offset (decimal) to a bit set of batch positions (hexadecimal)."),
    ] = {}


class Edge(Record, frozen=True, kw_only=True, tag_field="schema", tag="call-graph.v1"):
    """All calls of the same client, server, port and transport: the public contract."""

    client: Workload
    server: Workload
    server_port: Annotated[int | None, Meta(description="Absent when only DNS answers speak for the edge.")] = None
    network_transport: Annotated[Transport | None, Meta(description="Absent as the port is.")] = None
    evidence: Annotated[tuple[Evidence, ...], Meta(description="Sorted set.")] = ()
    dns_names: Annotated[tuple[str, ...], Meta(description="Names that the client asked for; sorted, at most 16.")] = ()
    services: Annotated[tuple[str, ...], Meta(description="Services gone through, as namespace/name; at most 16.")] = ()
    nodes: Annotated[tuple[str, ...], Meta(description="Nodes that saw it; sorted, at most 16.")] = ()
    first_seen: Annotated[int, Meta(description="Nanoseconds.")] = 0
    last_seen: Annotated[int, Meta(description="Nanoseconds.")] = 0
    observations: Annotated[int, Meta(description="Exact, under replays too.")] = 0
    exemplars: Annotated[tuple[str, ...], Meta(description="Raw batches to look at: topic/partition/offset.")] = ()
    applied: Annotated[dict[str, Applied], Meta(description="Bookkeeping of the fold, by topic/partition.")] = {}


class UnresolvedRecord(Record, frozen=True, kw_only=True, tag_field="schema", tag="unresolved.v1"):
    """An observation that could not be attributed, with the reason; sampled."""

    cluster: str
    node: str
    reason: str
    side: Annotated[
        Literal["client", "server", "event"], Meta(description="Which end; event: neither, the whole is no call.")
    ]
    address: str
    observed_at: int
    dns_question_name: str | None = None
    server_port: int | None = None
    count: int = 1


class CoverageRecord(Record, frozen=True, kw_only=True, tag_field="schema", tag="coverage.v1"):
    """What one worker took from one node on one day (UTC); the records of a node add up."""

    cluster: str
    node: str
    from_at: Annotated[int, Meta(description="When the first of the batches was sent: nanoseconds, the node's clock.")]
    to_at: Annotated[int, Meta(description="When the last of them was sent.")]
    batches: Annotated[int, Meta(description="Batches that are finished: decided, and published.")] = 0
    lost_batches: Annotated[int, Meta(description="Batches that their sequence numbers miss.")] = 0
    received: Annotated[int, Meta(description="From the counters of the batches, as are the next two.")] = 0
    dropped: int = 0
    kernel_dropped: int = 0
    observations: int = 0
    unresolved: Annotated[dict[str, int], Meta(description="Observations not attributed, by their first reason.")] = {}


class DeadLetter(Record, frozen=True, kw_only=True, tag_field="schema", tag="dead-letters.v1"):
    """A record that could not be decoded, as it came."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    failed_at: int
    key: Annotated[bytes | None, Meta(description="Base64 in JSON; cut at 64 KiB.")] = None
    value: Annotated[bytes | None, Meta(description="Base64 in JSON; cut at 64 KiB.")] = None
