"""Follows the call graph while everything else comes and goes, and reads what the other topics hold. Shell: Kafka."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

from confluent_kafka import Consumer, TopicPartition

from callgraph.clients import consumer_config
from callgraph.codec import decode
from callgraph.records import DeadLetter, ObservationBatch
from callgraph.records import Edge as EdgeRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TopicName, full_name
from tests.brokers import read_messages
from tests.chaos.traffic import Edge, Observation


class Observer:
    """The newest edge of each key, and when the graph last showed traffic of each node."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self._kafka, self._topics = kafka, topics
        self._counts: dict[bytes, tuple[Edge, int]] = {}
        self._fresh: dict[str, int] = {}
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop following."""
        self._ends.set()
        self._thread.join(10)

    def graph(self) -> Counter[Edge]:
        """Return the observations of each edge."""
        with self._lock:
            return Counter(dict(self._counts.values()))

    def fresh_until(self, nodes: int) -> int:
        """Return the time of the newest traffic that the graph shows of every node."""
        with self._lock:
            return min(self._fresh.get(f"node-{node}", 0) for node in range(nodes))

    def _follow(self) -> None:
        topic = full_name("call-graph", self._topics)
        consumer = Consumer(consumer_config(self._kafka, client_id="chaos-observer"))
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        while not self._ends.is_set():
            for message in consumer.consume(1000, timeout=0.1):
                if not message.error() and message.value() is not None:
                    self._take(message.key(), decode(message.value(), EdgeRecord))
        consumer.close()

    def _take(self, key: bytes, edge: EdgeRecord) -> None:
        with self._lock:
            ends = (edge.client.name, edge.server.name, edge.server_port)
            self._counts[key] = (ends, edge.observations)
            for node in edge.nodes:
                self._fresh[node] = max(self._fresh.get(node, 0), edge.first_seen)


def read_observations(kafka: KafkaSettings, topics: TopicSettings) -> Iterator[Observation]:
    """Yield every observation that the raw topics hold."""
    names: tuple[TopicName, ...] = ("dns-answers", "connections")
    for name in names:
        for message in read_messages(kafka, full_name(name, topics)):
            if message.key() and not message.key().startswith(b"planted"):
                batch: ObservationBatch = decode(message.value(), ObservationBatch)
                yield from batch.observations


def read_dead_letters(kafka: KafkaSettings, topics: TopicSettings) -> set[bytes | None]:
    """Return the keys of the dead letters."""
    return {
        decode(message.value(), DeadLetter).key for message in read_messages(kafka, full_name("dead-letters", topics))
    }


def wait(holds, *, seconds: float, every: float = 0.2) -> bool:
    """Poll until something holds; False when it did not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
