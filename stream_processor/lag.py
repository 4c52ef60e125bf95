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
    """Records left, and the finished position, per partition."""

    left: Mapping[Partition, int]
    finished: Mapping[Partition, int]


async def measure_lag(consumer: Any, shift: Shift) -> Lag:
    """Compare what is finished with what there is. Raises TimeoutError when the brokers do not answer."""
    partitions = sorted(consumer.assignment())
    async with asyncio.timeout(_ANSWER_SECONDS):
        ends = await consumer.highwaters(*partitions)
        starts = await consumer.earliest_offsets(*partitions)
    finished = {
        (topic, number): max(_finished(consumer, shift, (topic, number)), starts[topic, number])
        for topic, number in partitions
    }
    return Lag({partition: max(ends[partition] - done, 0) for partition, done in finished.items()}, finished)


def _finished(consumer: Any, shift: Shift, partition: Partition) -> int:
    for ledger in (shift.resolving.ledger, shift.folding.ledger):
        done = ledger.finished(partition)
        if done is not None:
            return done
    # Nothing was taken in this shift: it goes on where the last commit was.
    return consumer._committed_offset.get(partition) or 0  # noqa: SLF001  (faust is pinned; there is no other way)
