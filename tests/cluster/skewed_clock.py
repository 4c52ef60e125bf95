"""A node whose clock is wrong: what its agent sends is passed on with every time moved. Shell: Kafka, a thread.

The agent takes its times from the kernel, whose clock the nodes of the box share. So the agent of the skewed node
writes to topics of its own, and this moves `observed_at`, `sent_at` and `dns_observed_at` on the way to the real ones:
the bytes that arrive are those of a node whose clock is so far ahead.
"""

from __future__ import annotations

import json
import threading

from confluent_kafka import Consumer, Producer, TopicPartition

from callgraph.clients import consumer_config, producer_config
from callgraph.settings import KafkaSettings

NAMES = ("dns-answers", "connections")


class SkewedClock:
    """Passes batches from the topics of one prefix to those of another, until closed."""

    def __init__(self, kafka: KafkaSettings, *, source: str, target: str, seconds: float) -> None:
        silent = {"log_level": 0}  # the broker is restarted under it
        self._consumer = Consumer(consumer_config(kafka, client_id="skewed-clock") | silent)
        self._producer = Producer(producer_config(kafka, client_id="skewed-clock") | silent)
        self._ahead = round(seconds * 1e9)
        self._targets = {f"{source}{name}": f"{target}{name}" for name in NAMES}
        self._ended = threading.Event()
        partitions = [
            TopicPartition(topic, partition, 0)
            for topic in self._targets
            for partition in self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ]
        self._consumer.assign(partitions)
        self.passed_on = 0
        self._thread = threading.Thread(target=self._run, name="skewed-clock")
        self._thread.start()

    def close(self) -> None:
        """End, with everything delivered."""
        self._ended.set()
        self._thread.join()
        self._consumer.close()
        assert self._producer.flush(30) == 0

    def _run(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and not message.error():
                value = move_times(message.value(), self._ahead)
                self._producer.produce(self._targets[message.topic()], value, message.key(), headers=message.headers())
                self.passed_on += 1
            self._producer.poll(0)


def move_times(batch: bytes, nanoseconds: int) -> bytes:
    """Move every time of a batch."""
    read = json.loads(batch)
    for each in (read, *read.get("observations", ())):
        for name in ("sent_at", "observed_at", "dns_observed_at"):
            if name in each:
                each[name] += nanoseconds
    return json.dumps(read).encode()
