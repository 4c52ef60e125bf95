"""The broker as an administrator sees it: is it there, are the topics as described. Shell: confluent-kafka.

Every failure is one sentence with its remedy.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from callgraph.clients import librdkafka_config
from callgraph.errors import ConfigurationError, TopicError, UnreachableError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import Topic, full_name, partition_count, topic_config

_POLL_SECONDS = 5.0


class Broker:
    """An administrative connection.

    Keep the instance while its futures run: librdkafka cancels them when the client is collected.
    """

    def __init__(self, kafka: KafkaSettings, *, client_id: str = "whocalls-admin") -> None:
        """Raises ConfigurationError when the client refuses its settings."""
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415  (28 MB; the agent asks without it)

        self._kafka = kafka
        self._complaints: list[str] = []
        config = librdkafka_config(kafka, client_id=client_id)
        config |= {"error_cb": lambda error: self._complaints.append(error.str()), "logger": _silent_logger()}
        try:
            self._admin = AdminClient(config)
        except KafkaException as error:
            why = error.args[0].str().removeprefix("Failed to create admin client: ")
            raise ConfigurationError(f"the Kafka client refuses its settings: {why} (check the block kafka)") from error

    def topics(self) -> dict[str, int]:
        """Return the broker's topics with their partition counts, once it answers. Raises UnreachableError."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        deadline = time.monotonic() + self._kafka.connect_seconds
        while True:
            try:
                metadata = self._admin.list_topics(timeout=min(_POLL_SECONDS, self._kafka.connect_seconds))
            except KafkaException as error:
                self._admin.poll(0)
                if time.monotonic() >= deadline:
                    raise UnreachableError(self._unreachable(error)) from error
            else:
                return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def require_topics(self, wanted: Iterable[Topic], settings: TopicSettings) -> dict[str, int]:
        """Check that the topics are there; create missing ones where the settings say so. Returns partition counts."""
        wanted = tuple(wanted)
        present = self.topics()
        missing = [topic for topic in wanted if full_name(topic.name, settings) not in present]
        if missing and settings.create:
            self.create_topics(missing, settings)
            present = self._await_topics([full_name(topic.name, settings) for topic in missing])
        elif missing:
            names = ", ".join(repr(full_name(topic.name, settings)) for topic in missing)
            raise TopicError(
                f"Kafka at {self._kafka.bootstrap_servers} has no topic {names} "
                "(create it with `whocalls topics apply`, or set topics.create to true)"
            )
        return {topic.name: present[full_name(topic.name, settings)] for topic in wanted}

    def create_topics(self, topics: Iterable[Topic], settings: TopicSettings) -> None:
        """Create topics; one that exists already is left alone."""
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import NewTopic  # noqa: PLC0415

        requests = [
            NewTopic(
                full_name(topic.name, settings),
                num_partitions=partition_count(topic, settings),
                replication_factor=settings.replication_factor,
                config=topic_config(topic),
            )
            for topic in topics
        ]
        for name, future in self._admin.create_topics(requests, request_timeout=30).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TopicError(f"cannot create the topic {name!r}: {error.args[0].str()}") from error

    def _await_topics(self, names: list[str]) -> dict[str, int]:
        """Wait until new topics are in the metadata: brokers learn of them a moment after the answer."""
        deadline = time.monotonic() + self._kafka.connect_seconds
        while True:
            present = self.topics()
            if all(name in present for name in names):
                return present
            if time.monotonic() >= deadline:
                raise TopicError(f"the topics {names} were created, but do not appear (is the cluster healthy?)")
            time.sleep(0.05)

    def _unreachable(self, error: Any) -> str:
        why = self._complaints[-1] if self._complaints else error.args[0].str()
        return (
            f"cannot reach Kafka at {self._kafka.bootstrap_servers!r} within {self._kafka.connect_seconds:g} s: {why} "
            "(check kafka.bootstrap_servers and kafka.security_protocol)"
        )


def _silent_logger() -> Any:
    """Take librdkafka's own lines away: what matters comes through the error callback, as a sentence of ours."""
    import logging  # noqa: PLC0415

    logger = logging.getLogger("whocalls.librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
