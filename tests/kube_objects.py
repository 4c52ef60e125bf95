"""Kubernetes objects as the API server shows them, small but whole: for files, fake servers and real ones."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SECOND = 1_000_000_000
BORN = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z, when every object here was created."""
_BORN = "2026-01-01T00:00:00Z"


def a_pod(name: str, address: str = "10.0.0.5", *, namespace: str = "shop", **metadata: Any) -> Json:
    """A running pod, with secrets that must never leave the watcher."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(name, namespace, {"annotations": {"token": "hunter2"}, **metadata}),
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "c", "args": ["--key=hunter2"], "env": [{"name": "PASSWORD", "value": "hunter2"}]}],
        },
        "status": {
            "phase": "Running",
            "hostIP": "192.168.1.10",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": "2026-01-01T00:00:01Z",
            "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}}}],
        },
    }


def a_service(name: str, address: str = "10.96.0.10", *, namespace: str = "shop") -> Json:
    """A Service with one port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, namespace),
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}], "selector": {"app": name}},
    }


def a_slice(name: str, pod: Json, *, service: str, namespace: str = "shop") -> Json:
    """An EndpointSlice with one endpoint."""
    target = {"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(name, namespace, {"labels": {"kubernetes.io/service-name": service}}),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [pod["status"]["podIP"]], "targetRef": target}],
    }


def a_node(name: str, address: str = "192.168.1.10") -> Json:
    """A Node with one address."""
    metadata = _metadata(name, "")
    del metadata["namespace"]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


def a_replica_set(name: str, *, deployment: str, namespace: str = "shop") -> Json:
    """A ReplicaSet of a Deployment."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": deployment, "controller": True}
    metadata = _metadata(name, namespace, {"ownerReferences": [owner]})
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"replicas": 1}}


def a_job(name: str, *, cron_job: str, namespace: str = "shop") -> Json:
    """A Job of a CronJob."""
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job, "uid": cron_job, "controller": True}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(name, namespace, {"ownerReferences": [owner]}),
    }


def _metadata(name: str, namespace: str, more: Json | None = None) -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": _BORN}
    return metadata | (more or {})
