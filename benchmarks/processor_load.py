"""What the agents of a made-up cluster send to the stream processor. Seeded; pure.

30 pods a node, all of different workloads, 10 pods a workload; every workload calls six Services. Half of the batches
are DNS answers with the Service's cluster IP, half are connections to a pod behind it. A batch of 500 speaks of some
170 different edges, which is what decides how much folding there is for each observation.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from benchmarks.large_cluster import BORN, CLUSTER, PODS_A_WORKLOAD, SECOND
from callgraph.codec import encode, encode_key
from callgraph.records import ConnectionBatch, ConnectionObservation, DnsAnswerBatch, DnsObservation, ObservationBatch
from callgraph.topics import TopicName

PODS_A_NODE, TARGETS = 30, 6


def make_load(pods: int, *, batches: int, size: int, seed: int = 1) -> Iterator[tuple[TopicName, bytes, bytes]]:
    """Yield topic, key and value of each batch."""
    rng = random.Random(seed)
    workloads = pods // PODS_A_WORKLOAD
    nodes = max(1, pods // PODS_A_NODE)
    for number in range(batches):
        node = rng.randrange(nodes)
        batch = _batch(rng, workloads, node, number, size)
        topic: TopicName = "dns-answers" if number % 2 else "connections"
        yield topic, encode_key(CLUSTER, batch.node), encode(batch)


def _batch(rng: random.Random, workloads: int, node: int, number: int, size: int) -> ObservationBatch:
    seen_at = BORN + 3600 * SECOND + number * 1_000_000
    common = {"cluster": CLUSTER, "node": f"node-{node}", "boot_id": "b", "sequence": number, "sent_at": seen_at}
    ends = [_ends(rng, workloads, node) for _ in range(size)]
    if number % 2:
        return DnsAnswerBatch(**common, observations=tuple(answer_of(*each, seen_at) for each in ends))
    return ConnectionBatch(**common, observations=tuple(connection_of(*each, seen_at) for each in ends))


def _ends(rng: random.Random, workloads: int, node: int) -> tuple[str, int, int]:
    """Choose a client pod of the node, and one of the Services that its workload calls."""
    return ends_of(workloads, node, place=rng.randrange(PODS_A_NODE), target=rng.randrange(TARGETS))


def ends_of(workloads: int, node: int, *, place: int, target: int) -> tuple[str, int, int]:
    """Return the address of a node's pod, the workload that it calls, and a pod of that."""
    workload = (node * PODS_A_NODE + place) % workloads
    client = workload * PODS_A_WORKLOAD + node * PODS_A_NODE // workloads % PODS_A_WORKLOAD
    server = (workload + 1 + target * 131) % workloads  # never itself
    return _address(10, client), server, server * PODS_A_WORKLOAD + (node + place) % PODS_A_WORKLOAD


def answer_of(client: str, workload: int, _: int, seen_at: int) -> DnsObservation:
    """Return what the agent sees of a look-up."""
    return DnsObservation(
        observed_at=seen_at,
        network_transport="udp",
        client_address=client,
        server_address="172.20.0.10",
        dns_question_name=f"app-{workload}.team-{workload % 40}.svc.cluster.local",
        dns_question_type="A",
        addresses=(_address(172, workload),),
        ttl_seconds=30,
    )


def connection_of(client: str, _: int, server: int, seen_at: int) -> ConnectionObservation:
    """Return what the agent sees of a connection."""
    return ConnectionObservation(
        observed_at=seen_at,
        network_transport="tcp",
        client_address=client,
        server_address=_address(10, server),
        server_port=8080,
        evidence="syn",
    )


def _address(first: int, number: int) -> str:
    return f"{first}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
