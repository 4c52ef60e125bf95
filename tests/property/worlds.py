"""Worlds for the laws of attribution: what the inventory topic says, what truly happened, and what the agents saw.

A few addresses that are given on quickly, to pods of Deployments and StatefulSets, some with a weak start, some with a
new sandbox; Services with several backends, re-created, or aliases; a node that joins late and leaves. News of all of
it is up to 2 s late, which the clocks of the nodes are part of; now and then a relist, by the same watcher or by the
next one, stands in for what was missed, and some kinds may not be watched at all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from callgraph.records import ConnectionObservation, DnsObservation, KubeObject, WatermarkRecord
from stream_processor.kube_types import KubeKind, decode_kind
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from tests.property.objects import FOREVER, News, Sky, make_lives, tell
from tests.storm.cluster import CLUSTER, SECOND, Life, Observation, nanoseconds, raw

SETTINGS = AttributionSettings(patience_seconds=1e6, tombstone_seconds=1e6)
ENDS_AT = 60.0
STEADY = Life(99, "steady", 0, "10.0.0.99", -100, FOREVER, "")
OUTSIDE = "203.0.113.7"
_RESOURCES = {
    "services": {"Service"},
    "endpointslices": {"EndpointSlice"},
    "replicasets": {"ReplicaSet"},
    "nodes": {"Node"},
}
_ELSEWHERE = ("10.0.0.3", "10.1.2.7", OUTSIDE, "192.168.0.0", "192.168.0.2", "10.96.0.1", "172.16.5.5")
"""Unknown addresses in the ranges of nodes and outside of them, nodes, a cluster IP."""
_NAMES = ("outside", "pod", "shop", "shop-2", "ext", "alias", "headless", "ghost")
_PORTS = (8080, 8080, 80, 30080, 9000)

Topic = list[KubeObject | WatermarkRecord]


class World(NamedTuple):
    """One world; `seen` holds each observation with the node that made it."""

    lives: list[Life]
    topic: Topic
    seen: list[tuple[str, Observation]]

    def __repr__(self) -> str:
        return "\n".join(map(str, [*self.lives, *self.topic, *self.seen]))


def make_world(rng: random.Random, sightings: int) -> World:
    """Make a world by one generator's choices."""
    sky = Sky(rng)
    lives = [*make_lives(rng, ENDS_AT), STEADY]
    news = sorted(tell(sky, lives), key=lambda each: each.at)
    moments = [each.at for each in news if 0 < each.at < ENDS_AT]
    seen = [_sighting(sky, lives, moments) for _ in range(sightings)]
    return World(lives, list(_topic(news, rng)), seen)


def compacted(topic: Topic) -> Topic:
    """Keep the last record of each key, as the broker does, each where it stood."""
    last = {getattr(record, "uid", "watermark"): position for position, record in enumerate(topic)}
    return [topic[position] for position in sorted(last.values())]


def _topic(news: list[News], rng: random.Random) -> Iterator[KubeObject | WatermarkRecord]:
    """Project what the API server says, in its order, with a heartbeat each second; nothing in a gap but its relist."""
    denied = rng.choice([(), (), (), ("services", "endpointslices"), ("endpointslices",), ("replicasets",), ("nodes",)])
    hidden = {kind for resource in denied for kind in _RESOURCES[resource]}
    news = [each for each in news if each.obj["kind"] not in hidden]
    gaps = [(end - rng.uniform(0, 8), end) for end in sorted(rng.uniform(10, 55) for _ in range(rng.choice([0, 1, 2])))]
    steps: list[tuple[float, int, News | None]] = [(each.at, 1, each) for each in news if not _within(each.at, gaps)]
    steps += [(float(second), 2, None) for second in range(150) if not _within(second, gaps)]
    steps += [(end, 0, None) for _, end in gaps]
    projector, told = Projector(CLUSTER, SETTINGS), Topic()
    for at, order, each in sorted(steps, key=lambda step: step[:2]):
        said: list[KubeObject | WatermarkRecord] = []
        if order == 0:
            projector = _successor(told) if rng.random() < 0.5 else projector
            said.extend(_relist(projector, news, at))
        elif each is None:
            projector.promise(nanoseconds(at))
            said.append(WatermarkRecord(cluster=CLUSTER, at=nanoseconds(at), denied=denied))
        elif (record := projector.apply(each.op, raw(each.obj), nanoseconds(at))) is not None:
            said.append(record)
        told += said
        yield from said


def _successor(told: Topic) -> Projector:
    """Start another watcher on what the topic holds."""
    projector = Projector(CLUSTER, SETTINGS)
    for record in compacted(told):
        if isinstance(record, WatermarkRecord):
            projector.promise(record.at)
        else:
            projector.restore(record)
    return projector


def _relist(projector: Projector, news: list[News], at: float) -> Iterator[KubeObject]:
    existing: dict[str, dict[str, Any]] = {}
    for each in news:
        if each.at <= at:
            existing[each.obj["metadata"]["uid"]] = each.obj
            if each.op == "DELETED":
                del existing[each.obj["metadata"]["uid"]]
    kinds: tuple[KubeKind, ...] = ("Node", "Service", "ReplicaSet", "EndpointSlice", "Pod")
    for kind in kinds:
        objects = [decode_kind(kind, raw(each)) for each in existing.values() if each["kind"] == kind]
        yield from projector.relist(kind, objects, nanoseconds(at))


def _within(at: float, gaps: list[tuple[float, float]]) -> bool:
    return any(start <= at <= end for start, end in gaps)


def _sighting(sky: Sky, lives: list[Life], moments: list[float]) -> tuple[str, Observation]:
    """See something of an address, mostly about when something changes."""
    rng, life, node = sky.rng, sky.rng.choice(lives), sky.rng.randrange(3)
    about = rng.choice([life.start, life.end, rng.choice(moments), rng.uniform(0, ENDS_AT)])
    true_at = min(max(about + rng.uniform(-3, 4), 0), ENDS_AT)
    at = nanoseconds(true_at + sky.skews[node])
    address = rng.choice([life.address] * 8 + [sky.second_address(life), rng.choice(_ELSEWHERE)])
    if rng.random() < 0.3:
        return f"node-{node}", _answer(rng, address, at)
    peer = STEADY.address if rng.random() < 0.8 else rng.choice(lives).address
    client, server = (address, peer) if rng.random() < 0.6 else (peer, address)
    learnt = rng.random() < 0.3
    return f"node-{node}", ConnectionObservation(
        observed_at=at,
        network_transport="tcp",
        client_address=client,
        server_address=OUTSIDE if learnt else server,
        server_port=rng.choice(_PORTS),
        evidence="syn",
        pod_uid=f"uid-{life.number}" if rng.random() < 0.1 else None,
        dns_question_name="outside.example" if learnt else None,
        dns_observed_at=at - round(rng.uniform(0, 30)) * SECOND if learnt else None,
    )


def _answer(rng: random.Random, address: str, at: int) -> DnsObservation:
    name = rng.choice(_NAMES)
    asked = {"outside": "outside.example", "pod": "10-0-0-1.storm.pod.cluster.local"}.get(
        name, f"{name}.storm.svc.cluster.local"
    )
    targets = {"ext": "db.example.com", "alias": "shop.storm.svc.cluster.local"}
    client, answered = (address, rng.choice(_ELSEWHERE)) if rng.random() < 0.5 else (STEADY.address, address)
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address=client,
        server_address="10.96.0.10",
        dns_question_name=asked,
        dns_question_type="A",
        addresses=(answered,),
        cnames=(targets[name],) if name in targets and rng.random() < 0.5 else (),
    )
