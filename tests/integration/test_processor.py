"""The stream processor as a process, on a real broker: exact counts whatever happens to it."""

import json
import socket
import threading
from contextlib import contextmanager
from itertools import count

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from msgspec.structs import replace

from callgraph.clients import librdkafka_config
from callgraph.settings import KafkaSettings
from callgraph.topics import full_name
from tests.shop_stream import BEGIN, KNOWN_FOR_GOOD, SECOND, ShopStream
from tests.worker_processes import WorkerProcess, await_that, settings_in_environment

pytestmark = pytest.mark.kafka


@pytest.fixture
def stream(kafka_settings, topic_settings):
    return ShopStream(kafka_settings, topic_settings)


@pytest.fixture
def start_worker(kafka_settings, topic_settings, tmp_path):
    """Start a worker; the same instance takes over at once from one that was killed."""
    started = []
    numbers = count()

    def start(**processor):
        settings = {"instance": "one", "last_seen_seconds": 1} | processor
        environment = settings_in_environment(kafka_settings, topic_settings, **settings)
        started.append(WorkerProcess(environment, tmp_path / f"worker-{next(numbers)}.log"))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()


def await_graph(stream, seconds=60):
    def holds():
        return stream.graph() == stream.expected

    try:
        await_that(holds, seconds=seconds)
    except AssertionError:
        assert stream.graph() == stream.expected


@contextmanager
def under_load(stream):
    """Send batches all the time; some thousand observations a second."""
    enough = threading.Event()

    def send():
        while not enough.wait(0.2):
            stream.send_batches(20)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        enough.set()
        sending.join()


def test_batches_become_edges_with_exact_counts(stream, start_worker):
    worker = start_worker()
    worker.await_ready()
    stream.send_inventory()
    stream.send_batches(30)
    await_graph(stream)
    assert worker.end() == 0


def test_a_worker_killed_over_and_over_counts_everything_once(stream, start_worker):
    stream.send_inventory()
    for kill in range(4):
        worker = start_worker()
        if kill:
            worker.await_ready()
        # Killed while it is somewhere between the first fetch and the last commit, at another place each time.
        sent = stream.expected.total()
        stream.send_batches(60)
        await_that(lambda sent=sent: stream.graph().total() > sent)
        stream.send_batches(20)
        worker.kill()
    start_worker().await_ready()
    await_graph(stream)


def test_what_does_not_decode_is_a_dead_letter_and_the_rest_goes_on(stream, start_worker):
    start_worker().await_ready()
    stream.send_inventory()
    for topic in ("dns-answers", "connections", "calls", "inventory"):
        stream.send(topic, b"{", key=b"rubbish in " + topic.encode())
    stream.send_batches(10)
    await_graph(stream)
    await_that(lambda: len(stream.read("dead-letters")) == 4, what="the fourth dead letter")
    letters = {key: json.loads(value) for key, value in stream.read("dead-letters").items()}
    assert letters[b"rubbish in calls"]["reason"] == "malformed"
    assert letters[b"rubbish in inventory"]["topic"].endswith(".inventory")


def test_what_waits_for_the_inventory_is_not_committed_and_survives_a_kill(stream, start_worker):
    stream.send_inventory(watermark=BEGIN - SECOND)
    worker = start_worker()
    worker.await_ready()
    stream.send_batches(10)
    await_that(lambda: worker.metric("whocalls_processor_held_observations") == 400, what="the hold")
    stream.send("calls", b"{")
    await_that(lambda: stream.committed("calls") == 1, what="a commit of what is not held")
    assert stream.committed("dns-answers") == stream.committed("connections") == 0
    worker.kill()
    stream.send_inventory(watermark=KNOWN_FOR_GOOD)
    start_worker().await_ready()
    await_graph(stream)
    await_that(lambda: stream.committed("dns-answers") + stream.committed("connections") == 10, what="the commit")


def test_counts_that_were_not_yet_published_survive_a_kill_and_a_long_restoration(stream, start_worker):
    stream.send_inventory()
    worker = start_worker(last_seen_seconds=3600)
    for batches in (40, 80):
        stream.send_batches(40)
        await_that(lambda batches=batches: worker.metric("whocalls_processor_folded_total") == batches * 40)
    worker.kill()
    assert stream.graph() != stream.expected
    # The successor finds calls at once, and must not fold them before it has read this.
    stream.send_strangers(40_000)
    start_worker().await_ready()
    await_graph(stream)


