"""The broker as an administrator sees it: is it there, are the topics as described. Shell: confluent-kafka.

Every failure is one sentence with its remedy.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from callgraph.clients import librdkafka_config
from callgraph.complaints import Complaint, explain, most_telling
from callgraph.errors import ConfigurationError, TopicError, UnreachableError
from callgraph.rights import RIGHTS, Operation, Role
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.tls_probe import speaks_tls, why_untrusted
from callgraph.topics import Topic, find_topic, full_name, partition_count, topic_config

_POLL_SECONDS = 5.0
_REQUEST_SECONDS = 10.0
_COMPLAINTS_KEPT = 100


class Broker:
    """An administrative connection.

    Keep the instance while its futures run: librdkafka cancels them when the client is collected.
    """

    def __init__(self, kafka: KafkaSettings, *, client_id: str = "whocalls-admin") -> None:
        """Raises ConfigurationError when the client refuses its settings."""
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415  (28 MB; the agent asks without it)

        self._kafka = kafka
        self._complaints: list[Complaint] = []
        config = librdkafka_config(kafka, client_id=client_id)
        config |= {"error_cb": self._hear, "logger": _silent_logger()}
        try:
            self._admin = AdminClient(config)
        except KafkaException as error:
            why = error.args[0].str().removeprefix("Failed to create admin client: ")
            raise ConfigurationError(f"the Kafka client refuses its settings: {why} (check the block kafka)") from error

    def topics(self) -> dict[str, int]:
        """Return the broker's topics with their partition counts, once it answers. Raises UnreachableError.

        A login or a certificate that is refused is not tried for the whole of `kafka.connect_seconds`.
        """
        from confluent_kafka import KafkaException  # noqa: PLC0415

        deadline = time.monotonic() + self._kafka.connect_seconds
        while True:
            try:
                metadata = self._admin.list_topics(timeout=min(_POLL_SECONDS, self._kafka.connect_seconds))
            except KafkaException as error:
                self._admin.poll(0)
                told = most_telling(self._complaints)
                if time.monotonic() >= deadline or (told and told.is_refusal):
                    raise UnreachableError(self._explain(told, error)) from error
            else:
                return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def require_role(self, role: Role, settings: TopicSettings, *, group: str = "") -> dict[str, int]:
        """Check that a role finds its topics, as `require_topics` does, and that it may do its work.

        `group`: the consumer group that it must be able to join. Raises TopicError.
        """
        rights = RIGHTS[role]
        self.topics()
        if not self._kafka.embedded:  # it has no access control
            self._require_rights({full_name(name, settings): needed for name, needed in rights.items()})
            if group:
                self._require_group(group)
        return self.require_topics([find_topic(name) for name in rights], settings)

    def require_visible(self, names: Iterable[str]) -> None:
        """See that topics which are not in the list are absent, and not hidden. Raises TopicError."""
        if not self._kafka.embedded:
            self._require_rights(dict.fromkeys(names, ()))

    def require_topics(self, wanted: Iterable[Topic], settings: TopicSettings) -> dict[str, int]:
        """Check that the topics are there; create missing ones where the settings say so. Returns partition counts."""
        wanted = tuple(wanted)
        present = self.topics()
        missing = [topic for topic in wanted if full_name(topic.name, settings) not in present]
        if missing and settings.create:
            self.create_topics(missing, settings)
            present = self._await_topics([full_name(topic.name, settings) for topic in missing])
        elif missing:
            absent = [full_name(topic.name, settings) for topic in missing]
            self.require_visible(absent)
            raise TopicError(
                f"Kafka at {self._kafka.bootstrap_servers} has no topic {', '.join(map(repr, absent))} "
                "(create it with `whocalls topics apply`, or set topics.create to true)"
            )
        return {topic.name: present[full_name(topic.name, settings)] for topic in wanted}

    def create_topics(self, topics: Iterable[Topic], settings: TopicSettings) -> None:
        """Create topics; one that exists already is left alone."""
        self._create({full_name(topic.name, settings): topic for topic in topics}, settings)

    def require_copy(self, name: str, of: Topic, settings: TopicSettings) -> None:
        """See that a topic of any name is there; create it in the shape of one of ours where the settings say so."""
        if name in self.topics():
            return
        self.require_visible([name])
        if not settings.create:
            shape = " ".join(f"{key}={value}" for key, value in topic_config(of).items())
            raise TopicError(
                f"Kafka at {self._kafka.bootstrap_servers} has no topic {name!r} "
                f"(create it with {shape}, or set topics.create to true)"
            )
        self._create({name: of}, settings)
        self._await_topics([name])

    def count(self) -> int:
        """Return how many brokers there are. Call `topics` before."""
        return len(self._admin.list_topics(timeout=_REQUEST_SECONDS).brokers)

    def shapes(self, names: Iterable[str]) -> dict[str, tuple[int, int, dict[str, str]]]:
        """Return partitions, replicas and configuration of the topics that are there.

        The configuration is empty where this user may not read it (DescribeConfigs).
        """
        present = self._admin.list_topics(timeout=_REQUEST_SECONDS).topics
        found = {name: present[name].partitions for name in names if name in present}
        return {
            name: (len(partitions), min((len(each.replicas) for each in partitions.values()), default=0), config)
            for (name, partitions), config in zip(found.items(), self._configs(found), strict=True)
        }

    def denials(self, role: Role, settings: TopicSettings, *, group: str = "") -> Iterator[str]:
        """Yield a sentence for each right on Kafka that a role lacks; topics that are missing are no matter of rights.

        `group`: the consumer group that it must be able to join.
        """
        for name, needed in RIGHTS[role].items():
            try:
                self._require_rights({full_name(name, settings): needed})
            except TopicError as error:
                yield str(error)
        if group:
            try:
                self._require_group(group)
            except TopicError as error:
                yield str(error)

    def refused_creations(self, topics: Iterable[Topic], settings: TopicSettings) -> Iterator[str]:
        """Yield a sentence for each topic that could not be created, without creating any."""
        for topic in topics:
            try:
                self._create({full_name(topic.name, settings): topic}, settings, only_tries=True)
            except TopicError as error:
                yield str(error)

    def _configs(self, names: Iterable[str]) -> Iterator[dict[str, str]]:
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import ConfigResource, ResourceType  # noqa: PLC0415

        for name in names:
            asked = ConfigResource(ResourceType.TOPIC, name)
            (answer,) = self._admin.describe_configs([asked], request_timeout=_REQUEST_SECONDS).values()
            try:
                yield {key: entry.value for key, entry in answer.result().items()}
            except KafkaException:
                yield {}

    def _create(self, topics: Mapping[str, Topic], settings: TopicSettings, *, only_tries: bool = False) -> None:
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import NewTopic  # noqa: PLC0415

        requests = [
            NewTopic(
                name,
                num_partitions=partition_count(topic, settings),
                replication_factor=settings.replication_factor,
                config=topic_config(topic),
            )
            for name, topic in topics.items()
        ]
        created = self._admin.create_topics(requests, request_timeout=30, validate_only=only_tries)
        for name, future in created.items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    denied = error.args[0].code() in (
                        KafkaError.TOPIC_AUTHORIZATION_FAILED,
                        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
                    )
                    remedy = " (grant Create on it, or let somebody run `whocalls topics apply` who may)"
                    raise TopicError(
                        f"cannot create the topic {name!r}: {error.args[0].str()}{remedy if denied else ''}"
                    ) from error

    def _require_rights(self, needed: Mapping[str, tuple[Operation, ...]]) -> None:
        """See that topics which are there may be used. Brokers before Kafka 2.3 do not say what is allowed."""
        from confluent_kafka import KafkaError, KafkaException, TopicCollection  # noqa: PLC0415

        described = self._admin.describe_topics(
            TopicCollection(list(needed)), include_authorized_operations=True, request_timeout=_REQUEST_SECONDS
        )
        for name, future in described.items():
            try:
                allowed = future.result().authorized_operations
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise TopicError(_denied(f"see the topic {name!r}", ("Describe", *needed[name]))) from error
                continue  # it is not there, or the question is not understood
            lacking = [each for each in needed[name] if allowed and each.upper() not in _names(allowed)]
            if lacking:
                doing = " and ".join(each.lower() for each in lacking)
                raise TopicError(_denied(f"{doing} the topic {name!r}", lacking))

    def _require_group(self, group: str) -> None:
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

        described = self._admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=_REQUEST_SECONDS
        )
        try:
            allowed = described[group].result().authorized_operations
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise TopicError(_denied(f"see the consumer group {group!r}", ("Describe", "Read"))) from error
            return
        if allowed and "READ" not in _names(allowed):
            raise TopicError(_denied(f"join the consumer group {group!r}", ("Read",)))

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

    def _hear(self, error: Any) -> None:
        self._complaints = [*self._complaints[-_COMPLAINTS_KEPT:], Complaint(error.name(), error.str())]

    def _explain(self, told: Complaint | None, error: Any) -> str:
        return explain(told, self._kafka, otherwise=error.args[0].str(), probed=self._probe(told))

    def _probe(self, told: Complaint | None) -> str:
        """Ask the listener itself, where librdkafka does not say what the matter is."""
        if told is None:
            return ""
        server = told.server or self._kafka.bootstrap_servers.partition(",")[0].strip()
        if told.is_untrusted:
            return why_untrusted(server, self._kafka.tls)
        wants_tls = "SSL" in self._kafka.security_protocol
        if not told.is_closed or speaks_tls(server) == wants_tls:
            return ""
        return "the listener does not speak TLS" if wants_tls else "the listener speaks TLS"


def _denied(doing: str, operations: Iterable[str]) -> str:
    return f"Kafka does not let this user {doing} (grant {' and '.join(operations)} on it, as docs/security.md says)"


def _names(operations: Iterable[Any]) -> set[str]:
    return {operation.name for operation in operations}


def _silent_logger() -> Any:
    """Take librdkafka's own lines away: what matters comes through the error callback, as a sentence of ours."""
    import logging  # noqa: PLC0415

    logger = logging.getLogger("whocalls.librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
