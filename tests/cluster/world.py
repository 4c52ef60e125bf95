"""Who is where in the box, and what the API server says of it. Pure.

In: scenarios' workloads and pods. Out: addresses, and Kubernetes objects as a kubelet and a control plane write them:
whole seconds, one EndpointSlice for each family of addresses, ReplicaSets and Jobs between pods and their workloads.
Every scenario has a namespace of its own and eight addresses on each node.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tests.end_to_end.lab import Node

Json = dict[str, Any]

CLUSTER = "box"
NODES = ("node-a", "node-b", "node-c")
RESOLVER, RESOLVER6 = "10.77.128.10", "fd77:128::10"
NODE_LOCAL_RESOLVER = "169.254.20.10"
OUTSIDE, OUTSIDE_NAME = "203.0.113.9", "api.example.org"
OUTSIDE_UNNAMED = "203.0.113.77"
ADDRESSES_A_SCENARIO = 8
FIRST_WIDE = 200
"""From here on addresses belong to what needs more than eight."""


class Workload(NamedTuple):
    """Something that runs pods. `port` is what they listen on; `service` how they are reached, on port 80."""

    name: str
    kind: str = "Deployment"
    port: int = 0
    service: Literal["", "cluster", "headless"] = ""
    families: Literal["4", "46", "6"] = "4"
    host_network: bool = False
    external_name: str = ""
    """Then it is nothing but a Service of type ExternalName."""


class Pod(NamedTuple):
    """A pod that a scenario may start. `number` is its place among the scenario's addresses on its node."""

    name: str
    workload: str
    node: str
    number: int
    revision: str = "1"
    """Which ReplicaSet or Job of the workload."""
    resolver: str = RESOLVER
    stands_for: int = 0
    """So many more pods of its workload are listed and have addresses, which this one answers at."""


class Placed(NamedTuple):
    """A pod with all that follows from its scenario."""

    pod: Pod
    workload: Workload
    namespace: str
    addresses: tuple[str, ...]
    extra_addresses: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        """The UID of its object."""
        return uid_of("Pod", self.namespace, self.pod.name)


def nodes() -> tuple[Node, ...]:
    """Return the nodes with their ranges."""
    return tuple(
        Node(
            name,
            (f"10.77.250.{number}/24", f"fd77:250::{number}/64"),
            (f"10.77.{number}.0/24", f"fd77:{number}::/64"),
        )
        for number, name in enumerate(NODES, 1)
    )


def node_address(name: str) -> str:
    """Return the address of a node."""
    return f"10.77.250.{NODES.index(name) + 1}"


def place(pod: Pod, workload: Workload, *, namespace: str, block: int) -> Placed:
    """Give a pod its addresses; `block` is the number of its scenario."""
    node = NODES.index(pod.node) + 1
    host = block * ADDRESSES_A_SCENARIO + pod.number
    if workload.host_network:
        return Placed(pod, workload, namespace, (node_address(pod.node),))
    both = {"4": f"10.77.{node}.{host}", "6": f"fd77:{node}::{host:x}"}
    extra = tuple(f"10.77.{node}.{FIRST_WIDE + each}" for each in range(pod.stands_for))
    return Placed(pod, workload, namespace, tuple(both[family] for family in workload.families), extra)


def service_addresses(workload: Workload, *, block: int, number: int) -> tuple[str, ...]:
    """Return a Service's addresses; none where it is headless."""
    host = 16 + block * ADDRESSES_A_SCENARIO + number
    both = {"4": f"10.77.128.{host}", "6": f"fd77:128::{host:x}"}
    return tuple(both[family] for family in workload.families) if workload.service == "cluster" else ()


# -- objects ----------------------------------------------------------------------------------------------------------


def node_object(node: Node) -> Json:
    """Return a Node."""
    addresses = [{"type": "InternalIP", "address": each.partition("/")[0]} for each in node.addresses]
    return {
        "kind": "Node",
        "metadata": {"name": node.name, "uid": uid_of("Node", "", node.name)},
        "spec": {"podCIDR": node.pod_ranges[0], "podCIDRs": list(node.pod_ranges)},
        "status": {"addresses": [*addresses, {"type": "Hostname", "address": node.name}]},
    }


