"""One full and one least record of every schema, and the files that pin their bytes on the wire.

`python -m tests.golden_records` writes the files anew. A change to an existing line of them breaks readers of the
topics: fields are only ever added, with a default.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from callgraph.codec import encode
from callgraph.records import (
    AddressInterval,
    Applied,
    BatchCounters,
    Call,
    CallBatch,
    CallOrigin,
    ConnectionBatch,
    ConnectionObservation,
    ContainerPort,
    CoverageRecord,
    DeadLetter,
    DnsAnswerBatch,
    DnsObservation,
    Edge,
    Endpoint,
    EndpointSliceRecord,
    InventoryRecord,
    JobRecord,
    NodeRecord,
    Owner,
    PodRecord,
    Record,
    ReplicaSetRecord,
    ServicePort,
    ServiceRecord,
    UnresolvedRecord,
    WatermarkRecord,
    Workload,
)

FOLDER = Path(__file__).parent / "golden" / "records"

_AT = 1_767_225_600_000_000_000
_COUNTERS = BatchCounters(
    received=10, published=1, suppressed=7, dropped={"malformed_name": 1, "overflow": 1}, kernel_dropped=3
)
_FRONTEND = Workload(cluster="prod", namespace="shop", kind="Deployment", name="frontend")
_CART = Workload(cluster="prod", namespace="shop", kind="StatefulSet", name="cart")
_SERVICE_PORT = ServicePort(port=80, transport="udp", name="http", node_port=30080, target_port="web")
_OWNER = Owner(kind="ReplicaSet", name="frontend-5d4f", uid="rs-1")

FULL: dict[str, Record] = {
    "dns-answers.v1": DnsAnswerBatch(
        cluster="prod",
        node="node-a",
        boot_id="b0",
        sequence=4,
        sent_at=_AT + 5,
        observations=(
            DnsObservation(
                observed_at=_AT,
                network_transport="udp",
                client_address="10.0.1.5",
                server_address="10.96.0.10",
                dns_question_name="cart.shop.svc.cluster.local",
                dns_question_type="A",
                addresses=("10.0.2.7", "fd00::7"),
                cnames=("cart.example.org",),
                targets=("cart-0.shop.svc.cluster.local",),
                ttl_seconds=30,
                count=3,
            ),
        ),
        counters=_COUNTERS,
    ),
    "connections.v1": ConnectionBatch(
        cluster="prod",
        node="node-a",
        boot_id="b0",
        sequence=4,
        sent_at=_AT + 5,
        observations=(
            ConnectionObservation(
                observed_at=_AT,
                network_transport="tcp",
                client_address="10.0.1.5",
                server_address="10.0.2.7",
                server_port=6379,
                evidence="socket",
                client_port=40_000,
                client_side="inferred",
                pod_uid="pod-1",
                dns_question_name="cart.shop.svc.cluster.local",
                dns_observed_at=_AT - 7,
                cnames=("cart.example.org",),
                count=2,
            ),
        ),
        counters=_COUNTERS,
    ),
    "inventory.v1-pod": InventoryRecord(
        object=PodRecord(
            cluster="prod",
            namespace="shop",
            name="frontend-5d4f-x1",
            uid="pod-1",
            static_uid="file-1",
            node="node-a",
            addresses=(AddressInterval(address="10.0.1.5", from_at=_AT, to_at=_AT + 9, firm=False),),
            host_network=True,
            host_addresses=("192.168.0.4",),
            created_at=_AT - 1,
            terminating=True,
            ended_at=_AT + 9,
            ended_after=_AT + 8,
            owner=_OWNER,
            labels={"app": "frontend"},
            overrides={"intents.otterize.com/workload-name": "front"},
            service_account="frontend",
            ports=(ContainerPort(port=8080, transport="udp", host_port=80, name="web"),),
        )
    ),
    "inventory.v1-service": InventoryRecord(
        object=ServiceRecord(
            cluster="prod",
            namespace="shop",
            name="cart",
            uid="svc-1",
            type="LoadBalancer",
            addresses=("10.96.3.4", "fd00:96::4"),
            external_addresses=("203.0.113.9",),
            external_name="cart.example.org",
            selector={"app": "cart"},
            ports=(_SERVICE_PORT,),
            from_at=_AT,
            to_at=_AT + 9,
        )
    ),
    "inventory.v1-endpointslice": InventoryRecord(
        object=EndpointSliceRecord(
            cluster="prod",
            namespace="shop",
            name="cart-abc",
            uid="eps-1",
            service="cart",
            endpoints=(
                Endpoint(
                    addresses=("10.0.2.7",),
                    target_kind="Pod",
                    target_namespace="shop",
                    target_name="cart-0",
                    target_uid="pod-2",
                    from_at=_AT,
                    to_at=_AT + 9,
                ),
            ),
            ports=(_SERVICE_PORT,),
            from_at=_AT,
            to_at=_AT + 9,
        )
    ),
    "inventory.v1-node": InventoryRecord(
        object=NodeRecord(
            cluster="prod",
            name="node-a",
            uid="node-1",
            addresses=("192.168.0.4",),
            pod_cidrs=("10.0.1.0/24",),
            from_at=_AT,
            to_at=_AT + 9,
        )
    ),
    "inventory.v1-replicaset": InventoryRecord(
        object=ReplicaSetRecord(
            cluster="prod",
            namespace="shop",
            name="frontend-5d4f",
            uid="rs-1",
            owner=Owner(kind="Deployment", name="frontend", uid="d-1"),
            labels={"pod-template-hash": "5d4f"},
            to_at=_AT + 9,
        )
    ),
    "inventory.v1-job": InventoryRecord(
        object=JobRecord(
            cluster="prod",
            namespace="shop",
            name="report-29",
            uid="job-1",
            owner=Owner(kind="CronJob", name="report", uid="cj-1"),
            created_at=_AT,
            to_at=_AT + 9,
        )
    ),
    "inventory.v1-watermark": InventoryRecord(
        object=WatermarkRecord(cluster="prod", at=2**63 - 1, denied=("jobs",), namespaces=("shop",), source="file")
    ),
    "calls.v1": CallBatch(
        calls=(
            Call(
                client=_FRONTEND,
                server=_CART,
                evidence=("dns", "syn"),
                first_seen=_AT,
                last_seen=_AT + 5,
                origin=CallOrigin(
                    topic="whocalls.dns-answers", partition=3, offset=41, indexes=(0, 2), counts=(1, 3), floor=40
                ),
                server_port=6379,
                network_transport="tcp",
                dns_names=("cart.shop.svc.cluster.local",),
                services=("shop/cart",),
                nodes=("node-a",),
            ),
        )
    ),
    "call-graph.v1": Edge(
        client=_FRONTEND,
        server=_CART,
        server_port=6379,
        network_transport="tcp",
        evidence=("dns", "syn"),
        dns_names=("cart.shop.svc.cluster.local",),
        services=("shop/cart",),
        nodes=("node-a",),
        first_seen=_AT,
        last_seen=_AT + 5,
        observations=4,
        exemplars=("whocalls.dns-answers/3/41",),
        applied={"whocalls.dns-answers/3": Applied(floor=40, offsets={"41": "5"})},
    ),
    "coverage.v1": CoverageRecord(
        cluster="prod",
        node="node-a",
        from_at=_AT,
        to_at=_AT + 60_000_000_000,
        batches=13,
        lost_batches=1,
        received=900,
        dropped=4,
        kernel_dropped=3,
        observations=120,
        unresolved={"unknown_pod_address": 2},
    ),
    "unresolved.v1": UnresolvedRecord(
        cluster="prod",
        node="node-a",
        reason="unknown_pod_address",
        side="server",
        address="10.0.2.99",
        observed_at=_AT,
        dns_question_name="cart.shop.svc.cluster.local",
        server_port=6379,
        count=2,
    ),
    "dead-letters.v1": DeadLetter(
        reason="malformed",
        detail="invalid character (byte 0)",
        topic="whocalls.dns-answers",
        partition=3,
        offset=41,
        failed_at=_AT,
        key=b'["prod","node-a"]',
        value=b"\x00\xff",
    ),
}
"""Every field set to what is not its default."""

LEAST: dict[str, Record] = {
    "dns-answers.v1-least": DnsAnswerBatch(cluster="prod", node="node-a", boot_id="b0", sequence=0, sent_at=_AT),
    "connections.v1-least": ConnectionBatch(cluster="prod", node="node-a", boot_id="b0", sequence=0, sent_at=_AT),
    "inventory.v1-least": InventoryRecord(
        object=PodRecord(cluster="prod", namespace="shop", name="frontend-5d4f-x1", uid="pod-1")
    ),
    "calls.v1-least": CallBatch(),
    "call-graph.v1-least": Edge(client=_FRONTEND, server=_CART),
    "coverage.v1-least": CoverageRecord(cluster="prod", node="node-a", from_at=_AT, to_at=_AT),
    "unresolved.v1-least": UnresolvedRecord(
        cluster="prod", node="node-a", reason="unknown_pod_address", side="server", address="10.0.2.99", observed_at=_AT
    ),
    "dead-letters.v1-least": DeadLetter(
        reason="malformed", detail="", topic="whocalls.dns-answers", partition=3, offset=41, failed_at=_AT
    ),
}
"""Only what has no default."""


def golden_text(record: Record) -> str:
    """Write a record as its golden file shows it: the bytes on the wire, with line breaks."""
    return msgspec.json.format(encode(record), indent=2).decode() + "\n"


def golden_file(name: str) -> Path:
    """Return the path of a golden file."""
    return FOLDER / f"{name}.json"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, record in (FULL | LEAST).items():
        golden_file(name).write_text(golden_text(record), encoding="utf-8")
