"""What every broker that we run on must do for us; the same probe on Apache Kafka and on the embedded one."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from callgraph.broker import Broker
from callgraph.clients import librdkafka_config, producer_config
from callgraph.errors import TopicError
from callgraph.topics import TOPICS, find_topic, full_name, topic_config
from tests.apache_kafka import NoApacheKafkaError
from tests.brokers import make_broker, read_messages

pytestmark = pytest.mark.kafka


@pytest.fixture(params=["session", "embedded"])
def probed(request, kafka_choice, tmp_path):
    """The session's broker, and the embedded one when it is another."""
    if request.param == "session":
        yield request.getfixturevalue("kafka")
        return
    if kafka_choice == "embedded":
        pytest.skip("the session's broker is the embedded one already")
    broker = make_broker("embedded", tmp_path)
    broker.start()
    yield broker
    broker.stop()


def test_described_topics_are_created_with_their_partitions(probed, topic_settings):
    counts = Broker(probed.kafka_settings).require_topics(TOPICS, topic_settings)
    assert counts == {topic.name: topic.partitions or 4 for topic in TOPICS}


def test_topic_keeps_the_cleanup_that_is_described(probed, topic_settings):
    Broker(probed.kafka_settings).require_topics(TOPICS, topic_settings)
    admin = AdminClient(librdkafka_config(probed.kafka_settings, client_id="probe"))
    for topic in TOPICS:
        kept = _config_of(admin, full_name(topic.name, topic_settings))
        assert {key: kept[key] for key in topic_config(topic)} == topic_config(topic), topic.name


def test_creating_topics_twice_changes_nothing(probed, topic_settings):
    broker = Broker(probed.kafka_settings)
    broker.create_topics(TOPICS, topic_settings)
    broker.create_topics(TOPICS, topic_settings)
    assert broker.require_topics(TOPICS, topic_settings)["inventory"] == 1


def test_record_comes_back_with_its_key_headers_and_time(probed, topic_settings):
    topic = _created(probed, topic_settings, "call-graph")
    producer = Producer(producer_config(probed.kafka_settings, client_id="probe"))
    headers = [("schema", b"call-graph.v1")]
    producer.produce(topic, b"value", b"key", headers=headers, timestamp=1_700_000_000_123)
    assert producer.flush(30) == 0
    (message,) = read_messages(probed.kafka_settings, topic)
    assert (message.key(), message.value(), message.headers()) == (b"key", b"value", headers)
    assert message.timestamp()[1] == 1_700_000_000_123


def test_tombstone_comes_back_as_one(probed, topic_settings):
    topic = _created(probed, topic_settings, "inventory")
    producer = Producer(producer_config(probed.kafka_settings, client_id="probe"))
    producer.produce(topic, None, b"gone")
    assert producer.flush(30) == 0
    (message,) = read_messages(probed.kafka_settings, topic)
    assert message.key() == b"gone"
    assert message.value() is None


def test_records_of_one_partition_keep_their_order(probed, topic_settings):
    topic = _created(probed, topic_settings, "inventory")
    producer = Producer(producer_config(probed.kafka_settings, client_id="probe"))
    for number in range(2_000):
        producer.produce(topic, b"%d" % number, b"%d" % (number % 7))
    assert producer.flush(30) == 0
    assert [int(message.value()) for message in read_messages(probed.kafka_settings, topic)] == list(range(2_000))


def test_missing_topic_is_one_sentence_with_the_remedy(probed, topic_settings):
    settings = msgspec.structs.replace(topic_settings, create=False)
    with pytest.raises(TopicError) as caught:
        Broker(probed.kafka_settings).require_topics([find_topic("inventory")], settings)
    assert str(caught.value) == (
        f"Kafka at {probed.kafka_settings.bootstrap_servers} has no topic '{topic_settings.prefix}inventory' "
        "(create it with `whocalls topics apply`, or set topics.create to true)"
    )


def test_broker_restarts_with_its_data_at_the_same_address(start_kafka, topic_settings):
    broker = start_kafka()
    topic = _created(broker, topic_settings, "call-graph")
    producer = Producer(producer_config(broker.kafka_settings, client_id="probe"))
    producer.produce(topic, b"value", b"key")
    assert producer.flush(30) == 0
    broker.stop()
    broker.start()
    assert [message.value() for message in read_messages(broker.kafka_settings, topic)] == [b"value"]


@pytest.mark.usefixtures("needs_apache")
def test_killed_broker_keeps_what_it_acknowledged(start_kafka, topic_settings):
    broker = start_kafka()
    topic = _created(broker, topic_settings, "call-graph")
    producer = Producer(producer_config(broker.kafka_settings, client_id="probe"))
    producer.produce(topic, b"value", b"key")
    assert producer.flush(30) == 0
    broker.kill()
    broker.start()
    assert [message.value() for message in read_messages(broker.kafka_settings, topic)] == [b"value"]


def test_apache_asked_for_by_name_and_not_to_be_had_is_an_error(monkeypatch):
    from tests.brokers import choose_broker  # noqa: PLC0415

    monkeypatch.setenv("WHOCALLS_TEST_KAFKA", "apache")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(pytest.fail.Exception, match="cannot be had: no java was found"):
        choose_broker()


def test_embedded_is_chosen_with_the_reason_where_there_is_no_java(monkeypatch):
    from tests.brokers import choose_broker  # noqa: PLC0415

    monkeypatch.setenv("WHOCALLS_TEST_KAFKA", "")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert choose_broker() == ("embedded", "no java was found")


def test_jars_that_cannot_be_fetched_leave_nothing_behind(monkeypatch, tmp_path):
    from tests import apache_kafka  # noqa: PLC0415

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] no network'\nexit 1\n", encoding="utf-8")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NoApacheKafkaError, match="no network"):
        apache_kafka.fetch_jars()
    assert not list((tmp_path / "whocalls").iterdir())


def _created(broker, settings, name):
    Broker(broker.kafka_settings).require_topics([find_topic(name)], settings)
    return full_name(name, settings)


def _config_of(admin, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in entries.items()}
