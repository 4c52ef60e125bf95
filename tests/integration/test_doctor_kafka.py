"""`whocalls doctor kafka`: each check is broken on a real broker, or on real sockets, with its cause and fix."""

from __future__ import annotations

import socket

import pytest
import yaml
from confluent_kafka.admin import AdminClient, NewTopic

from callgraph.broker import Broker
from callgraph.clients import librdkafka_config
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, find_topic, full_name, topic_config
from tests.doctor_runs import diagnose, kafka_flags
from tests.secure_kafka import LONER, LOOKER, STRANGER

pytestmark = pytest.mark.kafka

SECURED = TopicSettings(prefix="doctor.", partitions=2)


@pytest.fixture
def flags(kafka_settings, topic_settings):
    return kafka_flags(kafka_settings, topic_settings)


@pytest.fixture
def broker(kafka_settings):
    return Broker(kafka_settings)


@pytest.fixture
def ask(secure, tmp_path):
    """Run the doctor as a client of the secured broker, whose topics are there."""
    secure.allow()
    Broker(secure.broker.kafka_settings).create_topics(TOPICS, SECURED)

    def ask(kafka, *arguments, topics=SECURED):
        block = {"prefix": topics.prefix, "partitions": topics.partitions}
        file = tmp_path / "whocalls.yaml"
        file.write_text(yaml.safe_dump({"kafka": {"connect_seconds": 5.0} | kafka, "topics": block}), encoding="utf-8")
        return diagnose("kafka", f"--config={file}", *arguments)

    return ask


def create(kafka_settings, name, *, partitions, config):
    admin = AdminClient(librdkafka_config(kafka_settings, client_id="test"))
    for future in admin.create_topics([NewTopic(name, partitions, config=config)]).values():
        future.result()


# -- Names and connections --------------------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_is_named(monkeypatch):
    monkeypatch.setenv("WHOCALLS_KAFKA_CONNECT_SECONDS", "0.5")
    done = diagnose("kafka", "--kafka-bootstrap-servers=no-such-host.invalid:9092")
    assert "'no-such-host.invalid:9092' does not resolve" in done.failed("kafka.names")["message"]
    assert "kafka.bootstrap_servers" in done.failed("kafka.names")["fix"]
    assert done.code == 6


def test_a_port_that_nobody_listens_on_is_named():
    done = diagnose("kafka", "--kafka-bootstrap-servers=127.0.0.1:1", "--kafka-connect-seconds=0.5")
    assert done.failed("kafka.connection")["message"] == "127.0.0.1:1 accepts none: Connection refused"
    assert done.failed("kafka.login")["unreachable"]
    assert done.code == 6


def test_an_address_without_a_port_is_said():
    done = diagnose("kafka", "--kafka-bootstrap-servers=kafka", "--kafka-connect-seconds=0.5")
    assert "'kafka' does not resolve" in done.failed("kafka.names")["message"]


def test_what_accepts_connections_and_is_no_broker_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = diagnose("kafka", f"--kafka-bootstrap-servers={address}", "--kafka-connect-seconds=0.5")
    assert done.states("kafka.connection") == {"ok"}
    assert "kafka.security_protocol" in done.failed("kafka.login")["fix"]
    assert done.code == 6


@pytest.mark.parametrize(
    ("listener", "why"), [("EXPIRED", "certificate has expired"), ("ELSEWHERE", "IP address mismatch")]
)
def test_a_certificate_that_does_not_pass_is_named(ask, secure, listener, why):
    done = ask(secure.kafka("SSL", listener=listener))
    assert why in done.failed("kafka.certificate")["message"]
    assert "kafka.tls.ca_file" in done.failed("kafka.certificate")["fix"]
    assert done.code == 6


def test_a_certificate_that_expires_soon_is_warned_of(ask, secure):
    """Those of the tests are valid for two days."""
    done = ask(secure.kafka("SSL"))
    assert "trusted for another 2 days" in done.warned("kafka.certificate")["message"]
    assert [finding["check"] for finding in done.bad()] == ["kafka.certificate"]
    assert done.code == 0
    assert ask(secure.kafka("SSL"), "--strict").code == 5


def test_tls_to_a_listener_without_is_named(ask, secure):
    done = ask(secure.kafka("SSL", listener="PLAINTEXT"))
    assert "does not speak TLS" in done.failed("kafka.certificate")["message"]
    assert "kafka.security_protocol" in done.failed("kafka.certificate")["fix"]


def test_a_wrong_password_is_named(ask, secure):
    done = ask(secure.kafka("SASL_SSL", "SCRAM-SHA-512", sasl={"password_file": secure.wrong_password}))
    assert "cannot log in" in done.failed("kafka.login")["message"]
    assert "kafka.sasl.username and password" in done.failed("kafka.login")["fix"]
    assert done.code == 6


# -- Topics -----------------------------------------------------------------------------------------------------------


def test_topics_as_described_are_found_well(flags, broker, topic_settings):
    broker.create_topics(TOPICS, topic_settings)
    done = diagnose("kafka", *flags)
    assert done.bad() == []
    assert done.code == 0


def test_a_missing_topic_is_named(flags, broker, topic_settings):
    broker.create_topics([topic for topic in TOPICS if topic.name != "calls"], topic_settings)
    done = diagnose("kafka", *flags)
    assert done.failed("kafka.topics") == {
        "check": "kafka.topics",
        "status": "fail",
        "message": f"missing: {topic_settings.prefix}calls",
        "fix": "run `whocalls topics apply`",
        "doc": "docs/kafka.md#topics",
    }
    assert done.code == 5


