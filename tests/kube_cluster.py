"""A cluster to make objects in: the fake server, or with WHOCALLS_TEST_CLUSTER=1 the one of $KUBECONFIG. Shell.

On a real cluster everything happens in a namespace of the test's own, which is deleted afterwards. Pods are bound to a
node that does not exist, so that nothing runs and the test itself may report their status.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.fake_api_server import FakeApiServer
from tests.kube_objects import Json, a_pod, a_service, a_slice

VARIABLE = "WHOCALLS_TEST_CLUSTER"
_PAUSE_CONTAINER = {
    "name": "c",
    "image": "registry.k8s.io/pause:3.10",
    "env": [{"name": "PASSWORD", "value": "hunter2"}],
}


class KubeCluster:
    """Makes objects through the API, as anybody would."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = f"whocalls-test-{uuid.uuid4().hex[:8]}"
        self._api = config.new_client_from_config(kubeconfig)
        self._core = client.CoreV1Api(self._api)
        self._discovery = client.DiscoveryV1Api(self._api)

    def __enter__(self) -> Self:
        _body(self._core.create_namespace({"metadata": {"name": self.namespace}}, _preload_content=False))
        return self

    def __exit__(self, *_: object) -> None:
        _body(self._core.delete_namespace(self.namespace, _preload_content=False))
        self._api.rest_client.pool_manager.clear()

    def run_pod(self, name: str, address: str) -> str:
        """Create a pod and report it running at an address; return its UID."""
        pod = self._own(a_pod(name, address))
        pod["spec"] = {"nodeName": "whocalls-no-such-node", "containers": [_PAUSE_CONTAINER]}
        made = self._create_pod({part: pod[part] for part in ("apiVersion", "kind", "metadata", "spec")})
        running = made | {"status": pod["status"] | {"containerStatuses": [_running("2026-01-01T00:00:02Z")]}}
        _body(self._core.replace_namespaced_pod_status(name, self.namespace, running, _preload_content=False))
        return made["metadata"]["uid"]

    def delete_pod(self, name: str) -> None:
        """Delete a pod without grace."""
        _body(self._core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0, _preload_content=False))

    def make_service(self, name: str) -> None:
        """Create a Service whose address the cluster chooses, and a slice of it."""
        service = self._own(a_service(name))
        del service["spec"]["clusterIP"], service["spec"]["clusterIPs"]
        _body(self._core.create_namespaced_service(self.namespace, service, _preload_content=False))
        endpoints = self._own(a_slice(f"{name}-1", a_pod("x", "10.250.0.9"), service=name))
        _body(self._discovery.create_namespaced_endpoint_slice(self.namespace, endpoints, _preload_content=False))

    def _own(self, obj: Json) -> Json:
        metadata = {name: value for name, value in obj["metadata"].items() if name in ("name", "labels", "annotations")}
        return obj | {"metadata": metadata | {"namespace": self.namespace}}

    def _create_pod(self, pod: Json) -> Json:
        """Create a pod; a new namespace has its default service account only after a moment."""
        deadline = time.monotonic() + 20
        while True:
            try:
                answer = self._core.create_namespaced_pod(self.namespace, pod, _preload_content=False)
            except ApiException as error:
                if error.status != 403 or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return _body(answer)


def _running(since: str) -> Json:
    return {
        "name": "c",
        "image": _PAUSE_CONTAINER["image"],
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": since}},
    }


def _body(answer: Any) -> Json:
    """Read an answer to its end, so that the connection can be used again."""
    try:
        return json.loads(answer.read())
    finally:
        answer.release_conn()


@contextlib.contextmanager
def open_cluster(folder: Path) -> Iterator[KubeCluster]:
    """Give the cluster that the environment asks for."""
    if os.environ.get(VARIABLE):
        with KubeCluster(os.environ["KUBECONFIG"]) as cluster:
            yield cluster
        return
    with FakeApiServer() as server, KubeCluster(server.write_kubeconfig(folder)) as cluster:
        yield cluster
