"""The shop of the demo: who really calls whom, and the Kubernetes objects that describe it. Pure.

Twelve Deployments on two nodes, sixteen calls. Half-way, the address of a `loadgenerator` pod that was evicted is given
to a new `checkoutservice` pod: a tool that looks at the present state reports a call that never was.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

NAMESPACE = "otterize-ecom-demo"
START = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
EVICTED_AT = START + timedelta(seconds=60)
REPLACED_AT = START + timedelta(seconds=70)
REUSED_ADDRESS = "10.244.1.50"
RESOLVER = "10.96.0.10"
RESOLVER_POD = "10.244.2.2"

CALLS: dict[str, tuple[str, ...]] = {
    "cartservice": ("redis-cart",),
    "checkoutservice": (
        "cartservice",
        "currencyservice",
        "emailservice",
        "paymentservice",
        "productcatalogservice",
        "shippingservice",
    ),
    "frontend": (
        "adservice",
        "cartservice",
        "checkoutservice",
        "currencyservice",
        "productcatalogservice",
        "recommendationservice",
        "shippingservice",
    ),
    "loadgenerator": ("frontend",),
    "recommendationservice": ("productcatalogservice",),
}
"""The ground truth."""

SOCKET_ONLY = ("cartservice", "redis-cart")
"""The one call that was open before anybody captured: only /proc knows it."""


class Pod(NamedTuple):
    """One pod of the shop."""

    workload: str
    suffix: str
    node: str
    address: str
    port: int
    started_at: datetime = START - timedelta(hours=2)
    ended_at: datetime | None = None
    address6: str | None = None

    @property
    def name(self) -> str:
        """The pod's name, as a ReplicaSet makes it."""
        return f"{self.workload}-{template_hash(self.workload)}-{self.suffix}"


class Service(NamedTuple):
    """One Service of the shop."""

    name: str
    address: str
    port: int
    address6: str | None = None


PODS: tuple[Pod, ...] = (
    Pod("adservice", "k2x4b", "node-2", "10.244.2.11", 9555),
    Pod("cartservice", "p9d7c", "node-1", "10.244.1.12", 7070),
    Pod("checkoutservice", "x6f2z", "node-2", "10.244.2.13", 5050),
    Pod("checkoutservice", "t8b5m", "node-1", REUSED_ADDRESS, 5050, started_at=REPLACED_AT),
    Pod("currencyservice", "b4v9w", "node-1", "10.244.1.14", 7000),
    Pod("emailservice", "f7c6n", "node-2", "10.244.2.15", 8080),
    Pod("frontend", "z5d8h", "node-1", "10.244.1.16", 8080),
    Pod("loadgenerator", "c9w4k", "node-1", REUSED_ADDRESS, 8089, ended_at=EVICTED_AT),
    Pod("loadgenerator", "m2t7q", "node-2", "10.244.2.17", 8089, started_at=EVICTED_AT + timedelta(seconds=4)),
    Pod("paymentservice", "d6g8s", "node-2", "10.244.2.18", 50051),
    Pod("productcatalogservice", "v4h9x", "node-2", "10.244.2.19", 3550, address6="fd00:10:244:2::19"),
    Pod("recommendationservice", "n8j5r", "node-1", "10.244.1.20", 8080),
    Pod("redis-cart", "w7k4f", "node-2", "10.244.2.21", 6379),
    Pod("shippingservice", "g5l2v", "node-1", "10.244.1.22", 50051),
)

SERVICES: tuple[Service, ...] = (
    Service("adservice", "10.96.11.11", 9555),
    Service("cartservice", "10.96.12.12", 7070),
    Service("checkoutservice", "10.96.13.13", 5050),
    Service("currencyservice", "10.96.14.14", 7000),
    Service("emailservice", "10.96.15.15", 5000),
    Service("frontend", "10.96.16.16", 80),
    Service("paymentservice", "10.96.18.18", 50051),
    Service("productcatalogservice", "10.96.19.19", 3550, address6="fd00:10:96::19:19"),
    Service("recommendationservice", "10.96.20.20", 8080),
    Service("redis-cart", "10.96.21.21", 6379),
    Service("shippingservice", "10.96.22.22", 50051),
)

_NODES = {"node-1": ("192.168.49.11", "10.244.1.0/24"), "node-2": ("192.168.49.12", "10.244.2.0/24")}
_DNS_POD = Pod("coredns", "q5v8t", "node-2", RESOLVER_POD, 53)


def service_of(name: str) -> Service:
    """Return the Service of that name."""
    return next(service for service in SERVICES if service.name == name)


def calling_pods(workload: str) -> list[Pod]:
    """Return the pods of a workload that call: all but the replacement of the evicted one, which stays idle."""
    return [pod for pod in PODS if pod.workload == workload and pod.suffix != "m2t7q"]


