"""What an API server says of the objects of a world, and when. Pure, but for the generator.

In: lives, and a `Sky` of choices that all share. Out: `News`, each at most `Sky.latest` seconds after what it is about.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from stream_processor.projection import Operation
from tests.small_cluster import text
from tests.storm.cluster import Life, pod_object

Json = dict[str, Any]

FOREVER = 1200.0
_LATEST = 2.0
"""With the second that stamps are cut off to, and with the tolerance, as long as attribution holds an event."""
_SHORTEST_OF_TWO_SANDBOXES = 6.0


class News(NamedTuple):
    """What the API server says of an object."""

    at: float
    op: Operation
    obj: Json


class Sky:
    """What all of a world share: a generator, how wrong the nodes' clocks are, how late news is, which pods move."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        skew = rng.choice([0.0, 0.4, 0.75])
        self.skews = [rng.uniform(-skew, skew) for _ in range(3)]
        self.latest = _LATEST - skew
        self._moves: dict[int, float | None] = {}

    def lag(self) -> float:
        """How late one piece of news is."""
        return self.rng.uniform(0.1, self.latest)

    def moved_at(self, life: Life) -> float | None:
        """When the pod's sandbox was made anew, with another address."""
        if life.number not in self._moves:
            span = min(life.end, life.start + 40) - life.start
            moves = span > _SHORTEST_OF_TWO_SANDBOXES and life.ends and self.rng.random() < 0.2
            self._moves[life.number] = life.start + self.rng.uniform(3, span - 3) if moves else None
        return self._moves[life.number]

    def second_address(self, life: Life) -> str:
        """The address that the pod got with its second sandbox."""
        return life.address if self.moved_at(life) is None else f"10.0.1.{life.number}"


def make_lives(rng: random.Random, until: float) -> Iterator[Life]:
    """Give on the addresses of three pods, of a node that joins later, and of a pool that no node's range covers."""
    number = 0
    for address in ("10.0.0.0", "10.0.0.1", "10.0.0.2", "192.168.0.2", "10.200.0.5"):
        start = rng.uniform(-20, 20)
        while start < until:
            end = start + rng.choice([rng.uniform(1, 8), rng.uniform(5, 40), FOREVER])
            ends = rng.choice(["graceful", "forced", "completed"])
            yield Life(number, f"{rng.choice(['app', 'web'])}-{number}", rng.randrange(2), address, start, end, ends)
            number, start = number + 1, end + rng.choice([rng.uniform(0.2, 3), rng.uniform(3, 10)])


def tell(sky: Sky, lives: list[Life]) -> Iterator[News]:
    """Tell all that is to be told of a world."""
    for life in lives:
        yield from _tell_pod(sky, life)
        if life.workload.startswith("web-"):
            yield from _tell_replica_set(sky, life)
    yield from _tell_nodes(sky)
    created = sky.rng.choice([-500.0, sky.rng.uniform(0, 30)])
    deleted = sky.rng.choice([FOREVER, created + sky.rng.uniform(8, 60)])
    yield from _tell_service(sky, "shop", created, deleted, lives)
    if 0 < deleted < FOREVER:
        yield from _tell_service(sky, "shop-2", deleted + sky.rng.uniform(0.5, 8), FOREVER, lives)
    yield _service("ext", -500, {"type": "ExternalName", "externalName": "db.example.com"}).news("ADDED", -499)
    yield _service("alias", -500, {"type": "ExternalName", "externalName": "shop.storm.svc.cluster.local"}).news(
        "ADDED", -499
    )
    yield _service("headless", -500, {"clusterIPs": ["None"], "selector": {"app": "shop"}}).news("ADDED", -499)


class _Object(NamedTuple):
    """An object of which there will be news."""

    obj: Json

    def news(self, op: Operation, at: float) -> News:
        return News(at, op, self.obj)


def _tell_pod(sky: Sky, life: Life) -> Iterator[News]:
    rng, started, moved = sky.rng, life.start + sky.lag(), sky.moved_at(life)
    if rng.random() < 0.3:
        yield News(started, "ADDED", _weak(_pod(sky, life, until=life.start)))
        started = max(life.start + sky.lag(), started)
        if rng.random() < 0.2:
            return
    yield News(started, "MODIFIED", _pod(sky, life, until=life.start))
    if moved is not None:
        yield News(moved + sky.lag(), "MODIFIED", _pod(sky, life))
    if life.end >= FOREVER / 2:
        return
    told = max(life.end + sky.lag(), life.start + sky.latest)
    if life.ends == "graceful":
        asked = max(told - rng.choice([0.01, rng.uniform(0, 5)]), life.start + sky.latest, (moved or 0) + sky.latest)
        if asked < told:
            yield News(asked, "MODIFIED", _pod(sky, life, deleted_at=life.end + 25))
        yield News(told, "DELETED", _pod(sky, life, state="terminated", deleted_at=life.end + 25))
    elif life.ends == "forced":
        yield News(told, "DELETED", _pod(sky, life))
    else:
        finished = _pod(sky, life, phase="Succeeded", state="terminated")
        yield News(told, "MODIFIED", finished)
        yield News(told + 30, "DELETED", finished)


