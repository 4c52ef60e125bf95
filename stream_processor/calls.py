"""Decisions about observations into calls, and calls into records of bounded size. Pure.

In: what attribution decided. Out: one `Call` per edge and raw batch, with the positions that it stands for; then, per
partition of the call graph, encoded `CallBatch` records. Faust spends 60 to 80 microseconds on each record whatever is
in it, so calls travel together: one record per partition for everything that was decided at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from callgraph.codec import Codec, encode
from callgraph.records import Call, CallBatch, CallOrigin
from stream_processor.attribution import Decision, Origin
from stream_processor.fold import edge_key
from stream_processor.partitioner import partition_of
from stream_processor.resolve import Attributed

T = TypeVar("T", bound=str)

MOST_RECORD_BYTES = 512 * 1024
"""Half of what brokers and producers accept by default (1 MiB)."""

_MOST_KNOWN = 200_000
"""Edges whose partitions are remembered; beyond it all are forgotten. One takes about 200 bytes."""


Sighting = tuple[Decision, Attributed]


def gather_calls(decisions: Iterable[Decision], *, floor: Callable[[Origin], int]) -> list[Call]:
    """Make one call per edge and batch. `floor` tells below which offset of its partition everything is finished."""
    batches: dict[Origin, dict[Hashable, list[Sighting]]] = {}
    origin = None
    for decision in decisions:
        if decision.origin is not origin:  # they come in runs
            origin = decision.origin
            ends = batches.setdefault(origin, {})
        for attributed in decision.attributed:
            # Workloads are told apart by identity: hashing their eight names would cost more than all the rest, and
            # the inventory hands out one object for each. Two objects for one would make two calls, counted once.
            key = (id(attributed.client), id(attributed.server), attributed.server_port, attributed.network_transport)
            ends.setdefault(key, []).append((decision, attributed))
    return [_call(origin, floor(origin), sightings) for origin, ends in batches.items() for sightings in ends.values()]


class EdgePartitions:
    """The partition of the call graph that each edge lives on, remembered.

    The hash costs 10 microseconds in Python, and the same edges come again and again.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._known: dict[bytes, int] = {}

    def of(self, call: Call) -> int:
        """Return the partition of the call's edge."""
        key = edge_key(call)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = partition_of(key, self._partitions)
        return found


def partition_calls(calls: Iterable[Call], partitions: EdgePartitions) -> dict[int, list[Call]]:
    """Sort calls by the partition of the call graph that their edge lives on."""
    found: defaultdict[int, list[Call]] = defaultdict(list)
    for call in calls:
        found[partitions.of(call)].append(call)
    return found


def encode_calls(calls: list[Call], codec: Codec) -> list[bytes]:
    """Encode calls as one record, or as several where one would be too large."""
    value = encode(CallBatch(calls=tuple(calls)), codec)
    if len(value) <= MOST_RECORD_BYTES or len(calls) == 1:
        return [value]
    middle = len(calls) // 2
    return encode_calls(calls[:middle], codec) + encode_calls(calls[middle:], codec)


def _call(origin: Origin, floor: int, sightings: list[Sighting]) -> Call:
    decision, attributed = sightings[0]
    indexes, counts = _counts(sightings)
    times = [observation.observed_at for each, _ in sightings for observation in each.observations]
    return Call(
        client=attributed.client,
        server=attributed.server,
        server_port=attributed.server_port,
        network_transport=attributed.network_transport,
        evidence=_sorted([each.evidence for _, each in sightings]),
        dns_names=_sorted([each.dns_name for _, each in sightings]),
        services=_sorted([each.service for _, each in sightings]),
        nodes=(decision.node,),
        first_seen=min(times),
        last_seen=max(times),
        origin=CallOrigin(
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            indexes=tuple(indexes),
            counts=tuple(counts),
            floor=floor,
        ),
    )


def _counts(sightings: list[Sighting]) -> tuple[Iterable[int], Iterable[int]]:
    """Return positions and what each counts for: once, also where an answer holds several addresses of one server."""
    if len(sightings) == 1:  # nearly always
        decision, _ = sightings[0]
        return decision.indexes, [observation.count for observation in decision.observations]
    counts: dict[int, int] = {}
    for decision, _ in sightings:
        for index, observation in zip(decision.indexes, decision.observations, strict=True):
            counts[index] = observation.count
    return counts.keys(), counts.values()


def _sorted(names: Sequence[T | None]) -> tuple[T, ...]:
    if len(names) == 1:  # nearly always
        return () if names[0] is None else (names[0],)
    return tuple(sorted({name for name in names if name}))
