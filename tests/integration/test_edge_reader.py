"""The reader of the call graph on the embedded broker, which it asks for the ends before it asks for records."""

import time

import pytest

from callgraph.settings import TopicSettings
from sink_exporter.edge_reader import EdgeReader
from tests.brokers import EmbeddedKafka
from tests.graphs import edge_of, workload
from tests.page.serving import Topic

PARTITIONS = 4
TOPICS = TopicSettings(prefix="followed.", create=True, partitions=PARTITIONS)


@pytest.fixture
def broker(tmp_path):
    started = EmbeddedKafka(tmp_path)
    started.start()
    yield started
    started.stop()


def edges_of(round_number):
    """Enough edges that every partition gets some."""
    return [edge_of(workload(f"client-{round_number}"), workload(f"server-{number}")) for number in range(40)]


def follow_until(reader, edges):
    deadline = time.monotonic() + 60
    while len(reader.table) < edges:
        assert time.monotonic() < deadline, f"{len(reader.table)} of {edges} edges were read"
        reader.follow()


def test_what_arrives_on_any_partition_is_read_again_and_again(broker):
    topic = Topic(broker.kafka_settings, TOPICS)
    with EdgeReader(broker.kafka_settings, TOPICS) as reader:
        assert reader.read_to_end()
        for number in range(1, 4):
            topic.publish(*edges_of(number))
            follow_until(reader, 40 * number)
            reader.follow()
        assert reader.table.records == 120


def test_reading_goes_on_when_the_broker_comes_back(broker):
    Topic(broker.kafka_settings, TOPICS).publish(*edges_of(1))
    with EdgeReader(broker.kafka_settings, TOPICS) as reader:
        assert reader.read_to_end()
        broker.kill()
        for _ in range(3):
            reader.follow()
        broker.start()
        Topic(broker.kafka_settings, TOPICS).publish(*edges_of(2))
        follow_until(reader, 80)