def shop_objects() -> dict[str, Any]:
    """Build what `kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json` prints for the shop."""
    pods = [_pod(pod, NAMESPACE) for pod in PODS] + [_pod(_DNS_POD, "kube-system")]
    replicasets = [_replicaset(name, NAMESPACE) for name in sorted({pod.workload for pod in PODS})]
    services = [_service(service, NAMESPACE) for service in SERVICES]
    slices = [_slice(service, NAMESPACE, _backends(service)) for service in SERVICES]
    dns = Service("kube-dns", RESOLVER, 53)
    system = [
        _service(dns, "kube-system", app="coredns"),
        _slice(dns, "kube-system", [_DNS_POD]),
        _replicaset("coredns", "kube-system"),
    ]
    nodes = [_node(name) for name in _NODES]
    return {"apiVersion": "v1", "kind": "List", "items": [*pods, *services, *slices, *replicasets, *system, *nodes]}


def template_hash(workload: str) -> str:
    """Return a pod template hash in the alphabet that Kubernetes uses (SafeEncodeString of a number)."""
    number = uuid.uuid5(uuid.NAMESPACE_DNS, workload).int % 10**10
    return "".join("456789bcdf"[int(digit)] for digit in f"{number:010d}")


def _backends(service: Service) -> list[Pod]:
    return [pod for pod in PODS if pod.workload == service.name and pod.ended_at is None]


def _uid(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(parts)))


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _metadata(kind: str, namespace: str, name: str, created_at: datetime) -> dict[str, Any]:
    metadata = {"name": name, "uid": _uid(kind, namespace, name), "creationTimestamp": _time(created_at)}
    return metadata | ({"namespace": namespace} if namespace else {})


def _controller(kind: str, api_version: str, namespace: str, name: str) -> list[dict[str, Any]]:
    uid = _uid(kind, namespace, name)
    return [{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}]


def _replicaset(workload: str, namespace: str) -> dict[str, Any]:
    name = f"{workload}-{template_hash(workload)}"
    metadata = _metadata("ReplicaSet", namespace, name, START - timedelta(days=3))
    metadata["labels"] = {"app": workload, "pod-template-hash": template_hash(workload)}
    metadata["ownerReferences"] = _controller("Deployment", "apps/v1", namespace, workload)
    labels = {"matchLabels": metadata["labels"]}
    template = {"metadata": {"labels": metadata["labels"]}, "spec": {"containers": [{"name": "server"}]}}
    spec = {"replicas": 1, "selector": labels, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def _pod(pod: Pod, namespace: str) -> dict[str, Any]:
    metadata = _metadata("Pod", namespace, pod.name, pod.started_at - timedelta(seconds=3))
    metadata["labels"] = {"app": pod.workload, "pod-template-hash": template_hash(pod.workload)}
    owner = f"{pod.workload}-{template_hash(pod.workload)}"
    metadata["ownerReferences"] = _controller("ReplicaSet", "apps/v1", namespace, owner)
    container = {"name": "server", "image": f"shop/{pod.workload}:v1", "ports": [{"containerPort": pod.port}]}
    spec = {"nodeName": pod.node, "serviceAccountName": "default", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": _pod_status(pod)}


def _pod_status(pod: Pod) -> dict[str, Any]:
    addresses = [{"ip": address} for address in (pod.address, pod.address6) if address]
    started = _time(pod.started_at)
    running = {"running": {"startedAt": started}}
    ended = {"terminated": {"exitCode": 137, "startedAt": started, "finishedAt": _time(pod.ended_at or START)}}
    status: dict[str, Any] = {
        "phase": "Failed" if pod.ended_at else "Running",
        "hostIP": _NODES[pod.node][0],
        "podIP": pod.address,
        "podIPs": addresses,
        "startTime": _time(pod.started_at - timedelta(seconds=2)),
        "conditions": [{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": started}],
        "containerStatuses": [
            {"name": "server", "ready": not pod.ended_at, "state": ended if pod.ended_at else running}
        ],
    }
    return status | ({"reason": "Evicted"} if pod.ended_at else {})


def _service(service: Service, namespace: str, app: str = "") -> dict[str, Any]:
    addresses = [address for address in (service.address, service.address6) if address]
    target = next((pod.port for pod in PODS if pod.workload == service.name), service.port)
    port = {
        "name": "main",
        "port": service.port,
        "targetPort": target,
        "protocol": "UDP" if service.port == 53 else "TCP",
    }
    spec = {
        "type": "ClusterIP",
        "clusterIP": service.address,
        "clusterIPs": addresses,
        "selector": {"app": app or service.name},
        "ports": [port],
    }
    metadata = _metadata("Service", namespace, service.name, START - timedelta(days=3))
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _slice(service: Service, namespace: str, backends: list[Pod]) -> dict[str, Any]:
    metadata = _metadata("EndpointSlice", namespace, f"{service.name}-x7p2d", START - timedelta(days=3))
    metadata["labels"] = {"kubernetes.io/service-name": service.name}
    endpoints = [
        {
            "addresses": [pod.address],
            "conditions": {"ready": True},
            "targetRef": {
                "kind": "Pod",
                "namespace": namespace,
                "name": pod.name,
                "uid": _uid("Pod", namespace, pod.name),
            },
        }
        for pod in backends
    ]
    ports = [{"name": "main", "port": pod.port, "protocol": "TCP"} for pod in backends[:1]]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def _node(name: str) -> dict[str, Any]:
    address, pod_cidr = _NODES[name]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": _metadata("Node", "", name, START - timedelta(days=30)),
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]},
    }