def _pod(sky: Sky, life: Life, *, until: float = FOREVER, **looks: Any) -> Json:
    """Return the pod as it looks; `until`: before its second sandbox, if that comes later."""
    skew = sky.skews[life.node]
    pod = pod_object(life, skew=skew, **looks)
    pod["metadata"]["labels"] = {"app": "shop" if life.number % 2 else "other"}
    if life.workload.startswith("web-"):
        owner = {"kind": "ReplicaSet", "name": f"{life.workload}-rs", "uid": f"rs-{life.number}", "controller": True}
        pod["metadata"]["ownerReferences"] = [owner]
    host_port = {"hostPort": 9000} if life.number % 5 == 0 else {}
    pod["spec"]["containers"] = [{"ports": [{"containerPort": 8080, **host_port}]}]
    moved = sky.moved_at(life)
    if moved is not None and moved <= until:
        again = text(moved + skew)
        pod["status"]["podIP"] = sky.second_address(life)
        pod["status"]["conditions"][0]["lastTransitionTime"] = again
        for state in pod["status"]["containerStatuses"][0]["state"].values():
            state["startedAt"] = again
    return pod


def _weak(pod: Json) -> Json:
    return {**pod, "status": {**pod["status"], "conditions": [], "containerStatuses": []}}


def _tell_replica_set(sky: Sky, life: Life) -> Iterator[News]:
    deployment = {"kind": "Deployment", "name": life.workload, "uid": life.workload, "controller": True}
    metadata = _metadata(f"{life.workload}-rs", f"rs-{life.number}", life.start - 3)
    found = _Object({"kind": "ReplicaSet", "metadata": {**metadata, "ownerReferences": [deployment]}})
    yield found.news("ADDED", life.start - 3 + sky.lag())
    if life.end < FOREVER / 2:
        yield found.news("DELETED", life.end + 5)


def _tell_nodes(sky: Sky) -> Iterator[News]:
    yield _node(0, -1000).news("ADDED", -999)
    yield _node(1, -1000).news("ADDED", -999)
    joined = sky.rng.uniform(5, 50)
    yield _node(2, joined).news("ADDED", joined + sky.lag())
    if sky.rng.random() < 0.5:
        left = joined + sky.rng.uniform(5, 30)
        yield _node(2, joined).news("DELETED", left + sky.lag())


def _node(number: int, created: float) -> _Object:
    metadata = _metadata(f"node-{number}", f"node-{number}", created)
    del metadata["namespace"]
    return _Object(
        {
            "kind": "Node",
            "metadata": metadata,
            "spec": {"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24", "10.1.2.0/24"][number : number + 1]},
            "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.0.{number}"}]},
        }
    )


def _tell_service(sky: Sky, name: str, created: float, deleted: float, lives: list[Life]) -> Iterator[News]:
    ports = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
    spec = {"clusterIPs": ["10.96.0.1"], "selector": {"app": "shop"}, "ports": ports}
    service = _service(name, created, spec)
    yield service.news("ADDED", created + sky.lag())
    if deleted < FOREVER:
        yield service.news("DELETED", deleted + sky.lag())
    if sky.rng.random() < 0.7:
        yield from _tell_slice(sky, name, created, deleted, lives)


def _tell_slice(sky: Sky, name: str, created: float, deleted: float, lives: list[Life]) -> Iterator[News]:
    """List the Service's pods from when they run to when they do not."""
    born, chosen = created + sky.rng.uniform(0.05, 3), [life for life in lives if life.number % 2]
    changes = {each for life in chosen for each in (life.start + 0.5, life.end) if born < each < min(deleted, FOREVER)}
    at = born
    for change in sorted({born, *changes}):
        at = max(at + 0.001, change + sky.lag())
        listed = [life for life in chosen if life.start + 0.5 <= change < life.end]
        yield News(at, "MODIFIED", _slice(name, born, listed))
    if deleted < FOREVER:
        yield News(max(at + 0.001, deleted + sky.lag()), "DELETED", _slice(name, born, []))


def _slice(name: str, created: float, listed: list[Life]) -> Json:
    metadata = _metadata(f"{name}-abcde", f"slice-{name}", created)
    return {
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [life.address], "targetRef": {"kind": "Pod", "name": "", "uid": f"uid-{life.number}"}}
            for life in listed
        ],
    }


def _service(name: str, created: float, spec: Json) -> _Object:
    return _Object({"kind": "Service", "metadata": _metadata(name, f"service-{name}", created), "spec": spec})


def _metadata(name: str, uid: str, created: float) -> Json:
    return {"name": name, "namespace": "storm", "uid": uid, "creationTimestamp": text(created)}
