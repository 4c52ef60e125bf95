"""What a worker tells of how far it is behind."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from stream_processor.counts import Counts
from stream_processor.lag import measure_lag
from stream_processor.ledger import Ledger

RAW = ("raw", 0)


class Consumer:
    """Knows one partition, with records from 3 to 9, of which those below 5 are committed."""

    def __init__(self):
        self._committed_offset = {RAW: 5}

    def assignment(self):
        return {RAW}

    async def highwaters(self, *_):
        return {RAW: 10}

    async def earliest_offsets(self, *_):
        return {RAW: 3}


def lag_of(ledger, *, now=100.0):
    shift = SimpleNamespace(ledger_of=lambda _: ledger)
    return asyncio.run(measure_lag(Consumer(), shift, now=now))


def test_before_anything_is_taken_the_lag_counts_from_the_last_commit():
    lag = lag_of(Ledger())
    assert (lag.unfinished[RAW], lag.untaken, lag.ages[RAW]) == (5, 5, 0.0)


def test_the_oldest_record_that_is_not_finished_tells_the_age():
    ledger = Ledger()
    ledger.open(RAW, 5, SimpleNamespace(timestamp=60.0))
    second = ledger.open(RAW, 6, SimpleNamespace(timestamp=90.0))
    ledger.settle(second)
    lag = lag_of(ledger)
    assert (lag.unfinished[RAW], lag.untaken, lag.ages[RAW]) == (5, 3, 40.0)


def test_partitions_that_others_own_by_now_are_not_told_of_any_more():
    counts = Counts()
    counts.set("lag_records", 7, topic="raw", partition="0")
    counts.forget("lag_records")
    assert b"lag_records{" not in counts.exposition()
