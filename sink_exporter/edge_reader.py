"""The call graph and its coverage, read to the end and followed, without a consumer group. Shell: confluent-kafka.

Two compacted topics, one consumer. "To its end" means the end of every partition as it was when the reading began.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Protocol, Self

from callgraph.broker import Broker
from callgraph.clients import consumer_config
from callgraph.errors import TopicError, UnreachableError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TopicName, full_name
from sink_exporter.coverage import CoverageTable
from sink_exporter.edge_table import EdgeTable

_BATCH = 1_000
_SLICE_SECONDS = 0.2
"""A poll keeps signals waiting for so long."""
_RETRY_SECONDS = 0.1
_AHEAD_KBYTES = 8_192
"""Fetched and not yet taken; librdkafka's own 64 MiB would be a fifth of the memory of a large export."""


class RecordTable(Protocol):
    """What takes the records of a topic, in their order."""

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record."""


class EdgeReader:
    """Reads the topics into tables, the graph `instead` into what is given. Raises UnreachableError or TopicError."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        *,
        client_id: str = "whocalls-exporter",
        table: EdgeTable | None = None,
        instead: RecordTable | None = None,
    ) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition  # noqa: PLC0415  (28 MB that other commands do not need)

        self.table = EdgeTable() if table is None else table
        self.coverage = CoverageTable()
        self.topic = full_name("call-graph", topics)
        self._tables: dict[str, RecordTable] = {
            self.topic: self.table if instead is None else instead,
            full_name("coverage", topics): self.coverage,
        }
        self._kafka = kafka
        self._group = client_id
        self._complaint = ""
        self._reached: dict[tuple[str, int], int] = {}
        counts = Broker(kafka, client_id=client_id).require_role("exporter", topics)
        config = consumer_config(kafka, client_id=client_id) | {"queued.max.messages.kbytes": _AHEAD_KBYTES}
        self._consumer = Consumer(config | {"error_cb": self._hear})
        names: tuple[TopicName, ...] = ("call-graph", "coverage")
        self._partitions = [
            TopicPartition(full_name(name, topics), number, OFFSET_BEGINNING)
            for name in names
            for number in range(counts[name])
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._consumer.close()

    def read_to_end(self, stopped: threading.Event | None = None) -> bool:
        """Read everything that the topics hold now; returns False when it was stopped before the end.

        Raises UnreachableError when the records stop coming.
        """
        ends = self._unread_ends()
        self._consumer.assign(self._partitions)
        deadline = time.monotonic() + self._kafka.connect_seconds
        while (waiting := self._is_before(ends)) and not (stopped and stopped.is_set()):
            if self._poll():
                deadline = time.monotonic() + self._kafka.connect_seconds
            elif time.monotonic() >= deadline:
                raise UnreachableError(self._stalled())
        return not waiting

    def follow(self) -> None:
        """Take what arrives within a moment."""
        if not self._kafka.embedded:
            self._poll()
            return
        # The embedded broker answers an empty fetch at once: without a pause the client would ask without end.
        if self._may_have_more():
            self._consumer.resume(self._partitions)
            # librdkafka's thread sleeps for up to a second before it sees that; to be asked something wakes it.
            self._may_have_more()
            self._poll()
        else:
            self._consumer.pause(self._partitions)
            time.sleep(_SLICE_SECONDS)

    def _is_before(self, ends: dict[tuple[str, int], int]) -> bool:
        return any(self._reached.get(place, 0) < end for place, end in ends.items())

    def _may_have_more(self) -> bool:
        """Ask whether reading stands elsewhere than at the ends; where that fails, the next poll says why."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        try:
            return any(self._ask_end(each) != self._reached.get(_place(each), 0) for each in self._partitions)
        except KafkaException:
            return True

    def _ask_end(self, partition: Any) -> int:
        return int(self._consumer.get_watermark_offsets(partition, timeout=_SLICE_SECONDS)[1])

    def _unread_ends(self) -> dict[tuple[str, int], int]:
        """Return the end offset of each partition that holds anything."""
        ends: dict[tuple[str, int], int] = {}
        for partition in self._partitions:
            first, end = self._ask_watermarks(partition)
            if end > first:
                ends[_place(partition)] = end
        return ends

    def _ask_watermarks(self, partition: Any) -> tuple[int, int]:
        """Ask until the partition has a leader: a topic just made has none for a moment."""
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

        deadline = time.monotonic() + self._kafka.connect_seconds
        while True:
            try:
                first, end = self._consumer.get_watermark_offsets(partition, timeout=self._kafka.connect_seconds)
            except KafkaException as error:
                denied = error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
                if denied or time.monotonic() >= deadline:
                    raise self._failure(error.args[0], partition.topic) from error
                time.sleep(_RETRY_SECONDS)
            else:
                return first, end

    def _poll(self) -> list[Any]:
        messages: list[Any] = self._consumer.consume(_BATCH, _SLICE_SECONDS)
        for message in messages:
            self._reached[message.topic(), message.partition()] = message.offset() + (message.error() is None)
            if message.error() is None:
                self._tables[message.topic()].apply(message.key(), message.value())
            elif not _is_end(message):
                raise self._failure(message.error(), message.topic())
        return messages

    def _hear(self, error: Any) -> None:
        self._complaint = error.str()

    def _failure(self, error: Any, topic: str) -> TopicError | UnreachableError:
        from confluent_kafka import KafkaError  # noqa: PLC0415

        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return TopicError(f"may not read the topic {topic!r}: {error.str()} (grant READ and DESCRIBE on it)")
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return TopicError(f"Kafka wants a right on the group {self._group!r}: {error.str()} (grant DESCRIBE on it)")
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001  (its name)
            return TopicError(f"the topic {topic!r} is gone: {error.str()} (was it deleted?)")
        return UnreachableError(f"cannot read the topic {topic!r} at {self._kafka.bootstrap_servers!r}: {error}")

    def _stalled(self) -> str:
        why = f": {self._complaint}" if self._complaint else ""
        return (
            f"Kafka at {self._kafka.bootstrap_servers!r} stopped sending the topic {self.topic!r} "
            f"for {self._kafka.connect_seconds:g} s{why} (is every partition's leader up?)"
        )


def _is_end(message: Any) -> bool:
    from confluent_kafka import KafkaError  # noqa: PLC0415

    return bool(message.error().code() == KafkaError._PARTITION_EOF)  # noqa: SLF001  (its public name has none)


def _place(partition: Any) -> tuple[str, int]:
    return partition.topic, partition.partition
