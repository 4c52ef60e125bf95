"""The stream processor without Faust: one aiokafka consumer, the same pure functions, the same producer.

`python -m benchmarks.processor_ceiling BOOTSTRAP PREFIX OBSERVATIONS` prints one JSON object. `processor.py` runs it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.processor_load import CLUSTER
from callgraph.codec import decode
from callgraph.records import Call, CallBatch, ObservationBatch
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import full_name
from stream_processor.attribution import Attribution, Origin
from stream_processor.calls import EdgePartitions, encode_calls, gather_calls, partition_calls
from stream_processor.edge_state import EdgeState
from stream_processor.faust_settings import MOST_FETCHED_BYTES
from stream_processor.inventory import Inventory
from stream_processor.inventory_reader import InventoryReader
from stream_processor.outbox import Outbox
from stream_processor.resolving import DECIDED_BEFORE_SENDING
from stream_processor.settings import AttributionSettings

_PARTITIONS = 12


class Loop:
    """Decode, resolve, gather, encode, decode, fold, publish."""

    def __init__(self, inventory: Inventory, outbox: Outbox, topic: str) -> None:
        self._attribution = Attribution(inventory, AttributionSettings())
        self._edges: EdgeState[int] = EdgeState(interval=60_000_000_000)
        self._outbox = outbox
        self._topic = topic
        self._calls: list[Call] = []
        self._decided = 0
        self._partitions = EdgePartitions(_PARTITIONS)
        self.folded = 0

    def take(self, record) -> None:
        batch = decode(record.value, ObservationBatch)
        self._attribution.offer(batch, Origin(record.topic, record.partition, record.offset), now=time.time_ns())
        decisions = self._attribution.advance(now=time.time_ns())
        self._calls += gather_calls(decisions, floor=lambda origin: origin.offset)
        self._decided += sum(len(decision.indexes) for decision in decisions)
        if self._decided >= DECIDED_BEFORE_SENDING:
            self.settle()

    def settle(self) -> None:
        calls, self._calls, self._decided = self._calls, [], 0
        for found in partition_calls(calls, self._partitions).values():
            for value in encode_calls(found, "json"):
                self._fold(decode(value, CallBatch))

    def _fold(self, batch: CallBatch) -> None:
        now = time.monotonic_ns()
        for call in batch.calls:
            self._edges.apply(call, 0, now=now)
            self.folded += len(call.origin.indexes)
        for publication in self._edges.take_due(now=now):
            self._outbox.send(self._topic, publication.edge, key=publication.key, then=lambda: None)


async def measure(bootstrap: str, prefix: str, observations: int) -> dict[str, float]:
    kafka, topics = KafkaSettings(bootstrap_servers=bootstrap), TopicSettings(prefix=prefix)
    inventory = Inventory(AttributionSettings())
    outbox = Outbox(kafka, client_id="ceiling", codec="json", fail=lambda error: sys.exit(str(error)))
    access = {"bootstrap_servers": bootstrap, "client_id": "ceiling"}
    reader = InventoryReader(
        inventory, access=access, topic=full_name("inventory", topics), reject=lambda error, _: sys.exit(str(error))
    )
    tasks = [asyncio.create_task(reader.run()), asyncio.create_task(outbox.run())]
    await reader.ready.wait()
    gc.collect()
    gc.freeze()
    assert inventory.watermark(CLUSTER)
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", max_partition_fetch_bytes=MOST_FETCHED_BYTES, **access)
    await consumer.start()
    names = [full_name("dns-answers", topics), full_name("connections", topics)]
    consumer.assign([TopicPartition(name, number) for name in names for number in range(_PARTITIONS)])
    loop = Loop(inventory, outbox, full_name("call-graph", topics))
    began, cpu_before = time.monotonic(), time.process_time()
    while loop.folded < observations:
        found = await consumer.getmany(timeout_ms=50)
        for records in found.values():
            for record in records:
                loop.take(record)
        if not found:
            loop.settle()
    await outbox.settled()
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu_before
    await consumer.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "observations_per_second": observations / seconds,
        "cpu_microseconds_per_observation": cpu / observations * 1e6,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
