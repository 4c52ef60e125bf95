"""The fixtures that several files of integration tests share."""

from __future__ import annotations

import pytest

from tests.brokers import make_broker
from tests.secure_kafka import SecureKafka


@pytest.fixture(scope="module")
def secure(kafka_choice, tmp_path_factory):
    """One Apache Kafka with a listener for every way of securing it."""
    if kafka_choice != "apache":
        pytest.skip(f"needs Apache Kafka, and this session uses {kafka_choice}")
    started = []

    def start(**shape):
        broker = make_broker("apache", tmp_path_factory.mktemp("secure") / "kafka", **shape)
        started.append(broker)
        broker.start()
        return broker

    kafka = SecureKafka(tmp_path_factory.mktemp("secrets"), start)
    with kafka.endpoint, kafka.silence:
        yield kafka
    for broker in started:
        broker.kill()
