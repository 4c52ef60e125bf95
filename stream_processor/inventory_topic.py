"""The inventory topic as the watcher writes it, and reads it back when it starts. Shell: confluent-kafka.

In: projected objects, then the watermark that stands for them. Out: one partition on which order is the proof.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from callgraph.clients import consumer_config, producer_config
from callgraph.codec import decode, encode, encode_key, schema_header, schema_of
from callgraph.complaints import Complaint, refused_delivery
from callgraph.errors import DecodeError, TopicError
from callgraph.records import InventoryRecord, KubeObject, Record, WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import full_name

_CLIENT_ID = "whocalls-watcher"
_SETTLE_SLICE_SECONDS = 1.0
_STANDSTILL_SECONDS = 60.0
_HEADERS = schema_header(InventoryRecord)


def inventory_key(record: KubeObject | WatermarkRecord) -> bytes:
    """Return the key of an object: cluster, kind and UID; a cluster has one watermark."""
    uid = None if isinstance(record, WatermarkRecord) else record.uid
    return encode_key(record.cluster, kind_of(record), uid)


def kind_of(record: Record) -> str:
    """Return the Kubernetes kind of a projected object."""
    return schema_of(record)


class WritingEndedError(Exception):
    """We may not write any more: the Lease is lost, or the program is stopping."""


class InventoryWriter:
    """Writes to the one partition; everything before a watermark is acknowledged before the watermark is sent.

    `may_write` is asked before every record: a watcher that lost its Lease stops in the middle of a list.
    """

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, *, may_write: Callable[[], bool]) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415  (not where only files are read)

        self.may_write = may_write
        self._topic = full_name("inventory", topics)
        self._servers = kafka.bootstrap_servers
        self._codec = topics.codec
        self._failure: Complaint | None = None
        # Failures reach us with the records; librdkafka's own lines would break the log's format.
        quiet = {"error_cb": lambda _: None, "log_level": 0}
        self._producer = Producer(producer_config(kafka, client_id=_CLIENT_ID) | quiet)

    def put(self, record: KubeObject) -> None:
        """Send an object, without waiting. Raises WritingEndedError."""
        self._produce(inventory_key(record), encode(InventoryRecord(object=record), self._codec))

    def forget(self, cluster: str, kind: str, uid: str) -> None:
        """Send a tombstone for an object that nobody asks for any more. Raises WritingEndedError."""
        self._produce(encode_key(cluster, kind, uid), None)

    def put_watermark(self, watermark: WatermarkRecord) -> None:
        """Wait for all acknowledgements, send the watermark, wait for its own.

        Raises WritingEndedError, and TopicError or UnreachableError when Kafka does not take what it was given.
        """
        self._settle()
        self._produce(inventory_key(watermark), encode(InventoryRecord(object=watermark), self._codec))
        self._settle()

    def _produce(self, key: bytes, value: bytes | None) -> None:
        taken = False
        while not taken:
            self._check()
            taken = self._guarded(lambda: self._offer(key, value))
            self._raise_failure()

    def _offer(self, key: bytes, value: bytes | None) -> bool:
        """Give one record to the client; False while its queue is full."""
        try:
            self._producer.produce(
                self._topic, key=key, value=value, partition=0, headers=_HEADERS, on_delivery=self._note
            )
        except BufferError:
            self._producer.poll(0.1)
            return False
        self._producer.poll(0)
        return True

    def _settle(self) -> None:
        """Wait until nothing is under way. A record that Kafka has not taken after five minutes counts as refused."""
        while not self._guarded(lambda: self._producer.flush(_SETTLE_SLICE_SECONDS) == 0) and not self._failure:
            self._check()
        self._raise_failure()

    def _guarded(self, call: Callable[[], bool]) -> bool:
        """Call the client; note a failure that it does not recover from.

        It raises those instead of passing them to `error_cb`, and a delivery report that comes with one turns it into a
        SystemError with the failure as its cause.
        """
        from confluent_kafka import KafkaException  # noqa: PLC0415  (as above)

        try:
            return call()
        except (KafkaException, SystemError) as error:
            cause = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(cause, KafkaException):
                raise
            self._failure = self._failure or Complaint(cause.args[0].name(), cause.args[0].str())
            return False

    def _raise_failure(self) -> None:
        if self._failure:
            raise refused_delivery(self._failure, topic=self._topic, servers=self._servers)

    def _check(self) -> None:
        if not self.may_write():
            self._producer.purge()
            raise WritingEndedError

    def _note(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failure = Complaint(error.name(), error.str())


def read_inventory(
    kafka: KafkaSettings, topics: TopicSettings, *, cluster: str
) -> tuple[list[KubeObject], WatermarkRecord | None]:
    """Read one cluster's objects back from the topic, each as it was written last, and the watermark.

    A record that does not decode is left out: the relist that follows publishes the object anew. Raises TopicError.
    """
    found: dict[bytes, KubeObject] = {}
    watermark = None
    for key, value in _read_to_end(kafka, topics):
        try:
            record = decode(value, InventoryRecord).object if value else None
        except DecodeError:
            record = None
        if record is None:
            found.pop(key, None)
        elif record.cluster == cluster and isinstance(record, WatermarkRecord):
            watermark = record
        elif record.cluster == cluster and not isinstance(record, WatermarkRecord):
            found[key] = record
    return list(found.values()), watermark


def _read_to_end(kafka: KafkaSettings, topics: TopicSettings) -> Iterator[tuple[bytes, bytes | None]]:
    from confluent_kafka import Consumer, KafkaException, TopicPartition  # noqa: PLC0415  (not where files are read)

    topic = full_name("inventory", topics)
    consumer = Consumer(consumer_config(kafka, client_id=_CLIENT_ID) | {"error_cb": lambda _: None, "log_level": 0})
    try:
        low, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=kafka.connect_seconds)
        consumer.assign([TopicPartition(topic, 0, low)])
        if end > low:
            yield from _messages(consumer, TopicPartition(topic, 0), end)
    except KafkaException as error:
        raise TopicError(f"cannot read the topic {topic!r} back: {error.args[0].str()} (may we read it?)") from error
    finally:
        consumer.close()


def _messages(consumer: Any, partition: Any, end: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield keys and values up to an offset; compaction may leave the last offsets without a record."""
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415  (as above)

    deadline = time.monotonic() + _STANDSTILL_SECONDS
    while True:
        messages = consumer.consume(1000, timeout=0.5)
        for message in messages:
            error = message.error()
            if error is None and message.offset() < end:
                yield message.key() or b"", message.value()
            elif error is not None and error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001  (its public name)
                raise KafkaException(error)
        if messages:
            deadline = time.monotonic() + _STANDSTILL_SECONDS
        if consumer.position([partition])[0].offset >= end:
            return
        if time.monotonic() > deadline:
            raise TopicError(f"reading {partition.topic!r} back stood still for {_STANDSTILL_SECONDS:g} s")
