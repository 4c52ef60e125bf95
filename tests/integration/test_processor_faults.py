"""The stream processor while the broker itself goes away and comes back."""

import pytest

from callgraph.settings import TopicSettings
from tests.shop_stream import ShopStream
from tests.worker_processes import WorkerProcess, await_that, settings_in_environment

pytestmark = pytest.mark.kafka

TOPICS = TopicSettings(prefix="faults.", create=True, partitions=4)


@pytest.fixture
def broker(needs_apache, start_kafka):  # noqa: ARG001  (the embedded broker loses its last seconds when it is killed)
    return start_kafka()


@pytest.fixture
def worker(broker, tmp_path):
    settings = {"instance": "one", "last_seen_seconds": 1}
    worker = WorkerProcess(settings_in_environment(broker.kafka_settings, TOPICS, **settings), tmp_path / "log")
    yield worker
    if worker.process.poll() is None:
        worker.kill()


@pytest.fixture
def stream(broker, worker):
    """A shop's traffic, of which the worker has counted some."""
    stream = ShopStream(broker.kafka_settings, TOPICS)
    stream.send_inventory()
    worker.await_ready()
    stream.send_batches(100)
    await_that(stream.graph)
    return stream


def test_a_broker_that_is_killed_and_comes_back_costs_no_count(broker, worker, stream):
    for _ in range(2):
        stream.send_batches(100)
        broker.kill()
        broker.start()
        stream.send_batches(20)
    await_that(lambda: stream.graph() == stream.expected, seconds=90)
    assert worker.end() == 0


@pytest.mark.usefixtures("stream")
def test_a_worker_that_is_told_to_end_while_its_broker_is_away_ends_before_it_is_killed(broker, worker):
    broker.kill()
    worker.end()
    assert worker.lines("processor_stopping")
