"""Calls into edges: one more call, the next state of its edge. Pure.

In: the edge so far, or None, and one call (`callgraph.records`). Out: the edge with the call in it.

Times are minima and maxima, the rest are bounded unions that keep the smallest, so those depend neither on order nor
on repetition. The number of observations is exact as well, because the edge remembers what it has counted: per
partition of the raw topics a floor, and for each offset from the floor on a set of bits, one per position in the
batch. A position below the floor or already in the set is a replay and is not counted again.

The floor comes with the call, from the worker that resolved it: everything below it was delivered before this call was
sent. Counts are therefore exact if, per edge, each call arrives for the first time before any call whose floor is above
its offset. The `calls` topic keeps that order, because an edge lives on one partition of it and a worker raises a floor
only after the broker has acknowledged what lies below. Under that condition any order and any number of repetitions
give the same edge.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from callgraph.codec import encode_key
from callgraph.records import Applied, Call, CallOrigin, Edge

MOST_KEPT = 16
"""Names, services and nodes that an edge keeps of each."""

MOST_EXEMPLARS = 4
"""Raw batches that an edge points to."""

T = TypeVar("T", bound=str)


def edge_key(edge: Edge | Call) -> bytes:
    """Return the key under which the edge (of a call) is published: client, server, port, transport."""
    client, server = edge.client, edge.server
    return encode_key(
        client.cluster,
        client.namespace,
        client.kind,
        client.name,
        server.cluster,
        server.namespace,
        server.kind,
        server.name,
        edge.server_port,
        edge.network_transport,
    )


def fold(edge: Edge | None, call: Call) -> Edge:
    """Add a call to its edge; the same object when the edge says all of it already.

    The caller sees to it that both have the same key.
    """
    if edge is None:
        edge = _new_edge(call)
    origin = call.origin
    partition = _name_partition(origin.topic, origin.partition)
    before = edge.applied.get(partition, _NOTHING_APPLIED)
    applied, counted = _count(before, origin)
    evidence = _union(edge.evidence, call.evidence)
    dns_names = _union(edge.dns_names, call.dns_names)
    services = _union(edge.services, call.services)
    nodes = _union(edge.nodes, call.nodes)
    if applied is before and _holds(edge, call, (evidence, dns_names, services, nodes)):
        return edge
    return Edge(
        client=edge.client,
        server=edge.server,
        server_port=edge.server_port,
        network_transport=edge.network_transport,
        evidence=evidence,
        dns_names=dns_names,
        services=services,
        nodes=nodes,
        first_seen=min(edge.first_seen, call.first_seen),
        last_seen=max(edge.last_seen, call.last_seen),
        observations=edge.observations + counted,
        exemplars=edge.exemplars,
        applied=edge.applied | {partition: applied},
    )


def with_exemplars(edge: Edge) -> Edge:
    """Point to raw batches that the edge rests on: the newest of each partition, of the first partitions by name.

    Apart from `fold`, because it follows from what is applied and is wanted only where an edge is published.
    """
    newest = (
        f"{partition}/{max(map(int, applied.offsets))}"
        for partition, applied in sorted(edge.applied.items())
        if applied.offsets
    )
    return replace(edge, exemplars=tuple(islice(newest, MOST_EXEMPLARS)))


def says_more(after: Edge, before: Edge | None) -> bool:
    """Tell whether an edge says something that readers should not wait for: a new edge, evidence, name or service."""
    return before is None or (
        after.evidence != before.evidence or after.dns_names != before.dns_names or after.services != before.services
    )


_NOTHING_APPLIED = Applied()


@lru_cache(maxsize=10_000)
def _name_partition(topic: str, partition: int) -> str:
    """Spell a partition; all edges share one spelling, so it is hashed and kept once."""
    return f"{topic}/{partition}"


def _new_edge(call: Call) -> Edge:
    return Edge(
        client=call.client,
        server=call.server,
        server_port=call.server_port,
        network_transport=call.network_transport,
        first_seen=call.first_seen,
        last_seen=call.last_seen,
    )


def _holds(edge: Edge, call: Call, unions: tuple[tuple[str, ...], ...]) -> bool:
    """Tell whether an edge, whose unions with the call are given, says all that the call says."""
    return unions == (edge.evidence, edge.dns_names, edge.services, edge.nodes) and (
        edge.first_seen <= call.first_seen and call.last_seen <= edge.last_seen
    )


def _count(applied: Applied, origin: CallOrigin) -> tuple[Applied, int]:
    """Return what is applied with the origin in it, and how many observations that adds."""
    offsets, floor, counted = applied.offsets, applied.floor, 0
    marked: dict[str, str] = {}
    if origin.offset >= floor:
        name = str(origin.offset)
        known = offsets.get(name)
        bits, counted = _mark(origin) if known is None else _mark_more(int(known, 16), origin)
        text = f"{bits:x}"
        if text != known:
            marked[name] = text
    if origin.floor > floor:
        floor = origin.floor
        offsets = {offset: bits for offset, bits in (offsets | marked).items() if int(offset) >= floor}
    elif marked:
        offsets = offsets | marked
    else:
        return applied, 0
    return Applied(floor=floor, offsets=offsets), counted


def _mark(origin: CallOrigin) -> tuple[int, int]:
    """Return the bits of the positions, and what they count for."""
    bits = 0
    for index in origin.indexes:
        bits |= 1 << index
    return bits, sum(origin.counts)


def _mark_more(bits: int, origin: CallOrigin) -> tuple[int, int]:
    """Return the bits with the positions among them, and what those count for that were not."""
    counted = 0
    for index, count in zip(origin.indexes, origin.counts, strict=True):
        if not bits >> index & 1:
            bits |= 1 << index
            counted += count
    return bits, counted


def _union(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    """Unite two sorted sets, keeping the smallest: what is dropped once would be dropped in any other order too."""
    if one == other:
        return one
    for name in other:
        if name not in one and (len(one) < MOST_KEPT or name < one[-1]):
            return tuple(sorted({*one, *other})[:MOST_KEPT])
    return one
