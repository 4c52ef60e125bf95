"""Waits until the processor has finished all that the topics hold. Shell: confluent-kafka.

Finished means: the group's committed offset has reached the end of every partition, first of the raw topics, then of
the calls that they caused. The processor commits only what is delivered, so nothing is on its way any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from callgraph.clients import consumer_config
from callgraph.errors import WhocallsError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TopicName, full_name

_STAGES: tuple[tuple[TopicName, ...], ...] = (("dns-answers", "connections"), ("calls",))


def await_drained(
    kafka: KafkaSettings, topics: TopicSettings, *, group: str, seconds: float, check: Callable[[], None]
) -> int:
    """Wait until the group has finished every stage; `check` is called in between and may raise.

    Returns how many records the stages held. Raises WhocallsError when it takes longer than `seconds`.
    """
    from confluent_kafka import Consumer  # noqa: PLC0415  (28 MB, only where a pipeline is watched)

    deadline = time.monotonic() + seconds
    consumer = Consumer(consumer_config(kafka, client_id="whocalls-drained") | {"group.id": group})
    try:
        return sum(
            _await_stage(consumer, [full_name(name, topics) for name in stage], deadline, check) for stage in _STAGES
        )
    finally:
        consumer.close()


def _await_stage(consumer: object, names: Sequence[str], deadline: float, check: Callable[[], None]) -> int:
    from confluent_kafka import KafkaException  # noqa: PLC0415  (as above)

    while True:
        check()
        try:
            left, total = _distance(consumer, names)
        except KafkaException as error:
            if not is_passing(error.args[0]):
                raise WhocallsError(f"cannot ask how far the processor is: {error.args[0].str()}") from error
            behind = f"how far the processor is cannot be asked yet: {error.args[0].str()}"
        else:
            if left == 0:
                return total
            behind = f"the processor is still {left} records behind on {', '.join(names)} (see its log)"
        if time.monotonic() > deadline:
            raise WhocallsError(behind)
        time.sleep(0.1)


def is_passing(error: Any) -> bool:
    """Tell whether an error of the client will pass: on a fresh broker the group's coordinator is not there at once."""
    from confluent_kafka import KafkaError  # noqa: PLC0415  (as above)

    passing = (
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  (the client's own codes have no public name)
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    )
    return error.code() in passing


def _distance(consumer: object, names: Sequence[str]) -> tuple[int, int]:
    """Return how many records the group has not finished, and how many there are."""
    from confluent_kafka import TopicPartition  # noqa: PLC0415

    metadata = consumer.list_topics(timeout=10).topics  # type: ignore[attr-defined]
    partitions = [TopicPartition(name, number) for name in names for number in metadata[name].partitions]
    left = total = 0
    for committed in consumer.committed(partitions, timeout=10):  # type: ignore[attr-defined]
        low, high = consumer.get_watermark_offsets(TopicPartition(committed.topic, committed.partition), timeout=10)  # type: ignore[attr-defined]
        left += high - max(committed.offset, low)
        total += high - low
    return left, total
