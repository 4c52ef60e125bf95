"""The state of the compacted call-graph topic: the latest record of each key. Pure.

In: keys and values in the order of their offsets. Out: edges. A record without a value is a tombstone and deletes. A
record that is no edge is counted by reason and leaves what was known under its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from callgraph.codec import decode
from callgraph.errors import DecodeError
from callgraph.records import Edge, Workload
from sink_exporter.graph import edge_key

_LATEST_TIME = 2**63 - 1


class Change(Struct, frozen=True, kw_only=True):
    """What became of one edge since the last look: new without `before`, gone without `after`."""

    before: Edge | None = None
    after: Edge | None = None


class EdgeTable:
    """Edges by record key.

    `revision` rises with every change; `shape_revision` only with changes that show in files without times and counts.
    With `track_changes`, what changed waits to be taken.
    """

    def __init__(self, *, track_changes: bool = False) -> None:
        self._before: dict[bytes, Edge | None] | None = {} if track_changes else None
        self.skipped: Counter[str] = Counter()
        self.records = 0
        self.revision = 0
        self.shape_revision = 0
        self._edges: dict[bytes, Edge] = {}
        self._workloads: dict[Workload, Workload] = {}

    def __len__(self) -> int:
        return len(self._edges)

    def edges(self) -> Iterable[Edge]:
        """Return the edges that stand."""
        return self._edges.values()

    def take_changes(self) -> list[Change]:
        """Return what is different now from the last time this was asked, in the order it first changed."""
        changed, self._before = self._before or {}, {}
        changes = (Change(before=before, after=self._edges.get(key)) for key, before in changed.items())
        return [change for change in changes if change.before != change.after]

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic."""
        self.records += 1
        try:
            edge = self._decode(value) if value else None
            key = key or _key_of(edge)
        except DecodeError as error:
            self.skipped[error.reason] += 1
            return
        if edge is None:
            self._delete(key)
        else:
            self._put(key, edge)

    def _decode(self, value: bytes) -> Edge:
        edge = decode(value, Edge)
        if not 0 <= edge.first_seen <= edge.last_seen <= _LATEST_TIME:
            raise DecodeError("wrong_shape", f"seen from {edge.first_seen} to {edge.last_seen}")
        # The fold's bookkeeping is of no use here, and the same workloads come again and again.
        return msgspec.structs.replace(
            edge, client=self._intern(edge.client), server=self._intern(edge.server), applied={}
        )

    def _intern(self, workload: Workload) -> Workload:
        return self._workloads.setdefault(workload, workload)

    def _put(self, key: bytes, edge: Edge) -> None:
        known = self._edges.get(key)
        self._remember(key, known)
        self._edges[key] = edge
        self.revision += known != edge
        self.shape_revision += known is None or _shape(known) != _shape(edge)

    def _delete(self, key: bytes) -> None:
        known = self._edges.pop(key, None)
        if known is not None:
            self._remember(key, known)
            self.revision += 1
            self.shape_revision += 1

    def _remember(self, key: bytes, before: Edge | None) -> None:
        if self._before is not None:
            self._before.setdefault(key, before)


def _key_of(edge: Edge | None) -> bytes:
    if edge is None:
        raise DecodeError("empty", "neither key nor value")
    return msgspec.json.encode(edge_key(edge))


def _shape(edge: Edge) -> tuple[object, ...]:
    return edge.client, edge.server, edge.server_port, edge.network_transport, edge.evidence
