"""A cluster in a storm, made up and seeded: who truly had which address, what the API server said, what agents saw.

2,000 pods on 40 nodes. Within five minutes 30 % of the addresses are given on within seconds, a tenth of them on
another node, many to jobs that live for seconds; a third of the ends are graceful, a third forced, a third completions
that keep their address in the status. Kubelets report late (up to 1.5 s) in whole seconds, the watch lags by up to 1 s
more, nodes' clocks differ by up to 0.8 s. Everybody calls by connection and by name.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from callgraph.records import ConnectionObservation, DnsObservation

SECOND = 1_000_000_000
BASE = 1_767_225_600
CLUSTER = "storm"
PODS, NODES, WORKLOADS, TARGETS = 2_000, 40, 200, 12
REUSED_SHARE = 0.3
LASTS = 300.0
CALL_EVERY = 10.0

Edge = tuple[str, str]
Observation = DnsObservation | ConnectionObservation


class Life(NamedTuple):
    """One pod, from when it got its address to when it lost it, in seconds; `ends` tells how."""

    number: int
    workload: str
    node: int
    address: str
    start: float
    end: float
    ends: str


class Said(NamedTuple):
    """What the API server said of a pod."""

    at: float
    op: str
    pod: dict[str, Any]


class Sighting(NamedTuple):
    """What an agent saw, and which edge it truly is."""

    node: int
    observation: Observation
    edge: Edge


class Storm:
    """One storm, from one seed: `said` in the API server's order, `sightings` in the order of time."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._skews = [self._rng.uniform(-0.4, 0.4) for _ in range(NODES)]
        self.targets = {
            f"app-{number}": self._rng.sample([f"app-{each}" for each in range(WORKLOADS) if each != number], TARGETS)
            for number in range(WORKLOADS)
        }
        self.lives: list[Life] = []
        self._live()
        self.said = sorted((each for life in self.lives for each in self._said_of(life)), key=lambda each: each.at)
        self.sightings = sorted(self._sightings(), key=lambda each: each.observation.observed_at)

    def _live(self) -> None:
        rng = self._rng
        reused = set(rng.sample(range(PODS), int(PODS * REUSED_SHARE)))
        for number in range(PODS):
            end = rng.uniform(10, LASTS - 40) if number in reused else 10 * LASTS
            life = self._add(f"app-{number % WORKLOADS}", number % NODES, _address(number), rng.uniform(-900, -30), end)
            while life.end < LASTS:
                life = self._follow(life)

    def _follow(self, life: Life) -> Life:
        """Give the address on, within seconds."""
        rng = self._rng
        node = life.node if rng.random() < 0.9 else rng.randrange(NODES)
        start = life.end + rng.uniform(0.5, 8.0)
        if life.workload.startswith("app-") and rng.random() < 0.2:
            name = f"job-{len(self.lives)}"
            self.targets[name] = [f"app-{rng.randrange(WORKLOADS)}"]
            return self._add(name, node, life.address, start, start + rng.uniform(4, 20), "completed")
        return self._add(f"app-{rng.randrange(WORKLOADS)}", node, life.address, start, 10 * LASTS)

    def _add(self, workload: str, node: int, address: str, start: float, end: float, ends: str = "") -> Life:
        ends = ends or self._rng.choice(["graceful", "forced", "completed"])
        life = Life(len(self.lives), workload, node, address, start, end, ends)
        self.lives.append(life)
        return life

    def _said_of(self, life: Life) -> Iterator[Said]:
        rng = self._rng
        yield Said(life.start - 2, "ADDED", self._pod(life, phase="Pending", state=None))
        yield Said(life.start + rng.uniform(0.2, 1.5), "MODIFIED", self._pod(life))
        if life.end > 5 * LASTS:
            return
        asked, told = life.end - rng.uniform(0.5, 5), life.end + rng.uniform(0.2, 1.5)
        if life.ends == "graceful":
            yield Said(max(asked, life.start + 1.6), "MODIFIED", self._pod(life, deleted_at=asked + 30))
            ended = rng.random() < 0.5
            yield Said(
                told, "DELETED", self._pod(life, deleted_at=asked + 30, state="terminated" if ended else "running")
            )
        elif life.ends == "forced":
            yield Said(told, "DELETED", self._pod(life))
        else:
            yield Said(told, "MODIFIED", self._pod(life, phase="Succeeded", state="terminated"))
            yield Said(told + 60, "DELETED", self._pod(life, phase="Succeeded", state="terminated"))

    def _pod(self, life: Life, **looks: Any) -> dict[str, Any]:
        return pod_object(life, skew=self._skews[life.node], **looks)

    def _sightings(self) -> Iterator[Sighting]:
        living: dict[str, list[Life]] = {}
        for life in self.lives:
            living.setdefault(life.workload, []).append(life)
        for life in self.lives:
            yield from self._calls_of(life, living)

    def _calls_of(self, life: Life, living: dict[str, list[Life]]) -> Iterator[Sighting]:
        rng, at = self._rng, max(0.0, life.start) + self._rng.uniform(0.3, 2)
        while at < min(life.end, LASTS):
            target = rng.choice(self.targets[life.workload])
            servers = [each for each in living[target] if each.start + 0.3 <= at < each.end]
            if servers:
                edge = (life.workload, target)
                if rng.random() < 0.3:
                    yield Sighting(life.node, self._answer(life, target, at), edge)
                else:
                    server = rng.choice(servers)
                    yield Sighting(life.node, self._connection(life, server, at, life.node), edge)
                    if server.node != life.node:
                        yield Sighting(server.node, self._connection(life, server, at, server.node), edge)
            at += rng.expovariate(1 / CALL_EVERY) if life.workload.startswith("app-") else rng.uniform(0.5, 2)

    def _answer(self, client: Life, target: str, at: float) -> DnsObservation:
        return DnsObservation(
            observed_at=nanoseconds(at + self._skews[client.node]),
            network_transport="udp",
            client_address=client.address,
            server_address="10.96.0.10",
            dns_question_name=f"{target}.storm.svc.cluster.local",
            dns_question_type="A",
            addresses=(service_address(target),),
        )

    def _connection(self, client: Life, server: Life, at: float, node: int) -> ConnectionObservation:
        return ConnectionObservation(
            observed_at=nanoseconds(at + self._skews[node]),
            network_transport="tcp",
            client_address=client.address,
            server_address=server.address,
            server_port=8080,
            evidence="syn",
        )


