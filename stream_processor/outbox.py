"""Records on their way to Kafka, each with what is to happen once it has arrived. Shell: confluent-kafka.

In: records with a topic, a partition where it matters, and a callback. Out: the callback, called on the event loop
after the brokers have acknowledged the record. A record that cannot be delivered ends the process: what waits for it
is not acknowledged, so the next worker does it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from callgraph.clients import producer_config
from callgraph.codec import Codec, encode, schema_header
from callgraph.complaints import Complaint, refused_delivery
from callgraph.records import Record
from callgraph.settings import KafkaSettings

DELIVERY_SECONDS = 25.0
"""How long a delivery may take. Less than the session timeout of the group (`faust_settings`): a worker that slept
through its session finds what it had queued expired, and cannot overwrite an edge that has a new owner by then."""

_MOST_OUTSTANDING = 20_000
_POLL_SECONDS = 0.005

Fail = Callable[[Exception], None]


class Outbox:
    """One producer, polled from the event loop."""

    def __init__(self, kafka: KafkaSettings, *, client_id: str, codec: Codec, fail: Fail) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415  (28 MB, only in a process that runs)

        self._servers = kafka.bootstrap_servers
        self._codec: Codec = codec
        self._fail = fail
        self._outstanding = 0
        self._changed = asyncio.Event()
        self._producer: Any = Producer(
            producer_config(kafka, client_id=client_id)
            | {"message.timeout.ms": int(DELIVERY_SECONDS * 1000), "error_cb": lambda _: None, "log_level": 2}
        )

    def send(
        self, topic: str, record: Record, *, key: bytes | None, partition: int = -1, then: Callable[[], None]
    ) -> None:
        """Queue a record; `then` is called when it has arrived. Partition -1 leaves the choice to the key."""
        self.send_value(
            topic, encode(record, self._codec), record=type(record), key=key, partition=partition, then=then
        )

    def send_value(
        self,
        topic: str,
        value: bytes,
        *,
        record: type[Record],
        key: bytes | None,
        partition: int,
        then: Callable[[], None],
    ) -> None:
        """Queue a record that is encoded already."""
        delivered = partial(self._delivered, topic, then)
        self._outstanding += 1
        self._changed.set()
        while True:
            try:
                self._producer.produce(topic, value, key, partition, delivered, headers=schema_header(record))
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            else:
                return

    @property
    def has_room(self) -> bool:
        """Whether more may be sent without letting the queue grow beyond its bound."""
        return self._outstanding < _MOST_OUTSTANDING

    async def settled(self) -> None:
        """Wait until nothing is on its way."""
        while self._outstanding:
            self._producer.poll(0)
            await asyncio.sleep(_POLL_SECONDS)

    async def run(self) -> None:
        """Deliver callbacks for as long as the process runs."""
        while True:
            await self._changed.wait()
            while self._outstanding:
                self._producer.poll(0)
                await asyncio.sleep(_POLL_SECONDS)
            self._changed.clear()

    def flush(self, seconds: float) -> int:
        """Wait for deliveries without the event loop, at the very end; return how many are left."""
        return int(self._producer.flush(seconds))

    def _delivered(self, topic: str, then: Callable[[], None], error: Any, _message: Any) -> None:
        self._outstanding -= 1
        if error is None:
            then()
            return
        self._fail(refused_delivery(Complaint(error.name(), error.str()), topic=topic, servers=self._servers))
