"""The cluster that the lab plays: who is where, what the API server would say of it, and who calls whom. Pure.

Two nodes, eight pods of five kinds of workloads in three namespaces, one host outside. Everything lies below one
number, so that two labs on one machine share no address.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.end_to_end.lab import Node, Place

OUTSIDE = "203.0.113.9"


class Workload(NamedTuple):
    """A workload with its one pod: what the lab builds and the objects describe."""

    name: str
    namespace: str
    kind: str
    node: str
    host: int
    port: int = 0
    dual_stack: bool = False
    service: str = ""
    """`cluster` (with an address), `headless`, or none."""


WORKLOADS = (
    Workload("coredns", "kube-system", "Deployment", "node-b", 2, 53, service="cluster"),
    Workload("loadgenerator", "shop", "Deployment", "node-a", 11),
    Workload("frontend", "shop", "Deployment", "node-a", 12, 8080, service="cluster"),
    Workload("checkout", "shop", "Deployment", "node-b", 13, 5050, dual_stack=True, service="cluster"),
    Workload("cart", "shop", "StatefulSet", "node-a", 14, 7070, service="headless"),
    Workload("redis", "shop", "StatefulSet", "node-b", 15, 6379, service="cluster"),
    Workload("payment", "payments", "DaemonSet", "node-a", 16, 50051, dual_stack=True, service="headless"),
    Workload("report", "shop", "CronJob", "node-b", 17),
)

SHOP = "shop.svc.cluster.local"
SEARCH = f"{SHOP} svc.cluster.local cluster.local"

FULL_TRUTH: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {
    ("shop", "cart"): {("shop", "redis"): {"via": ["socket"], "ports": ["6379/TCP"]}},
    ("shop", "checkout"): {
        ("payments", "payment"): {"via": ["dns", "syn"], "ports": ["50051/TCP"]},
        ("", "api.example.org"): {"via": ["dns", "syn"], "ports": ["443/TCP"]},
    },
    ("shop", "frontend"): {
        ("shop", "cart"): {"via": ["dns", "syn"], "ports": ["7070/TCP"]},
        ("shop", "checkout"): {"via": ["dns", "syn"], "ports": ["5050/TCP"]},
    },
    ("shop", "loadgenerator"): {
        ("shop", "frontend"): {"via": ["dns", "syn"], "ports": ["8080/TCP"]},
        ("payments", "payment"): {"via": ["syn"], "ports": ["50051/TCP"]},
    },
    ("shop", "report"): {("shop", "frontend"): {"via": ["dns", "syn"], "ports": ["8080/TCP"]}},
}
"""Who calls whom by (namespace, name), with the evidence that each call can leave."""


class Cluster:
    """The cluster with its addresses."""

    def __init__(self, number: int) -> None:
        """`number` is the second byte of all addresses."""
        self._number = number

    def nodes(self) -> tuple[Node, Node]:
        ways = {"node-a": 1, "node-b": 2}
        a, b = (
            Node(
                name,
                (f"10.{self._number}.200.{way}/24", f"fd00:{self._number}:200::{way}/64"),
                (f"10.{self._number}.{way}.0/24", f"fd00:{self._number}:{way}::/64"),
            )
            for name, way in ways.items()
        )
        return a, b

    def places(self) -> tuple[Place, ...]:
        """Return the pods, and the host outside, which is wired like a pod of node-b."""
        pods = [
            Place(each.name, each.node, self.addresses(each), self.service_addresses(each), self._ports(each))
            for each in WORKLOADS
        ]
        outside = Place("outside", "node-b", (f"10.{self._number}.2.250",), (OUTSIDE,), (443,))
        return (*pods, outside)

    def addresses(self, workload: Workload) -> tuple[str, ...]:
        way = 1 if workload.node == "node-a" else 2
        both = (f"10.{self._number}.{way}.{workload.host}", f"fd00:{self._number}:{way}::{workload.host}")
        return both if workload.dual_stack else both[:1]

    def addresses_of(self, name: str) -> tuple[str, ...]:
        return self.addresses(_find(name))

    def service_addresses(self, workload: Workload) -> tuple[str, ...]:
        return (f"10.{self._number}.128.{workload.host}",) if workload.service == "cluster" else ()

    @property
    def resolver(self) -> str:
        return self.service_addresses(_find("coredns"))[0]

    def dns_records(self) -> list[str]:
        """Return what the cluster's DNS knows, as lines of dnsmasq's configuration; all else does not exist."""
        answered = {each: self.service_addresses(each) or self.addresses(each) for each in WORKLOADS if each.service}
        # Of payment only the IPv6 address, so that the one call to it by name goes over IPv6.
        answered[_find("payment")] = self.addresses(_find("payment"))[1:]
        return [
            "local=/local/",
            "local=/org/",
            *(
                f"host-record={each.name}.{each.namespace}.svc.cluster.local,{','.join(a)}"
                for each, a in answered.items()
            ),
            "cname=api.example.org,edge.example.net",
            f"host-record=edge.example.net,{OUTSIDE}",
        ]

    def objects(self, now: datetime) -> dict[str, Any]:
        """Build what `kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json` prints."""
        started = datetime.fromtimestamp(now.timestamp() - 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        items = [self._node(node, started) for node in self.nodes()]
        for each in WORKLOADS:
            items += [self._pod(each, started), *self._owner(each, started)]
            if each.service:
                items += [self._service(each, started), self._slice(each, started)]
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def _ports(self, workload: Workload) -> tuple[int, ...]:
        return (workload.port,) if workload.port and workload.name != "coredns" else ()

    def _node(self, node: Node, started: str) -> dict[str, Any]:
        addresses = [{"type": "InternalIP", "address": each.partition("/")[0]} for each in node.addresses]
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": _metadata("Node", "", node.name, started),
            "spec": {"podCIDR": node.pod_ranges[0], "podCIDRs": list(node.pod_ranges)},
            "status": {"addresses": addresses},
        }

    def _pod(self, each: Workload, started: str) -> dict[str, Any]:
        controller = {"Deployment": "ReplicaSet", "CronJob": "Job"}.get(each.kind, each.kind)
        owner = _owner_name(each)
        metadata = _metadata("Pod", each.namespace, pod_name(each), started)
        metadata["labels"] = {"app": each.name}
        metadata["ownerReferences"] = [_reference(controller, each.namespace, owner)]
        addresses = [{"ip": address} for address in self.addresses(each)]
        status = {
            "phase": "Running",
            "hostIP": next(node.addresses[0] for node in self.nodes() if node.name == each.node).partition("/")[0],
            "podIP": addresses[0]["ip"],
            "podIPs": addresses,
            "startTime": started,
            "conditions": [{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": started}],
            "containerStatuses": [{"name": "main", "ready": True, "state": {"running": {"startedAt": started}}}],
        }
        container = {"name": "main", "image": each.name, "ports": [{"containerPort": each.port}] if each.port else []}
        spec = {"nodeName": each.node, "containers": [container]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}

    def _owner(self, each: Workload, started: str) -> list[dict[str, Any]]:
        """The objects between a pod and its workload that the watcher may read; the workloads themselves it may not."""
        kinds = {"Deployment": ("ReplicaSet", "apps/v1"), "CronJob": ("Job", "batch/v1")}
        if each.kind not in kinds:
            return []
        kind, version = kinds[each.kind]
        metadata = _metadata(kind, each.namespace, _owner_name(each), started)
        metadata["ownerReferences"] = [_reference(each.kind, each.namespace, each.name)]
        return [{"apiVersion": version, "kind": kind, "metadata": metadata}]

    def _service(self, each: Workload, started: str) -> dict[str, Any]:
        addresses = list(self.service_addresses(each)) or ["None"]
        protocol = "UDP" if each.port == 53 else "TCP"
        port = {"name": "main", "port": each.port, "targetPort": each.port, "protocol": protocol}
        spec = {"type": "ClusterIP", "clusterIP": addresses[0], "clusterIPs": addresses, "ports": [port]}
        spec["selector"] = {"app": each.name}
        metadata = _metadata("Service", each.namespace, each.name, started)
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

    def _slice(self, each: Workload, started: str) -> dict[str, Any]:
        metadata = _metadata("EndpointSlice", each.namespace, f"{each.name}-x7p2d", started)
        metadata["labels"] = {"kubernetes.io/service-name": each.name}
        target = {"kind": "Pod", "namespace": each.namespace, "name": pod_name(each)}
        target["uid"] = _uid("Pod", each.namespace, pod_name(each))
        endpoint = {"addresses": list(self.addresses(each)[:1]), "conditions": {"ready": True}, "targetRef": target}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [{"name": "main", "port": each.port, "protocol": "TCP"}],
        }


def pod_name(workload: Workload) -> str:
    """Return the name of a workload's pod, as its controller makes it."""
    return f"{workload.name}-0" if workload.kind == "StatefulSet" else f"{_owner_name(workload)}-k2x4b"


def _owner_name(workload: Workload) -> str:
    return workload.name + {"Deployment": "-5d4f8c7b9", "CronJob": "-29387520"}.get(workload.kind, "")


def _find(name: str) -> Workload:
    return next(each for each in WORKLOADS if each.name == name)


def _uid(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(parts)))


def _metadata(kind: str, namespace: str, name: str, started: str) -> dict[str, Any]:
    metadata = {"name": name, "uid": _uid(kind, namespace, name), "creationTimestamp": started}
    return metadata | ({"namespace": namespace} if namespace else {})


def _reference(kind: str, namespace: str, name: str) -> dict[str, Any]:
    version = {"Job": "batch/v1", "CronJob": "batch/v1"}.get(kind, "apps/v1")
    return {"apiVersion": version, "kind": kind, "name": name, "uid": _uid(kind, namespace, name), "controller": True}
