"""Decisions about observations into calls, and calls into records of bounded size. Pure.

In: what attribution decided. Out: one `Call` per edge and raw batch, with the positions that it stands for; then, per
partition of the call graph, encoded `CallBatch` records. Faust spends 60 to 80 microseconds on each record whatever is
in it, so calls travel together: one record per partition for everything that was decided at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from callgraph.codec import Codec, encode
from callgraph.records import Call, CallBatch, CallOrigin, Evidence, Transport, Workload
from stream_processor.attribution import Decision, Origin
from stream_processor.fold import edge_key
from stream_processor.partitioner import partition_of
from stream_processor.resolve import Attributed

MOST_RECORD_BYTES = 512 * 1024
"""Half of what brokers and producers accept by default (1 MiB)."""


class _Ends(NamedTuple):
    """An edge as one raw batch speaks of it."""

    origin: Origin
    client: Workload
    server: Workload
    server_port: int | None
    network_transport: Transport | None


class _Sightings:
    """What the decisions so far say of one edge."""

    __slots__ = ("counts", "dns_names", "evidence", "first_seen", "last_seen", "nodes", "services")

    def __init__(self, seen_at: int) -> None:
        self.first_seen = self.last_seen = seen_at
        self.counts: dict[int, int] = {}
        self.evidence: set[Evidence] = set()
        self.dns_names: set[str] = set()
        self.services: set[str] = set()
        self.nodes: set[str] = set()

    def add(self, decision: Decision, attributed: Attributed) -> None:
        seen_at = decision.observation.observed_at
        self.first_seen = min(self.first_seen, seen_at)
        self.last_seen = max(self.last_seen, seen_at)
        # Once per position, also where one answer holds several addresses of the same server.
        self.counts[decision.index] = decision.observation.count
        self.evidence.add(attributed.evidence)
        self.nodes.add(decision.node)
        if attributed.dns_name:
            self.dns_names.add(attributed.dns_name)
        if attributed.service:
            self.services.add(attributed.service)


def gather_calls(decisions: Iterable[Decision], *, floor: Callable[[Origin], int]) -> list[Call]:
    """Make one call per edge and batch. `floor` tells below which offset of its partition everything is finished."""
    sightings: dict[_Ends, _Sightings] = {}
    for decision in decisions:
        for attributed in decision.attributed:
            ends = _Ends(
                decision.origin,
                attributed.client,
                attributed.server,
                attributed.server_port,
                attributed.network_transport,
            )
            found = sightings.get(ends)
            if found is None:
                found = sightings[ends] = _Sightings(decision.observation.observed_at)
            found.add(decision, attributed)
    return [_call(ends, found, floor(ends.origin)) for ends, found in sightings.items()]


def partition_calls(calls: Iterable[Call], partitions: int) -> dict[int, list[Call]]:
    """Sort calls by the partition of the call graph that their edge lives on."""
    found: defaultdict[int, list[Call]] = defaultdict(list)
    for call in calls:
        found[call_partition(call, partitions)].append(call)
    return found


def call_partition(call: Call, partitions: int) -> int:
    """Return the partition of the call's edge."""
    return _key_partition(edge_key(call), partitions)


def encode_calls(calls: list[Call], codec: Codec) -> list[bytes]:
    """Encode calls as one record, or as several where one would be too large."""
    value = encode(CallBatch(calls=tuple(calls)), codec)
    if len(value) <= MOST_RECORD_BYTES or len(calls) == 1:
        return [value]
    middle = len(calls) // 2
    return encode_calls(calls[:middle], codec) + encode_calls(calls[middle:], codec)


def _call(ends: _Ends, found: _Sightings, floor: int) -> Call:
    origin = ends.origin
    return Call(
        client=ends.client,
        server=ends.server,
        server_port=ends.server_port,
        network_transport=ends.network_transport,
        evidence=tuple(sorted(found.evidence)),
        dns_names=tuple(sorted(found.dns_names)),
        services=tuple(sorted(found.services)),
        nodes=tuple(sorted(found.nodes)),
        first_seen=found.first_seen,
        last_seen=found.last_seen,
        origin=CallOrigin(
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            indexes=tuple(found.counts),
            counts=tuple(found.counts.values()),
            floor=floor,
        ),
    )


@lru_cache(maxsize=200_000)
def _key_partition(key: bytes, partitions: int) -> int:
    """The hash costs 5 microseconds in Python, and the same edges come again and again."""
    return partition_of(key, partitions)