def pending_pod(placed: Placed, *, created: str) -> Json:
    """Return a pod as the scheduler leaves it: it has a node and nothing else."""
    pod, workload = placed.pod, placed.workload
    ports = [{"containerPort": workload.port}] if workload.port else []
    metadata = _metadata("Pod", placed.namespace, pod.name) | {"creationTimestamp": created, "labels": _labels(placed)}
    metadata["ownerReferences"] = [_pod_owner(placed)]
    container = {"name": "main", "image": f"box/{workload.name}", "ports": ports}
    spec: Json = {"nodeName": pod.node, "containers": [container], "hostNetwork": workload.host_network}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def running_pod(pending: Json, placed: Placed, *, started: str) -> Json:
    """Return the pod as the kubelet reports it once its sandbox and its container are there."""
    status = {
        "phase": "Running",
        "hostIP": node_address(placed.pod.node),
        "podIP": placed.addresses[0],
        "podIPs": [{"ip": each} for each in placed.addresses],
        "startTime": started,
        "conditions": [{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": started}],
        "containerStatuses": [{"name": "main", "ready": True, "state": {"running": {"startedAt": started}}}],
    }
    return pending | {"status": status}


def ended_pod(running: Json, *, finished: str) -> Json:
    """Return the pod as the kubelet reports it once its container has ended by itself."""
    started = running["status"]["startTime"]
    ended = {"terminated": {"exitCode": 0, "startedAt": started, "finishedAt": finished}}
    containers = [{"name": "main", "ready": False, "state": ended}]
    return running | {"status": running["status"] | {"phase": "Succeeded", "containerStatuses": containers}}


def terminating_pod(running: Json, *, at: str) -> Json:
    """Return the pod with its deletion asked for."""
    return running | {"metadata": running["metadata"] | {"deletionTimestamp": at, "deletionGracePeriodSeconds": 30}}


def listed_pods(placed: Placed, *, started: str) -> list[Json]:
    """Return the objects of the pods that this one stands for."""
    found = []
    for number, address in enumerate(placed.extra_addresses, 1):
        twin = Placed(
            placed.pod._replace(name=f"{placed.pod.name}-{number}"), placed.workload, placed.namespace, (address,)
        )
        found.append(running_pod(pending_pod(twin, created=started), twin, started=started))
    return found


def owner_object(placed: Placed) -> Json | None:
    """Return the ReplicaSet or Job between a pod and its workload."""
    kind = {"Deployment": "ReplicaSet", "CronJob": "Job"}.get(placed.workload.kind)
    if kind is None:
        return None
    metadata = _metadata(kind, placed.namespace, _owner_name(placed)) | {"labels": _labels(placed)}
    reference = _reference(placed.workload.kind, placed.namespace, placed.workload.name)
    return {"kind": kind, "metadata": metadata | {"ownerReferences": [reference]}}


def service_object(namespace: str, workload: Workload, addresses: Sequence[str]) -> Json:
    """Return the Service of a workload."""
    metadata = _metadata("Service", namespace, workload.name)
    if workload.external_name:
        spec: Json = {"type": "ExternalName", "externalName": workload.external_name}
        return {"kind": "Service", "metadata": metadata, "spec": spec}
    is_dns = workload.port == 53
    ports = [
        {"name": each.lower(), "port": 53 if is_dns else 80, "targetPort": workload.port, "protocol": each}
        for each in (("UDP", "TCP") if is_dns else ("TCP",))
    ]
    whole = list(addresses) or ["None"]
    spec = {"type": "ClusterIP", "clusterIP": whole[0], "clusterIPs": whole, "ports": ports}
    spec |= {"selector": {"app": workload.name}, "ipFamilies": _families(workload)}
    return {"kind": "Service", "metadata": metadata, "spec": spec}


def slice_objects(namespace: str, workload: Workload, pods: Sequence[Placed]) -> list[Json]:
    """Return the EndpointSlices of a Service, one for each family of addresses."""
    found = []
    for family in workload.families:
        kind = {"4": "IPv4", "6": "IPv6"}[family]
        metadata = _metadata("EndpointSlice", namespace, f"{workload.name}-{kind.lower()}")
        metadata["labels"] = {"kubernetes.io/service-name": workload.name}
        port = {"port": workload.port, "name": "tcp", "protocol": "TCP"}
        ports = [port, port | {"name": "udp", "protocol": "UDP"}] if workload.port == 53 else [port]
        endpoints = [each for pod in pods for each in _endpoints(pod, family)]
        parts = {"addressType": kind, "endpoints": endpoints, "ports": ports}
        found.append({"kind": "EndpointSlice", "metadata": metadata, **parts})
    return found


def uid_of(kind: str, namespace: str, name: str) -> str:
    """Return the UID of an object: the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{kind}/{namespace}/{name}"))


def _endpoints(placed: Placed, family: str) -> list[Json]:
    wanted = [each for each in placed.addresses if (":" in each) == (family == "6")]
    names = [placed.pod.name]
    if family == "4":
        wanted += placed.extra_addresses
        names += [f"{placed.pod.name}-{number}" for number in range(1, len(placed.extra_addresses) + 1)]
    return [
        {
            "addresses": [address],
            "hostname": name,
            "nodeName": placed.pod.node,
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {
                "kind": "Pod",
                "namespace": placed.namespace,
                "name": name,
                "uid": uid_of("Pod", placed.namespace, name),
            },
        }
        for address, name in zip(wanted, names, strict=True)
    ]


def _families(workload: Workload) -> list[str]:
    return [{"4": "IPv4", "6": "IPv6"}[family] for family in workload.families]


def _labels(placed: Placed) -> dict[str, str]:
    return {"app": placed.workload.name, "pod-template-hash": _template_hash(placed)}


def _template_hash(placed: Placed) -> str:
    number = uuid.uuid5(uuid.NAMESPACE_DNS, f"{placed.workload.name}/{placed.pod.revision}").int % 10**10
    return "".join("456789bcdf"[int(digit)] for digit in f"{number:010d}")


def _owner_name(placed: Placed) -> str:
    kind, name = placed.workload.kind, placed.workload.name
    if kind == "Deployment":
        return f"{name}-{_template_hash(placed)}"
    return f"{name}-2938752{placed.pod.revision}" if kind == "CronJob" else name


def _pod_owner(placed: Placed) -> Json:
    kind = {"Deployment": "ReplicaSet", "CronJob": "Job"}.get(placed.workload.kind, placed.workload.kind)
    return _reference(kind, placed.namespace, _owner_name(placed))


def _reference(kind: str, namespace: str, name: str) -> Json:
    version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid_of(kind, namespace, name), "controller": True}


def _metadata(kind: str, namespace: str, name: str) -> Json:
    return {"name": name, "namespace": namespace, "uid": uid_of(kind, namespace, name)}
