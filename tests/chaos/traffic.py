"""What the nodes of a made-up cluster see in each second, known beforehand: the ground truth of the chaos. Pure.

In: a traffic, a node, and a slot (a second since the traffic began). Out: observations, the same whenever they are
asked for. No address has two owners at once, and each edge is named by who had the addresses, not by our own rules.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from callgraph.records import ConnectionObservation, DnsObservation

SECOND = 1_000_000_000
CLUSTER = "east"
PORT = 8080
PODS = 40
LATE_EVERY = 5
"""Slots between two pods that come while the traffic runs."""
ADDRESSES_REUSED = 5

Edge = tuple[str, str, int | None]
"""Client, server, port; None where a DNS answer speaks for it."""
Observation = DnsObservation | ConnectionObservation


class Traffic(NamedTuple):
    """What is sent: `rate` observations a second and node, from `began_at` on (nanoseconds), for `slots` seconds."""

    kind: str
    began_at: int
    slots: int
    rate: int
    nodes: int = 2


def observe_slot(traffic: Traffic, node: int, slot: int) -> Iterator[Observation]:
    """Yield what a node sees in a slot."""
    return _KINDS[traffic.kind](traffic, node, slot)


def name_edge(traffic: Traffic, seen: Observation) -> Edge:
    """Name the edge that an observation speaks for."""
    slot = (seen.observed_at - traffic.began_at) // SECOND
    client = _owner(seen.client_address, slot)
    if isinstance(seen, DnsObservation):
        return client, seen.dns_question_name, None
    return client, _owner(seen.server_address, slot), seen.server_port


def all_edges(traffic: Traffic) -> set[Edge]:
    """Name every edge of the whole traffic."""
    return {
        name_edge(traffic, seen)
        for node in range(traffic.nodes)
        for slot in range(traffic.slots)
        for seen in observe_slot(traffic, node, slot)
    }


def count_edges(traffic: Traffic, seen: Iterable[Observation]) -> Counter[Edge]:
    """Count what observations that reached Kafka stand for."""
    counts: Counter[Edge] = Counter()
    for each in seen:
        counts[name_edge(traffic, each)] += each.count
    return counts


def pod_address(pod: int) -> str:
    """Return the address of a pod that is there all the time."""
    return f"10.0.0.{pod + 1}"


def late_address(number: int) -> str:
    """Return the address of a pod that comes later."""
    return f"10.0.{1 + number // 200}.{1 + number % 200}"


def reused_address(number: int) -> str:
    """Return an address that has a new owner every second."""
    return f"10.0.250.{number + 1}"


def life_name(number: int, slot: int) -> str:
    """Name the owner of a reused address in a slot."""
    return f"life-{number}-{slot}"


def _steady(traffic: Traffic, node: int, slot: int) -> Iterator[Observation]:
    """Nine in ten observations are connections among the pods; one in ten is an edge that is seen this once."""
    rng = random.Random(f"{node}/{slot}")
    for position in range(traffic.rate):
        at = traffic.began_at + slot * SECOND + position * SECOND // traffic.rate
        if position % 10 == 0:
            yield _answer(at, pod_address(rng.randrange(PODS)), f"once-{node}-{slot}-{position}.example")
        else:
            client, server = rng.sample(range(PODS), 2)
            yield _connection(at, pod_address(client), pod_address(server), count=rng.randint(1, 3))
    if node == 0 and slot % LATE_EVERY == LATE_EVERY - 1:
        # Two slots after the pod has come: see `late_pods`.
        yield _answer(at, late_address(slot // LATE_EVERY), f"late-{slot}.example")


def late_pods(slot: int) -> Iterator[tuple[str, str]]:
    """Yield name and address of the pods that come in a slot."""
    if slot % LATE_EVERY == LATE_EVERY - 3:
        number = slot // LATE_EVERY
        yield f"late-{number}", late_address(number)


def _lives(traffic: Traffic, node: int, slot: int) -> Iterator[Observation]:
    """Each owner of a reused address connects once, in the middle of its second."""
    if node == 0:
        at = traffic.began_at + slot * SECOND + SECOND // 2
        for number in range(ADDRESSES_REUSED):
            yield _connection(at, reused_address(number), pod_address(0), count=1)


_KINDS: dict[str, Callable[[Traffic, int, int], Iterator[Observation]]] = {"steady": _steady, "lives": _lives}


def _owner(address: str, slot: int) -> str:
    third, last = map(int, address.split(".")[2:])
    if third == 0:
        return f"pod-{last - 1}"
    return life_name(last - 1, slot) if third == 250 else f"late-{(third - 1) * 200 + last - 1}"


def _answer(at: int, client: str, name: str) -> DnsObservation:
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address=client,
        server_address="10.96.0.10",
        dns_question_name=name,
        dns_question_type="A",
        addresses=("203.0.113.9",),
        ttl_seconds=30,
    )


def _connection(at: int, client: str, server: str, *, count: int) -> ConnectionObservation:
    return ConnectionObservation(
        observed_at=at,
        network_transport="tcp",
        client_address=client,
        server_address=server,
        server_port=PORT,
        evidence="syn",
        count=count,
    )
