"""The records of a topic from a moment to its present end, without a consumer group. Shell: confluent-kafka.

"Present" is when the reading began. Errors of the topic are one sentence each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

from callgraph.clients import consumer_config
from callgraph.errors import TopicError, UnreachableError
from callgraph.settings import KafkaSettings
from whocalls.drained import is_passing

_AT_ONCE = 500
_SLICE_SECONDS = 0.5
_RETRY_SECONDS = 0.1
_NS_PER_MS = 1_000_000


class TopicSpan:
    """One topic, opened at a moment: `from_at` in nanoseconds by the time that Kafka keeps, None from its beginning."""

    def __init__(self, kafka: KafkaSettings, topic: str, *, client_id: str, from_at: int | None = None) -> None:
        """Raises TopicError or UnreachableError."""
        from confluent_kafka import Consumer  # noqa: PLC0415  (28 MB that the help does without)

        self.topic = topic
        self._kafka = kafka
        self._group = client_id
        self._consumer = Consumer(consumer_config(kafka, client_id=client_id))
        self.ends: dict[int, int] = {}
        """The offset after the last record, of every partition."""
        self._starts = self._find(from_at)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._consumer.close()

    @property
    def size(self) -> int:
        """How many records there are at most: compaction and transactions leave gaps."""
        return sum(self.ends[partition] - start for partition, start in self._starts.items())

    def records(self) -> Iterator[Any]:
        """Yield the records, those of a partition in their order. Raises TopicError or UnreachableError."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        left = {partition: end for partition, end in self.ends.items() if self._starts[partition] < end}
        self._consumer.assign([TopicPartition(self.topic, partition, self._starts[partition]) for partition in left])
        deadline = time.monotonic() + self._kafka.connect_seconds
        while left:
            messages = self._consumer.consume(_AT_ONCE, _SLICE_SECONDS)
            for message in messages:
                yield from self._admit(message, left)
            if messages:
                deadline = time.monotonic() + self._kafka.connect_seconds
            elif time.monotonic() > deadline:
                raise UnreachableError(
                    f"Kafka at {self._kafka.bootstrap_servers!r} stopped sending the topic {self.topic!r} "
                    f"for {self._kafka.connect_seconds:g} s (is every partition's leader up?)"
                )

    def require_readable(self) -> None:
        """Fetch once at the end, which a broker allows or refuses even where there is nothing.

        Raises TopicError or UnreachableError.
        """
        from confluent_kafka import KafkaError, TopicPartition  # noqa: PLC0415

        number, end = next(iter(self.ends.items()))
        self._consumer.assign([TopicPartition(self.topic, number, end)])
        message = self._consumer.poll(self._kafka.connect_seconds)
        error = message.error() if message else None
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  (its public name has none)
            raise self._failure(error)

    def _admit(self, message: Any, left: dict[int, int]) -> Iterator[Any]:
        from confluent_kafka import KafkaError  # noqa: PLC0415

        partition = message.partition()
        error = message.error()
        if error is None:
            if message.offset() < self.ends[partition]:
                yield message
            reached = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (its public name has none)
            reached = message.offset()
        else:
            raise self._failure(error)
        if reached >= left.get(partition, reached + 1):
            del left[partition]

    def _find(self, from_at: int | None) -> dict[int, int]:
        """Return where each partition begins, and note where it ends."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        seconds = self._kafka.connect_seconds
        known = self._ask(lambda: self._consumer.list_topics(self.topic, timeout=seconds)).topics[self.topic]
        if known.error is not None:
            raise self._failure(known.error)
        starts: dict[int, int] = {}
        for number in known.partitions:
            starts[number], self.ends[number] = self._ask(partial(self._watermarks, number))
        if from_at is not None:
            asked = [TopicPartition(self.topic, number, max(from_at // _NS_PER_MS, 0)) for number in starts]
            for found in self._ask(lambda: self._consumer.offsets_for_times(asked, timeout=seconds)):
                # Negative: there is no record so late.
                starts[found.partition] = found.offset if found.offset >= 0 else self.ends[found.partition]
        return starts

    def _watermarks(self, number: int) -> tuple[int, int]:
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        partition = TopicPartition(self.topic, number)
        first, end = self._consumer.get_watermark_offsets(partition, timeout=self._kafka.connect_seconds)
        return first, end

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask again while the answer is "not yet", as of a topic just made."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        deadline = time.monotonic() + self._kafka.connect_seconds
        while True:
            try:
                return question()
            except KafkaException as error:
                if not is_passing(error.args[0]) or time.monotonic() > deadline:
                    raise self._failure(error.args[0]) from error
                time.sleep(_RETRY_SECONDS)

    def _failure(self, error: Any) -> TopicError | UnreachableError:
        from confluent_kafka import KafkaError  # noqa: PLC0415

        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return TopicError(f"may not read the topic {self.topic!r}: {error.str()} (grant Describe and Read on it)")
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return TopicError(f"Kafka wants a right on the group {self._group!r}: {error.str()} (grant Describe on it)")
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001  (as above)
            return TopicError(f"there is no topic {self.topic!r} any more: {error.str()} (was it deleted?)")
        return UnreachableError(
            f"cannot read the topic {self.topic!r} at {self._kafka.bootstrap_servers!r}: {error.str()} "
            "(check that the brokers are up)"
        )
