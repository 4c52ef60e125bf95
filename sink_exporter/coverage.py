"""What an export rests on: which nodes reported, from when to when, what was lost, what stayed unresolved. Pure.

In: records of the coverage topic. Out: one summary, which stands beside the files and in JSON, never in a file that a
repository tracks: it changes with every minute. The topic keeps seven days, as the raw topics do, so that is the
longest window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from callgraph.codec import decode
from callgraph.errors import DecodeError
from callgraph.records import CoverageRecord
from sink_exporter.timestamps import format_time

SILENT_NANOSECONDS = 300_000_000_000
"""A node is silent when its last batch is so much older than the newest of any node; an agent that has nothing to say
sends a batch each minute (`agent.publish.heartbeat_seconds`)."""

_LATEST_TIME = 2**63 - 1


class Coverage(Struct, frozen=True, kw_only=True):
    """What is known of the ground that a graph stands on. Times are RFC 3339; nodes bear their cluster if several do.

    `lost_batches` were sent or numbered by an agent and never read; `dropped` counts what agents received and could not
    use, `kernel_dropped` what the kernel could not hand them. `unresolved` counts observations without both ends.
    """

    nodes_reporting: tuple[str, ...]
    nodes_silent: tuple[str, ...]
    since: str
    until: str
    batches: int
    lost_batches: int
    received: int
    dropped: int
    kernel_dropped: int
    observations: int
    unresolved: dict[str, int]
    unresolved_share: float


class CoverageTable:
    """The latest record of each key of the coverage topic."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._records: dict[bytes | None, CoverageRecord] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic."""
        if value is None:
            self._records.pop(key, None)
            return
        try:
            self._records[key] = _decode(value)
        except DecodeError as error:
            self.skipped[error.reason] += 1

    def records(self) -> Iterable[CoverageRecord]:
        """Return the records that stand."""
        return self._records.values()


def summarize_coverage(records: Iterable[CoverageRecord]) -> Coverage | None:
    """Sum up all records; None where there are none, which is no statement about the nodes."""
    records = tuple(records)
    if not records:
        return None
    since, until = min(record.from_at for record in records), max(record.to_at for record in records)
    last = _last_batches(records)
    silent = [node for node, at in last.items() if at < until - SILENT_NANOSECONDS]
    observations = sum(record.observations for record in records)
    unresolved: Counter[str] = Counter()
    for record in records:
        unresolved.update(record.unresolved)
    return Coverage(
        nodes_reporting=tuple(sorted(last.keys() - silent)),
        nodes_silent=tuple(sorted(silent)),
        since=format_time(since),
        until=format_time(until),
        batches=sum(record.batches for record in records),
        lost_batches=sum(record.lost_batches for record in records),
        received=sum(record.received for record in records),
        dropped=sum(record.dropped for record in records),
        kernel_dropped=sum(record.kernel_dropped for record in records),
        observations=observations,
        unresolved=dict(sorted(unresolved.items())),
        unresolved_share=round(unresolved.total() / observations, 6) if observations else 0.0,
    )


def encode_coverage(coverage: Coverage) -> bytes:
    """Write the summary as the file beside an export."""
    return msgspec.json.format(msgspec.json.encode(coverage), indent=2) + b"\n"


def describe_coverage(coverage: Coverage) -> str:
    """Say the same in one line, for commits and logs."""
    reporting, silent = len(coverage.nodes_reporting), len(coverage.nodes_silent)
    nodes = f"{reporting} of {reporting + silent} nodes reporting"
    lost = f"{coverage.kernel_dropped} packets and {coverage.lost_batches} batches lost"
    share = f"{coverage.unresolved_share:.1%} of {coverage.observations} observations unresolved"
    return f"{nodes}, {coverage.since} to {coverage.until}, {lost}, {share}"


def _decode(value: bytes) -> CoverageRecord:
    record = decode(value, CoverageRecord)
    if not 0 <= record.from_at <= record.to_at <= _LATEST_TIME:
        raise DecodeError("wrong_shape", f"sent from {record.from_at} to {record.to_at}")
    return record


def _last_batches(records: tuple[CoverageRecord, ...]) -> dict[str, int]:
    """Return when each node sent its last batch."""
    several = len({record.cluster for record in records}) > 1
    last: dict[str, int] = {}
    for record in records:
        node = f"{record.cluster}/{record.node}" if several else record.node
        last[node] = max(last.get(node, 0), record.to_at)
    return last
