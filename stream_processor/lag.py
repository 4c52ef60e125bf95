"""How far the worker is behind on each of its partitions. Shell: asks the brokers through Faust's consumer.

The ends are asked for, not taken from the last fetch: when fetching itself has stopped, the last fetch knows no lag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from stream_processor.shift import Shift

_ANSWER_SECONDS = 10.0

Partition = tuple[str, int]


class Lag(NamedTuple):
    """Per partition what is not finished, and the age of the oldest record taken, in seconds; `untaken` of all."""

    unfinished: Mapping[Partition, int]
    ages: Mapping[Partition, float]
    taken: Mapping[Partition, int]
    untaken: int


async def measure_lag(consumer: Any, shift: Shift, *, now: float) -> Lag:
    """Compare what is finished with what there is; `now` is in seconds of the wall clock.

    Raises TimeoutError when the brokers do not answer.
    """
    partitions = sorted(consumer.assignment())
    async with asyncio.timeout(_ANSWER_SECONDS):
        ends = await consumer.highwaters(*partitions)
        starts = await consumer.earliest_offsets(*partitions)
    unfinished, ages, taken = {}, {}, {}
    for partition in partitions:
        # Nothing taken in this shift: it goes on where the last commit was, or where the log begins.
        committed = consumer._committed_offset.get(partition) or 0  # noqa: SLF001  (faust is pinned; no other way)
        begun = max(committed, starts[partition])
        ledger = shift.ledger_of(partition)
        oldest = ledger.oldest(partition)
        ages[partition] = max(now - oldest.timestamp, 0.0) if oldest else 0.0
        taken[partition] = _or(ledger.taken(partition), begun)
        unfinished[partition] = max(ends[partition] - _or(ledger.finished(partition), begun), 0)
    return Lag(unfinished, ages, taken, sum(max(ends[partition] - offset, 0) for partition, offset in taken.items()))


def _or(offset: int | None, otherwise: int) -> int:
    return otherwise if offset is None else offset
