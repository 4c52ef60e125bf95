"""A topic read from its first record to its end, and then on, without a consumer group. Shell: aiokafka.

In: a topic, some of its partitions. Out: lists of records in the order of each partition; `None` once, when the end
that the topic had at the start of the reading has been reached. No rebalance disturbs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

_MOST_AT_ONCE = 1000
_WAIT_MS = 500


async def read_topic(
    access: Mapping[str, Any], topic: str, partitions: Iterable[int], *, follow: bool
) -> AsyncIterator[list[Any] | None]:
    """Yield lists of records, then None at the end; then, to follow, more lists for ever.

    `access` are the options of aiokafka that say where the brokers are and who we are (`kafka_access`).
    """
    assigned = [TopicPartition(topic, partition) for partition in partitions]
    if not assigned:
        yield None
        return
    consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", **access)
    await consumer.start()
    try:
        consumer.assign(assigned)
        unread = await _unread(consumer, assigned)
        while unread:
            yield await _some(consumer)
            for partition in [
                partition for partition in unread if await consumer.position(partition) >= unread[partition]
            ]:
                del unread[partition]
        yield None
        while follow:
            yield await _some(consumer)
    finally:
        await consumer.stop()


async def _unread(consumer: AIOKafkaConsumer, assigned: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Return the end of each partition that is not empty."""
    ends = await consumer.end_offsets(assigned)
    starts = await consumer.beginning_offsets(assigned)
    return {partition: end for partition, end in ends.items() if end > starts[partition]}


async def _some(consumer: AIOKafkaConsumer) -> list[Any]:
    found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_AT_ONCE)
    return [record for records in found.values() for record in records]