def test_an_inventory_on_several_partitions_fails(flags, broker, kafka_settings, topic_settings):
    name = full_name("inventory", topic_settings)
    create(kafka_settings, name, partitions=3, config=topic_config(find_topic("inventory")))
    broker.create_topics([topic for topic in TOPICS if topic.name != "inventory"], topic_settings)
    done = diagnose("kafka", *flags)
    assert done.failed("kafka.partitions")["message"] == f"{name} has 3, expected 1"
    assert "whocalls topics apply" in done.failed("kafka.partitions")["fix"]
    assert done.code == 5


def test_another_number_of_partitions_than_configured_is_warned_of(flags, broker, kafka_settings, topic_settings):
    name = full_name("call-graph", topic_settings)
    create(kafka_settings, name, partitions=3, config=topic_config(find_topic("call-graph")))
    broker.create_topics([topic for topic in TOPICS if topic.name != "call-graph"], topic_settings)
    done = diagnose("kafka", *flags)
    assert done.warned("kafka.partitions")["fix"] == "set topics.partitions to 3, what is there"
    assert done.code == 0


@pytest.mark.usefixtures("needs_apache")
def test_a_graph_that_is_deleted_by_age_fails(flags, broker, kafka_settings, topic_settings):
    name = full_name("call-graph", topic_settings)
    create(kafka_settings, name, partitions=topic_settings.partitions, config={"cleanup.policy": "delete"})
    broker.create_topics([topic for topic in TOPICS if topic.name != "call-graph"], topic_settings)
    done = diagnose("kafka", *flags)
    assert done.failed("kafka.cleanup")["message"] == f"{name} has cleanup.policy=delete, expected compact"
    assert "kafka-configs.sh --alter" in done.failed("kafka.cleanup")["fix"]
    assert done.code == 5


# -- Rights -----------------------------------------------------------------------------------------------------------


def as_user(secure, user):
    return secure.kafka("SASL_SSL", "SCRAM-SHA-512", sasl={"username": user})


def test_rights_that_are_missing_are_named_one_by_one(ask, secure):
    done = ask(as_user(secure, LOOKER), "--role=exporter", "--role=agent")
    denied = [finding["message"] for finding in done.of("kafka.rights")]
    assert denied == [
        "Kafka does not let this user read the topic 'doctor.call-graph'",
        "Kafka does not let this user read the topic 'doctor.coverage'",
        "Kafka does not let this user write the topic 'doctor.dns-answers'",
        "Kafka does not let this user write the topic 'doctor.connections'",
    ]
    assert all("grant " in finding["fix"] for finding in done.of("kafka.rights"))
    assert done.code == 5


def test_reading_is_tried_and_its_refusal_is_named(ask, secure):
    refusals = ask(as_user(secure, LOOKER), "--role=exporter").of("kafka.reading")
    for refusal, topic in zip(refusals, ("call-graph", "coverage"), strict=True):
        assert f"may not read the topic 'doctor.{topic}'" in refusal["message"]
        assert refusal["status"] == "fail"
        assert "grant Describe and Read" in refusal["fix"]


def test_a_group_that_may_not_be_joined_is_named(ask, secure):
    done = ask(as_user(secure, LONER), "--role=processor")
    assert "the consumer group 'whocalls-processor'" in done.failed("kafka.rights")["message"]
    assert "grant Describe and Read" in done.failed("kafka.rights")["fix"]


def test_topics_that_this_user_does_not_see_are_a_matter_of_rights(ask, secure):
    done = ask(as_user(secure, STRANGER), "--role=exporter")
    assert "does not let this user see the topic" in done.failed("kafka.topics")["message"]
    assert done.code == 5


def test_before_an_installation_creating_is_tried_and_nothing_is_created(ask, secure):
    absent = TopicSettings(prefix="not-yet.", partitions=2)
    done = ask(secure.kafka("SASL_SSL", "SCRAM-SHA-512"), "--pre", topics=absent)
    assert done.of("kafka.topics")[0]["message"] == f"{len(TOPICS)} are missing, and this user may create them"
    assert not [name for name in Broker(secure.broker.kafka_settings).topics() if name.startswith(absent.prefix)]
    denied = ask(as_user(secure, STRANGER), "--pre", topics=absent)
    assert {finding["status"] for finding in denied.of("kafka.topics")} == {"fail"}
    assert "grant Create on it" in denied.of("kafka.topics")[0]["fix"]
    assert denied.code == 5


def test_more_replicas_than_brokers_is_known_before_an_installation(kafka_settings, kafka_choice):
    if kafka_choice != "apache":
        pytest.skip(f"needs Apache Kafka, and this session uses {kafka_choice}")
    flags = kafka_flags(kafka_settings, TopicSettings(prefix="thrice.", partitions=2))
    done = diagnose("kafka", "--pre", *flags, "--topics-replication-factor=3")
    assert {"fail"} == done.states("kafka.topics")
    assert "3" in done.of("kafka.topics")[0]["message"]


def test_settings_of_a_client_that_are_wrong_are_one_failure(tmp_path):
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    flags = kafka_flags(kafka, TopicSettings())
    done = diagnose("kafka", *flags, "--kafka-security-protocol=SSL", f"--kafka-tls-ca-file={tmp_path}/none.pem")
    assert done.states("kafka.login") == {"fail"}
