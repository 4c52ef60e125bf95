"""What is said when Kafka is not there, not ours to enter, or refuses: one sentence each, within its time."""

from __future__ import annotations

import socket
import time

import msgspec
import pytest

from callgraph.broker import Broker
from callgraph.errors import ConfigurationError, TopicError, UnreachableError
from callgraph.settings import KafkaSettings, SaslSettings, TlsSettings
from callgraph.topics import find_topic
from tests.apache_kafka import free_ports

REMEDY = r" \(check kafka\.(bootstrap_servers and kafka\.security_protocol|sasl\.username and password)\)$"
SCRAM = {
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}


def test_broker_that_is_not_there_is_unreachable():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    told = _unreachable(KafkaSettings(bootstrap_servers=address, connect_seconds=1))
    assert told.startswith(f"cannot reach Kafka at '{address}' within 1 s: ")
    assert "Connection refused" in told


def test_name_that_does_not_resolve_is_said():
    told = _unreachable(KafkaSettings(bootstrap_servers="kafka.invalid:9092", connect_seconds=1))
    assert "cannot reach Kafka at 'kafka.invalid:9092' within 1 s: " in told
    assert "resolve" in told


def test_listener_that_never_answers_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        _unreachable(KafkaSettings(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}", connect_seconds=1))
        assert time.monotonic() - started < 5


def test_what_speaks_another_protocol_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{server.getsockname()[1]}", security_protocol="SSL", connect_seconds=1
        )
        _unreachable(settings)


def test_authorities_that_cannot_be_read_are_one_sentence():
    settings = KafkaSettings(security_protocol="SSL", tls=TlsSettings(ca_file="/nowhere/ca.pem"))
    with pytest.raises(ConfigurationError, match=r"^the Kafka client refuses its settings: ssl\.ca\.location failed"):
        Broker(settings)


@pytest.mark.kafka
def test_more_replicas_than_brokers_is_one_sentence(kafka_settings, topic_settings):
    settings = msgspec.structs.replace(topic_settings, replication_factor=3)
    with pytest.raises(TopicError) as caught:
        Broker(kafka_settings).create_topics([find_topic("inventory")], settings)
    assert str(caught.value).startswith(f"cannot create the topic '{topic_settings.prefix}inventory': ")
    assert "replication factor" in str(caught.value).lower()


@pytest.fixture
def guarded_kafka(start_kafka):
    """A broker with the user `agent` behind SCRAM."""
    return start_kafka(listeners=["SASL_PLAINTEXT"], properties=SCRAM, users={"agent": "right"})


@pytest.mark.kafka
def test_password_decides_who_gets_in(guarded_kafka, tmp_path):
    (tmp_path / "password").write_text("right\n", encoding="utf-8")
    settings = KafkaSettings(
        bootstrap_servers=guarded_kafka.address("SASL_PLAINTEXT"),
        security_protocol="SASL_PLAINTEXT",
        sasl=SaslSettings(username="agent", password_file=str(tmp_path / "password")),
        connect_seconds=10,
    )
    assert isinstance(Broker(settings).topics(), dict)
    wrong = SaslSettings(username="agent", password="wrong")
    told = _unreachable(msgspec.structs.replace(settings, sasl=wrong, connect_seconds=2))
    assert "Authentication failed" in told
    without = msgspec.structs.replace(settings, security_protocol="PLAINTEXT", connect_seconds=2)
    _unreachable(without)


def _unreachable(settings):
    """Return the sentence; it must be one line that ends with the remedy, and exit with 6."""
    with pytest.raises(UnreachableError, match=REMEDY) as caught:
        Broker(settings).topics()
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    return str(caught.value)
