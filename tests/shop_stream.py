"""A stream of observations of pods that are all known, with the counts that the graph must show. Shell: Kafka."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from callgraph.broker import Broker
from callgraph.clients import consumer_config, producer_config
from callgraph.codec import decode, encode, encode_key
from callgraph.records import (
    AddressInterval,
    ConnectionBatch,
    ConnectionObservation,
    DnsAnswerBatch,
    DnsObservation,
    Edge,
    InventoryRecord,
    PodRecord,
    Record,
    WatermarkRecord,
    Workload,
)
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, TopicName, full_name
from stream_processor.fold import edge_key

SECOND = 1_000_000_000
BEGIN = 1_767_225_600 * SECOND
KNOWN_FOR_GOOD = 2**63 - 1
PODS = 12
NODES = 5


def address(pod: int) -> str:
    return f"10.0.0.{pod + 1}"


def inventory_records(*, watermark: int = KNOWN_FOR_GOOD) -> list[InventoryRecord]:
    """The pods, then the watermark."""
    pods = [
        PodRecord(
            cluster="here",
            namespace="shop",
            name=f"pod-{pod}",
            uid=f"uid-{pod}",
            node=f"node-{pod % NODES}",
            addresses=(AddressInterval(address=address(pod), from_at=BEGIN - 100 * SECOND),),
            created_at=BEGIN - 100 * SECOND,
        )
        for pod in range(PODS)
    ]
    records: list[Any] = [*pods, WatermarkRecord(cluster="here", at=watermark)]
    return [InventoryRecord(object=record) for record in records]


class ShopStream:
    """Sends batches, remembers what they say, and reads the graph."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, *, seed: int = 1) -> None:
        self._kafka = kafka
        self._topics = topics
        self._random = random.Random(seed)
        self._sequence = 0
        self._producer = Producer(producer_config(kafka, client_id="test-stream"))
        self.expected: Counter[tuple[str, str, int | None]] = Counter()
        Broker(kafka).require_topics(TOPICS, topics)

    def send(self, name: TopicName, record: Record | bytes, *, key: bytes = b"key") -> None:
        """Send one record, or bytes that are none."""
        value = record if isinstance(record, bytes) else encode(record)
        self._producer.produce(full_name(name, self._topics), value, key=key)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def send_inventory(self, *, watermark: int = KNOWN_FOR_GOOD) -> None:
        for record in inventory_records(watermark=watermark):
            self.send(
                "inventory", record, key=encode_key(record.object.cluster, getattr(record.object, "uid", "watermark"))
            )
        self.flush()

    def send_batches(self, count: int, *, size: int = 40, at: int = BEGIN) -> None:
        """Send batches of both kinds from all nodes."""
        for _ in range(count):
            node = f"node-{self._sequence % NODES}"
            batch = self._dns_batch(node, size, at) if self._sequence % 2 else self._connection_batch(node, size, at)
            self.send("dns-answers" if self._sequence % 2 else "connections", batch, key=encode_key("here", node))
            self._sequence += 1
        self.flush()

    def send_strangers(self, count: int) -> None:
        """Fill the call graph with edges of another cluster, which take their time to be read."""
        for number in range(count):
            client = Workload(cluster="elsewhere", namespace="", kind="Pod", name=f"stranger-{number}")
            edge = Edge(client=client, server=client)
            self.send("call-graph", edge, key=edge_key(edge))
            self._producer.poll(0)
        self.flush()

    def graph(self) -> Counter[tuple[str, str, int | None]]:
        """Read the newest edge of each key: how many observations between which ends."""
        return Counter(
            {
                (edge.client.name, edge.server.name, edge.server_port): edge.observations
                for edge in (decode(value, Edge) for value in self.read("call-graph").values() if value)
                if edge.client.cluster == "here"
            }
        )

    def read(self, name: TopicName) -> dict[bytes, bytes | None]:
        """Read a topic to its end: the newest value of each key."""
        consumer = Consumer(consumer_config(self._kafka, client_id="reader-of-the-tests"))
        topic = full_name(name, self._topics)
        try:
            count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, number, 0) for number in range(count)])
            newest: dict[bytes, bytes | None] = {}
            ended: set[int] = set()
            while len(ended) < count:
                for message in consumer.consume(500, timeout=0.1):
                    if message.error():
                        ended.add(message.partition())
                    else:
                        newest[message.key()] = message.value()
            return newest
        finally:
            consumer.close()

    def committed(self, name: TopicName) -> int:
        """Return the sum of the committed offsets of a topic."""
        group = self._topics.prefix + "processor"
        consumer = Consumer(consumer_config(self._kafka, client_id="test-offsets") | {"group.id": group})
        topic = full_name(name, self._topics)
        try:
            count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            found = consumer.committed([TopicPartition(topic, number) for number in range(count)], timeout=10)
            return sum(max(partition.offset, 0) for partition in found)
        finally:
            consumer.close()

    def _pair(self) -> tuple[int, int]:
        client, server = self._random.sample(range(PODS), 2)
        return client, server

    def _connection_batch(self, node: str, size: int, at: int) -> ConnectionBatch:
        observations = []
        for position in range(size):
            client, server = self._pair()
            count = self._random.randint(1, 3)
            self.expected[f"pod-{client}", f"pod-{server}", 8080] += count
            observations.append(
                ConnectionObservation(
                    observed_at=at + position,
                    network_transport="tcp",
                    client_address=address(client),
                    server_address=address(server),
                    server_port=8080,
                    evidence="syn",
                    count=count,
                )
            )
        return ConnectionBatch(
            cluster="here",
            node=node,
            boot_id="boot",
            sequence=self._sequence,
            sent_at=at,
            observations=tuple(observations),
        )

    def _dns_batch(self, node: str, size: int, at: int) -> DnsAnswerBatch:
        observations = []
        for position in range(size):
            client, server = self._pair()
            count = self._random.randint(1, 3)
            self.expected[f"pod-{client}", f"pod-{server}", None] += count
            observations.append(
                DnsObservation(
                    observed_at=at + position,
                    network_transport="udp",
                    client_address=address(client),
                    server_address="10.96.0.10",
                    dns_question_name=f"pod-{server}.shop.example",
                    dns_question_type="A",
                    addresses=(address(server),),
                    count=count,
                )
            )
        return DnsAnswerBatch(
            cluster="here",
            node=node,
            boot_id="boot",
            sequence=self._sequence,
            sent_at=at,
            observations=tuple(observations),
        )
