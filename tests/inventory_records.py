"""The inventory topic as a reader of any language sees it: every record, in order."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from callgraph.clients import consumer_config
from callgraph.codec import decode
from callgraph.records import InventoryRecord, KubeObject, WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import full_name


def read_back(kafka: KafkaSettings, topics: TopicSettings) -> list[KubeObject | WatermarkRecord]:
    """Read all records that the topic holds now; tombstones are left out."""
    consumer = Consumer(consumer_config(kafka, client_id="reader-of-the-tests"))
    partition = TopicPartition(full_name("inventory", topics), 0)
    try:
        _, end = consumer.get_watermark_offsets(partition, timeout=10)
        consumer.assign([TopicPartition(partition.topic, 0, 0)])
        values: list[bytes] = []
        while consumer.position([partition])[0].offset < end:
            messages = [message for message in consumer.consume(500, timeout=1) if message.error() is None]
            values += [message.value() for message in messages if message.value()]
        return [decode(value, InventoryRecord).object for value in values]
    finally:
        consumer.close()
