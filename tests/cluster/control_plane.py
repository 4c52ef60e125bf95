"""The cluster's control plane, its kubelets and its kube-proxies, over the box and the fake API server. Shell.

In: pods to start and stop. Out: their objects in the order in which a real cluster writes them, EndpointSlices, and
nftables rules on every node. Its methods may be called from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from tests.cluster.box import Box
from tests.cluster.steps import Scenario
from tests.cluster.world import (
    NODES,
    RESOLVER,
    RESOLVER6,
    Json,
    Placed,
    Pod,
    Workload,
    ended_pod,
    listed_pods,
    node_object,
    nodes,
    owner_object,
    pending_pod,
    place,
    running_pod,
    service_addresses,
    service_object,
    slice_objects,
    terminating_pod,
)
from tests.fake_api_server import FakeApiServer

SYSTEM = "kube-system"
DNS = Workload("kube-dns", port=53, service="cluster", families="46")
COREDNS = Pod("coredns-1", "kube-dns", "node-b", 0)


class ControlPlane:
    """What is in the cluster, and what becomes of it."""

    def __init__(self, box: Box, api: FakeApiServer, scenarios: Iterable[Scenario]) -> None:
        self._box = box
        self._api = api
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], tuple[Placed, Json]] = {}
        self._services: dict[tuple[str, str], tuple[Workload, tuple[str, ...]]] = {}
        self._placed: dict[tuple[str, str], Placed] = {}
        self._enter(SYSTEM, (DNS,), (COREDNS,), block=1)
        self._services[SYSTEM, DNS.name] = (DNS, (RESOLVER, RESOLVER6))
        for block, scenario in enumerate(scenarios, 2):
            self._enter(scenario.name, scenario.workloads, scenario.pods, block=block)

    def create(self) -> None:
        """Write what is there before any pod: namespaces, nodes, Services."""
        self._api.put(*(node_object(node) for node in nodes()))
        for namespace in {namespace for namespace, _ in self._placed}:
            self._api.put({"kind": "Namespace", "metadata": {"name": namespace}})
        for (namespace, _), (workload, addresses) in self._services.items():
            self._api.put(service_object(namespace, workload, addresses))
        self._publish()

    def placed(self, namespace: str, pod: str) -> Placed:
        """Find a pod of a scenario, whether it runs or not."""
        return self._placed[namespace, pod]

    def start(self, namespace: str, pod: str) -> None:
        """Start a pod, as scheduler, kubelet and EndpointSlice controller do together."""
        placed = self._placed[namespace, pod]
        pending = pending_pod(placed, created=_now())
        owner = owner_object(placed)
        self._api.put(*([owner] if owner else []), pending)
        started = _now()
        self._box.start_pod(placed, search=f"{namespace}.svc.cluster.local svc.cluster.local cluster.local")
        running = running_pod(pending, placed, started=started)
        self._api.put(running, *listed_pods(placed, started=started))
        with self._lock:
            self._running[namespace, pod] = (placed, running)
        self._publish(namespace, placed.workload)

    def stop(self, namespace: str, pod: str) -> None:
        """Delete a pod: it leaves its Services, then ends, then its object goes."""
        with self._lock:
            placed, running = self._running.pop((namespace, pod))
        self._publish(namespace, placed.workload)
        self._api.put(terminating_pod(running, at=_now()))
        self._box.stop_pod(placed)
        self._api.remove("pods", pod, namespace=namespace)

    def finish(self, namespace: str, pod: str) -> None:
        """Let a pod end by itself."""
        with self._lock:
            placed, running = self._running.pop((namespace, pod))
        self._box.stop_pod(placed)
        self._api.put(ended_pod(running, finished=_now()))
        self._api.remove("pods", pod, namespace=namespace)

    def _enter(self, namespace: str, workloads: tuple[Workload, ...], pods: tuple[Pod, ...], *, block: int) -> None:
        named = {workload.name: workload for workload in workloads}
        for pod in pods:
            self._placed[namespace, pod.name] = place(pod, named[pod.workload], namespace=namespace, block=block)
        for number, workload in enumerate(workloads):
            if workload.service or workload.external_name:
                addresses = service_addresses(workload, block=block, number=number)
                self._services[namespace, workload.name] = (workload, addresses)

    def _publish(self, namespace: str = "", workload: Workload | None = None) -> None:
        """Write the EndpointSlices of a workload, and bring every node's translation up to date."""
        with self._lock:
            if workload is not None and workload.service:
                pods = self._pods_of(namespace, workload)
                self._api.put(*slice_objects(namespace, workload, pods))
            self._box.translate(dict.fromkeys(NODES, self._rules()))

    def _pods_of(self, namespace: str, workload: Workload) -> list[Placed]:
        return [
            placed
            for (home, _), (placed, _) in sorted(self._running.items())
            if home == namespace and placed.workload == workload
        ]

    def _rules(self) -> str:
        rules = [
            rule
            for (namespace, _), (workload, addresses) in self._services.items()
            for address in addresses
            for rule in _translations(address, workload, self._pods_of(namespace, workload))
        ]
        hooks = {"prerouting": "dstnat", "output": "-100"}
        chains = [
            "\n".join((f"chain {hook} {{", f"type nat hook {hook} priority {priority}", *rules, "}"))
            for hook, priority in hooks.items()
        ]
        replace = ("table inet services {}", "delete table inet services", "table inet services {")
        return "\n".join((*replace, *chains, "}", ""))


def _translations(address: str, workload: Workload, pods: list[Placed]) -> list[str]:
    """Return kube-proxy's rules for one address of a Service: an even choice among its pods."""
    family, bracketed = ("ip6", "[{}]") if ":" in address else ("ip", "{}")
    targets = [each for pod in pods for each in pod.addresses if (":" in each) == (":" in address)]
    rules = []
    for transport in ("udp", "tcp") if workload.port == 53 else ("tcp",):
        port = 53 if workload.port == 53 else 80
        for left, target in zip(range(len(targets), 0, -1), targets, strict=True):
            chance = f"numgen random mod {left} 0" if left > 1 else ""
            to = f"{bracketed.format(target)}:{workload.port}"
            rules.append(f"{family} daddr {address} {transport} dport {port} {chance} dnat {family} to {to}")
    return rules


def _now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
