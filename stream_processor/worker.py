"""What one worker process holds, beside Faust: inventory, outbox, counts, and the present shift. Shell: the clock.

Every entry point catches its own failures and hands them to `fail`: the process ends, nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from callgraph.codec import encode_key
from callgraph.errors import DecodeError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from callgraph.topics import full_name
from stream_processor.attribution import Attribution
from stream_processor.counts import Counts
from stream_processor.dead_letters import dead_letter
from stream_processor.faust_settings import client_id
from stream_processor.folding import Folding
from stream_processor.inventory import Inventory
from stream_processor.inventory_reader import InventoryReader
from stream_processor.kafka_access import aiokafka_access
from stream_processor.outbox import Outbox
from stream_processor.resolving import CallsTopic, Resolving
from stream_processor.settings import AttributionSettings, ProcessorSettings
from stream_processor.shift import Shift
from stream_processor.topic_reader import read_topic

TICK_SECONDS = 0.1
HELD_SHARE = 0.75
"""Of what attribution can hold before it gives up the oldest: beyond this, no more is taken from Kafka."""


class WorkerSettings(NamedTuple):
    """The groups of settings that the worker reads."""

    cluster: str
    kafka: KafkaSettings
    topics: TopicSettings
    attribution: AttributionSettings
    processor: ProcessorSettings


class Worker:
    """Built inside the running event loop."""

    def __init__(
        self, settings: WorkerSettings, *, calls_partitions: int, log: Logger, fail: Callable[[Exception], None]
    ) -> None:
        self._settings = settings
        self._log = log
        self._fail = fail
        self._client_id = client_id(settings.processor)
        self._access = aiokafka_access(settings.kafka, client_id=self._client_id)
        self._calls = CallsTopic(full_name("calls", settings.topics), calls_partitions, settings.topics.codec)
        self.counts = Counts()
        self.outbox = Outbox(settings.kafka, client_id=self._client_id, codec=settings.topics.codec, fail=fail)
        self.inventory = Inventory(settings.attribution)
        self.inventory_reader = InventoryReader(
            self.inventory,
            access=self._access,
            topic=full_name("inventory", settings.topics),
            reject=lambda error, record: self._reject(error, record, _nothing),
        )
        self.shift: Shift | None = None
        self._coverage_due_at = 0

    def begin_shift(self, assigned: set[tuple[str, int]], *, consumer: Any) -> None:
        """Begin anew with the partitions that were assigned."""
        if self.shift:  # Faust announces no end where nothing was assigned before
            self.shift.leave()
        shift = Shift(assigned, calls_topic=self._calls.name, consumer=consumer)
        shift.resolving = Resolving(
            Attribution(self.inventory, self._settings.attribution),
            calls=self._calls,
            outbox=self.outbox,
            counts=self.counts,
            acknowledge=shift.acknowledge,
            reject=self._reject,
        )
        shift.folding = Folding(
            interval=int(self._settings.processor.last_seen_seconds * 1e9),
            topic=full_name("call-graph", self._settings.topics),
            outbox=self.outbox,
            counts=self.counts,
            acknowledge=shift.acknowledge,
            reject=self._reject,
        )
        shift.restoration = asyncio.create_task(self._restore(shift))
        self.shift = shift
        self._log.info("partitions_assigned", count=len(assigned))

    async def end_shift(self) -> None:
        """End the present shift, if there is one."""
        shift, self.shift = self.shift, None
        if shift:
            await shift.end(self.outbox, now=time.monotonic_ns())
            self._send_coverage(shift)
            await self.outbox.settled()
            self._log.info("partitions_given_up", count=len(shift.assigned), held=shift.resolving.ledger.held())

    def abandon_shift(self) -> None:
        """Give up the present shift as it is."""
        shift, self.shift = self.shift, None
        if shift:
            shift.abandon()

    async def take_observations(self, message: Any) -> None:
        """Take a message of the raw topics once the inventory is known and there is room for it."""
        shift = self.shift
        try:
            if shift and await shift.until(lambda: self._has_room(shift)):
                shift.resolving.take(message, now=time.time_ns())
        except Exception as error:  # noqa: BLE001  (Faust would acknowledge the message and go on)
            self._fail(error)

    async def take_calls(self, message: Any) -> None:
        """Take a message of the calls topic once the edges are restored."""
        shift = self.shift
        try:
            if shift and await shift.until(lambda: shift.restored and self.outbox.has_room):
                shift.folding.take(message, now=time.monotonic_ns())
        except Exception as error:  # noqa: BLE001  (Faust would acknowledge the message and go on)
            self._fail(error)

    async def tick(self) -> None:
        """Send what is decided and publish what is due, ten times a second."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            shift = self.shift
            if shift is None or shift.over:
                continue
            shift.resolving.settle(now=time.time_ns())
            shift.folding.publish_due(now=time.monotonic_ns())
            self._send_samples(shift)
            if time.monotonic_ns() >= self._coverage_due_at:
                self._send_coverage(shift)

    def is_full(self, shift: Shift) -> bool:
        """Tell whether as much waits for the inventory as may."""
        return shift.resolving.held >= HELD_SHARE * self._settings.attribution.held_observations

    def _has_room(self, shift: Shift) -> bool:
        return self.inventory_reader.ready.is_set() and not self.is_full(shift) and self.outbox.has_room

    async def _restore(self, shift: Shift) -> None:
        partitions = sorted(number for topic, number in shift.assigned if topic == self._calls.name)
        topic = full_name("call-graph", self._settings.topics)
        try:
            async for records in read_topic(self._access, topic, partitions, follow=False):
                if records:
                    shift.folding.restore(records, now=time.monotonic_ns())
        except Exception as error:  # noqa: BLE001  (without its edges a worker must not go on)
            self._fail(error)
            return
        gc.collect()
        gc.freeze()  # inventory and edges stay: no collection needs to walk through them
        shift.restored = True
        self._log.info("edges_restored", edges=len(shift.folding.edges), partitions=len(partitions))

    def _reject(self, error: DecodeError, record: Any, then: Callable[[], None]) -> None:
        """Send a record that does not decode to the dead letters."""
        origin = (record.topic, record.partition, record.offset)
        letter = dead_letter(error, origin=origin, key=record.key, value=record.value, failed_at=time.time_ns())
        topic = full_name("dead-letters", self._settings.topics)
        self.outbox.send(topic, letter, key=record.key, then=then)
        self.counts.add("dead_letters_total", topic=record.topic, reason=error.reason)
        self._log.warning(
            "record_rejected", reason=error.reason, topic=record.topic, partition=record.partition, offset=record.offset
        )

    def _send_samples(self, shift: Shift) -> None:
        topic = full_name("unresolved", self._settings.topics)
        for record in shift.resolving.unresolved.records():
            self.outbox.send(topic, record, key=encode_key(record.cluster, record.address), then=_nothing)

    def _send_coverage(self, shift: Shift) -> None:
        """Publish the sums that changed; under a key of this assignment, so that no other worker's sum is replaced."""
        self._coverage_due_at = time.monotonic_ns() + int(self._settings.processor.last_seen_seconds * 1e9)
        topic = full_name("coverage", self._settings.topics)
        for place, record in shift.resolving.coverage.take_changed():
            key = encode_key(place.cluster, place.node, shift.name, place.day)
            self.outbox.send(topic, record, key=key, then=_nothing)


def _nothing() -> None:
    """Nothing waits for the delivery."""