def pod_object(
    life: Life,
    *,
    skew: float = 0.0,
    phase: str = "Running",
    state: str | None = "running",
    deleted_at: float | None = None,
) -> dict[str, Any]:
    """Return a pod as the API server shows it at some point of its life; the times are its node's."""
    kind = "Job" if life.workload.startswith("job-") else "StatefulSet"
    started = _text(life.start + 0.1 + skew)
    states = {
        "running": {"running": {"startedAt": started}},
        "terminated": {"terminated": {"startedAt": started, "finishedAt": _text(life.end + skew)}},
    }
    status: dict[str, Any] = {"phase": phase, "hostIP": f"192.168.0.{life.node}"}
    if state is not None:
        ready = {
            "type": "PodReadyToStartContainers",
            "status": "True",
            "lastTransitionTime": _text(life.start + skew),
        }
        status |= {
            "podIP": life.address,
            "startTime": _text(life.start - 1 + skew),
            "conditions": [ready],
            "containerStatuses": [{"state": states[state]}],
        }
    metadata = {
        "name": f"{life.workload}-{life.number}",
        "namespace": "storm",
        "uid": f"uid-{life.number}",
        "creationTimestamp": _text(life.start - 2),
        "ownerReferences": [{"kind": kind, "name": life.workload, "uid": life.workload, "controller": True}],
        **({"deletionTimestamp": _text(deleted_at)} if deleted_at is not None else {}),
    }
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": f"node-{life.node}"}, "status": status}


def fixed_objects() -> Iterator[dict[str, Any]]:
    """Yield what does not change: nodes, and a Service for each workload."""
    for node in range(NODES):
        yield {
            "kind": "Node",
            "metadata": {"name": f"node-{node}", "uid": f"node-{node}"},
            "spec": {"podCIDRs": ["10.0.0.0/16"]},
            "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.0.{node}"}]},
        }
    for number in range(WORKLOADS):
        name = f"app-{number}"
        yield {
            "kind": "Service",
            "metadata": {"name": name, "namespace": "storm", "uid": f"service-{number}"},
            "spec": {"clusterIPs": [service_address(name)], "ports": [{"port": 80, "targetPort": 8080}]},
        }


def service_address(workload: str) -> str:
    """Return the cluster IP of a workload's Service."""
    number = int(workload.partition("-")[2])
    return f"10.96.{number // 250 + 1}.{number % 250 + 1}"


def nanoseconds(seconds: float) -> int:
    """Return a time of the storm on the clock."""
    return BASE * SECOND + round(seconds * 1_000) * 1_000_000


def raw(pod: dict[str, Any]) -> bytes:
    """Return an object as the API server sends it."""
    return json.dumps(pod).encode()


def _address(number: int) -> str:
    return f"10.0.{number // 250}.{number % 250 + 1}"


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(BASE + int(seconds // 1), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
