"""A small cluster for tests: objects as the API server shows them, and the inventory that they make.

Times are seconds after `BASE`; `at` turns them into nanoseconds.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from callgraph.records import ConnectionObservation, DnsObservation, WatermarkRecord
from stream_processor.inventory import Inventory
from stream_processor.kube_types import KubeJson, decode_object
from stream_processor.projection import Projector
from stream_processor.resolve import Observation, Resolution, resolve
from stream_processor.settings import AttributionSettings

Json = dict[str, Any]

SECOND = 1_000_000_000
BASE = 1_767_225_600
CLUSTER = "kind"


def at(seconds: float) -> int:
    """Return a time in nanoseconds."""
    return BASE * SECOND + round(seconds * 1000) * 1_000_000


def text(seconds: float) -> str:
    """Return a time as the API server writes it: whole seconds."""
    return datetime.fromtimestamp(BASE + int(seconds // 1), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner(kind: str, name: str, *, controller: bool = True, uid: str | None = None) -> Json:
    """Return an owner reference."""
    return {"kind": kind, "name": name, "uid": uid or f"{kind}-{name}", "controller": controller}


def pod(
    name: str,
    address: str | None,
    *,
    start: float | None = -100,
    owners: list[Json] | None = None,
    node: str | None = "node-1",
    namespace: str = "shop",
    uid: str | None = None,
    phase: str = "Running",
    state: Json | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    deleting: bool = False,
    ports: list[Json] | None = None,
    host_network: bool = False,
    host: str = "192.168.1.10",
) -> Json:
    """Return a pod whose sandbox was ready at `start`; None: nothing but its creation is known."""
    metadata: Json = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"pod-{namespace}-{name}",
        "creationTimestamp": text(-200 if start is None else start - 5),
        "labels": labels or {},
        "annotations": annotations or {},
        "ownerReferences": owners if owners is not None else [owner("StatefulSet", name.rpartition("-")[0] or name)],
    }
    if deleting:
        metadata["deletionTimestamp"] = text(1000)
    status: Json = {"phase": phase, "hostIP": host}
    if address:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    if start is not None:
        status["conditions"] = [
            {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": text(start)}
        ]
        status["containerStatuses"] = [{"state": state or {"running": {"startedAt": text(start)}}}]
    spec: Json = {"nodeName": node, "hostNetwork": host_network, "containers": [{"ports": ports or []}]}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def terminated(start: float, finished: float) -> Json:
    """Return the state of a container that has ended."""
    return {"terminated": {"startedAt": text(start), "finishedAt": text(finished)}}


def service(name: str, address: str | None, *, namespace: str = "shop", **spec: Any) -> Json:
    """Return a Service; without an address it is headless."""
    ports = spec.pop("ports", [{"port": 80, "targetPort": 8080}])
    balancer = spec.pop("balancer", [])
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "uid": f"service-{namespace}-{name}"},
        "spec": {"clusterIPs": [address or "None"], "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": each} for each in balancer]}},
    }


def endpoints(name: str, *pods: Json, namespace: str = "shop", ports: list[Json] | None = None) -> Json:
    """Return an EndpointSlice of a Service that lists pods."""
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": namespace,
            "uid": f"slice-{namespace}-{name}",
            "labels": {"kubernetes.io/service-name": name},
        },
        "ports": ports or [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [each["status"]["podIP"]],
                "targetRef": {"kind": "Pod", "name": each["metadata"]["name"], "uid": each["metadata"]["uid"]},
            }
            for each in pods
        ],
    }


def node(name: str, address: str, *cidrs: str) -> Json:
    """Return a Node."""
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"node-{name}"},
        "spec": {"podCIDRs": list(cidrs)},
        "status": {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]},
    }


def controlled(kind: str, name: str, *owners: Json, namespace: str = "shop") -> Json:
    """Return a ReplicaSet or Job, as metadata."""
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}-{name}", "ownerReferences": list(owners)}
    return {"kind": kind, "metadata": metadata}


FRONTEND = pod("frontend-0", "10.0.0.5")
NODES = (node("node-1", "192.168.1.10", "10.0.0.0/16"), node("node-2", "192.168.1.11", "10.1.0.0/16"))


def decoded(obj: Json) -> KubeJson:
    """Decode an object."""
    found = decode_object(json.dumps(obj).encode())
    assert found is not None
    return found


def build(*objects: Json, settings: AttributionSettings | None = None, **watermark: Any) -> Inventory:
    """Make the inventory that a watch gives which shows these objects at second 0."""
    settings = settings or AttributionSettings()
    inventory, projector = Inventory(settings), Projector(CLUSTER, settings)
    for each in objects:
        record = projector.apply("ADDED", decoded(each), at(0))
        if record is not None:
            inventory.apply(record)
    inventory.apply(WatermarkRecord(cluster=CLUSTER, at=at(0), **watermark))
    return inventory


def connection(client: str, server: str, port: int = 80, *, seen: float = 10, **fields: Any) -> ConnectionObservation:
    """Return a connection seen."""
    return ConnectionObservation(
        observed_at=at(seen),
        network_transport=fields.pop("transport", "tcp"),
        client_address=client,
        server_address=server,
        server_port=port,
        evidence=fields.pop("evidence", "syn"),
        **fields,
    )


def answer(client: str, name: str, *addresses: str, seen: float = 10, **fields: Any) -> DnsObservation:
    """Return a DNS answer seen."""
    return DnsObservation(
        observed_at=at(seen),
        network_transport="udp",
        client_address=client,
        server_address="10.96.0.10",
        dns_question_name=name,
        dns_question_type=fields.pop("question_type", "A"),
        addresses=addresses,
        **fields,
    )


def attribute(
    inventory: Inventory, observation: Observation, *, final: bool = True, node: str = "node-1"
) -> Resolution:
    """Resolve one observation."""
    return resolve(observation, inventory, cluster=CLUSTER, node=node, final=final)


def edges(resolution: Resolution) -> list[str]:
    """Spell the edges of a resolution."""
    return [f"{_spell(each.client)} -> {_spell(each.server)}" for each in resolution.attributed]


def reasons(resolution: Resolution) -> list[tuple[str, str]]:
    """Return side and reason of each refusal."""
    return [(each.side, each.reason) for each in resolution.refusals]


def _spell(workload: Any) -> str:
    return f"{workload.namespace}/{workload.kind}/{workload.name}"