def test_what_is_due_later_is_published_when_the_worker_is_asked_to_end(stream, start_worker):
    worker = start_worker(last_seen_seconds=3600)
    worker.await_ready()
    stream.send_inventory()
    for batches in (20, 40):
        stream.send_batches(20)
        await_that(lambda batches=batches: worker.metric("whocalls_processor_folded_total") == batches * 40)
    assert stream.graph() != stream.expected
    assert worker.end() == 0
    assert stream.graph() == stream.expected


@pytest.mark.usefixtures("needs_apache")
def test_a_second_worker_takes_its_share_and_gives_it_back(stream, start_worker):
    stream.send_inventory()
    first = start_worker(instance="")
    first.await_ready()
    for _ in range(2):
        stream.send_batches(30)
        second = start_worker(instance="")
        second.await_ready()
        stream.send_batches(60)
        await_that(lambda second=second: second.metric("whocalls_processor_calls_total") > 0, what="the second's share")
        stream.send_batches(30)
        assert second.end() == 0
    await_graph(stream)


@pytest.mark.usefixtures("needs_apache")
def test_two_workers_that_join_and_leave_ten_times_under_load_lose_nothing_and_double_nothing(stream, start_worker):
    stream.send_inventory()
    with under_load(stream):
        workers = [start_worker(instance=""), start_worker(instance="")]
        for _ in range(10):
            workers[1].await_ready()
            assert workers.pop(0).end() == 0
            workers[0].await_ready()
            workers.append(start_worker(instance=""))
    await_graph(stream, seconds=180)
    assert [worker.end() for worker in workers] == [0, 0]


def test_metrics_tell_the_lag_and_conserve_observations(stream, start_worker):
    worker = start_worker()
    worker.await_ready()
    stream.send_inventory()
    stream.send_batches(4)
    await_graph(stream)
    prefix = full_name("dns-answers", stream._topics), full_name("connections", stream._topics)
    taken = sum(worker.metric(f'whocalls_processor_observations_total{{topic="{topic}"}}') for topic in prefix)
    assert taken == worker.metric("whocalls_processor_calls_total") == 160
    await_that(lambda: "whocalls_processor_lag_records{" in worker.get("/metrics")[1], what="the lag")
    assert worker.get("/healthz")[0] == 200


@pytest.mark.usefixtures("needs_apache")
def test_what_cannot_be_delivered_ends_the_worker_and_the_next_one_does_it_again(
    stream, start_worker, kafka_settings, topic_settings
):
    admin = AdminClient(librdkafka_config(kafka_settings, client_id="test"))

    def allow(size):
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        topic = ConfigResource("topic", full_name("call-graph", topic_settings), incremental_configs=[entry])
        [altered.result() for altered in admin.incremental_alter_configs([topic]).values()]

    stream.send_inventory()
    worker = start_worker()
    worker.await_ready()
    allow(100)
    stream.send_batches(4)
    assert worker.process.wait(60) == 1
    assert "cannot write to the topic" in worker.log.read_text().splitlines()[-1]
    allow(2**20)
    start_worker()
    await_graph(stream)


def test_a_missing_topic_is_one_sentence(kafka_settings, topic_settings, tmp_path):
    environment = settings_in_environment(kafka_settings, replace(topic_settings, create=False))
    worker = WorkerProcess(environment, tmp_path / "log")
    assert worker.process.wait(60) == 1
    assert "has no topic" in worker.log.read_text().splitlines()[-1]


def test_topics_that_cannot_share_their_partitions_are_one_sentence(kafka_settings, topic_settings, tmp_path):
    admin = AdminClient(librdkafka_config(kafka_settings, client_id="test"))
    odd = NewTopic(full_name("calls", topic_settings), num_partitions=3, replication_factor=1)
    [created.result() for created in admin.create_topics([odd]).values()]
    worker = WorkerProcess(settings_in_environment(kafka_settings, topic_settings), tmp_path / "log")
    assert worker.process.wait(60) == 1
    assert "has 3 partitions" in worker.log.read_text().splitlines()[-1]


def test_an_unreachable_broker_is_one_sentence(topic_settings, tmp_path):
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1", connect_seconds=0.5)
    worker = WorkerProcess(settings_in_environment(nowhere, topic_settings), tmp_path / "log")
    assert worker.process.wait(60) == 6
    assert "cannot reach Kafka" in worker.log.read_text().splitlines()[-1]


def test_a_taken_port_is_one_sentence(kafka_settings, topic_settings, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        worker = WorkerProcess(settings_in_environment(kafka_settings, topic_settings, listen=listen), tmp_path / "log")
        assert worker.process.wait(60) == 1
    assert f"cannot listen on processor.listen '{listen}'" in worker.log.read_text().splitlines()[-1]
