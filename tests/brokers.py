"""Which broker the tests run on, and how each kind is started. Shell.

In: `WHOCALLS_TEST_KAFKA` = `apache`, `embedded` or `HOST:PORT`; empty: Apache where Java and the jars can be had, else
embedded. Out: a running broker with its `KafkaSettings`, and a sentence that says which one and why.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from callgraph.clients import consumer_config, librdkafka_config
from callgraph.settings import KafkaSettings
from tests.apache_kafka import ApacheKafka, NoApacheKafkaError, fetch_jars, find_java, free_ports, jars_folder
from whocalls.embedded_broker import EmbeddedBroker

VARIABLE = "WHOCALLS_TEST_KAFKA"


class BrokerProcess(Protocol):
    """A broker of a test's own, which may be stopped, killed and started again at the same address."""

    about: str

    @property
    def kafka_settings(self) -> KafkaSettings: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class EmbeddedKafka:
    """The embedded broker with the methods of `BrokerProcess`."""

    about = "the embedded broker"

    def __init__(self, folder: Path) -> None:
        self._broker = EmbeddedBroker(folder, port=free_ports(1)[0])

    @property
    def kafka_settings(self) -> KafkaSettings:
        return self._broker.kafka_settings

    def start(self) -> None:
        self._broker.start()

    def stop(self) -> None:
        self._broker.stop()

    def kill(self) -> None:
        if self._broker.pid:
            os.kill(self._broker.pid, signal.SIGKILL)
            self._broker.stop()


class RemoteKafka:
    """A broker that somebody else runs: used as it is, left running."""

    def __init__(self, address: str) -> None:
        self.about = f"the broker at {address}"
        self.kafka_settings = KafkaSettings(bootstrap_servers=address)


def plan_broker() -> str:
    """Say which broker the tests will use, without fetching or starting anything."""
    asked = os.environ.get(VARIABLE, "")
    if asked:
        return f"{asked} ({VARIABLE} says so)"
    try:
        java = find_java()
    except NoApacheKafkaError as error:
        return f"embedded ({error})"
    jars = jars_folder()
    return f"apache ({java}, jars {'in' if jars.is_dir() else 'to be fetched by mvn into'} {jars})"


def choose_broker() -> tuple[str, str]:
    """Return `apache`, `embedded` or HOST:PORT, and why; the jars are there when it is `apache`.

    Apache asked for by name and not to be had is an error, not a skip.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "apache"):
        return asked, f"{VARIABLE} says so"
    try:
        find_java()
        fetch_jars()
    except NoApacheKafkaError as error:
        if asked:
            pytest.fail(f"{VARIABLE}=apache, but it cannot be had: {error}", pytrace=False)
        return "embedded", str(error)
    return "apache", f"{VARIABLE} says so" if asked else "Java and the jars are here"


def make_broker(
    choice: str,
    folder: Path,
    *,
    listeners: Iterable[str] = (),
    properties: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
    java_options: Iterable[str] = (),
) -> BrokerProcess:
    """Make a broker of a test's own, not started yet; with security only where it is Apache's."""
    if choice == "apache":
        return ApacheKafka(folder, listeners=listeners, properties=properties, users=users, java_options=java_options)
    if listeners or properties or users:
        pytest.skip(f"needs Apache Kafka, and this session uses {choice}")
    if choice == "embedded":
        return EmbeddedKafka(folder)
    pytest.skip(f"stops its broker, which {choice} is not ours to do")


def read_messages(kafka: KafkaSettings, topic: str) -> list[Message]:
    """Read a whole topic, with the configuration that our readers use."""
    consumer = Consumer(consumer_config(kafka, client_id=f"whocalls-tests-{uuid.uuid4().hex}"))
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    messages: list[Message] = []
    ended, deadline = 0, time.monotonic() + 30
    while ended < len(partitions):
        assert time.monotonic() < deadline, f"{topic} was not read to its end: {len(messages)} records so far"
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            ended += 1
        else:
            messages.append(message)
    consumer.close()
    return messages


def read_topic(kafka: KafkaSettings, topic: str) -> list[bytes]:
    """Read the values of a whole topic."""
    return [message.value() for message in read_messages(kafka, topic)]


def delete_topics(kafka: KafkaSettings, prefix: str) -> None:
    """Delete the topics of one test, where the broker outlives it."""
    admin = AdminClient(librdkafka_config(kafka, client_id="whocalls-tests"))
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if names:
        for future in admin.delete_topics(names).values():
            future.result()
