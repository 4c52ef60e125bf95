"""Is Kafka there, and as the roles need it? Pure.

In: what the brokers were found to be. Out: a finding for each check. What is described is `callgraph.topics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from msgspec import Struct

from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, Topic, full_name, partition_count, topic_config
from whocalls.diagnosis.finding import Finding, fail, fail_with, ok, skip, warn

_DAY_SECONDS = 86_400
_CONNECTION = "docs/security.md#the-connection-to-kafka"
_RIGHTS = "docs/security.md#rights-on-kafka"
_TOPICS = "docs/kafka.md#topics"


class Server(Struct, frozen=True, kw_only=True):
    """One address of `kafka.bootstrap_servers`."""

    name: str
    """HOST:PORT."""
    addresses: tuple[str, ...] = ()
    unknown: str = ""
    """Why the name does not resolve."""
    refused: str = ""
    """Why no connection is accepted."""
    untrusted: str = ""
    """Why the certificate does not pass."""
    expires_in: float | None = None
    """Seconds until the certificate expires; None: no TLS, or no certificate was shown."""


class Shape(Struct, frozen=True, kw_only=True):
    """A topic as it is. `config` is empty where this user may not read it."""

    partitions: int
    replicas: int
    config: dict[str, str] = {}


class KafkaFacts(Struct, frozen=True, kw_only=True):
    """What was found; `login` and what follows are empty where there was no connection."""

    servers: tuple[Server, ...]
    trouble: str = ""
    """The sentence of a client that does not get in."""
    brokers: int = 0
    topics: dict[str, Shape] = {}
    """By full name; those that are ours."""
    invisible: str = ""
    """The sentence that says that this user does not see some topics."""
    denials: tuple[str, ...] = ()
    """Rights that a role lacks, a sentence each."""
    unreadable: tuple[str, ...] = ()
    """Topics that could not be read when it was tried, a sentence each."""
    uncreatable: tuple[str, ...] | None = None
    """Topics that could not be created when it was tried (`--pre`), a sentence each; None: not tried."""


def check_kafka(facts: KafkaFacts, kafka: KafkaSettings, topics: TopicSettings) -> list[Finding]:
    """Judge Kafka from its names to the rights on its topics."""
    found = list(_check_servers(facts, kafka))
    if facts.trouble:
        return [*found, fail_with("kafka.login", facts.trouble, doc=_CONNECTION, unreachable=True)]
    found.append(ok("kafka.login", f"{facts.brokers} brokers answer over {kafka.security_protocol}"))
    found += _check_existence(facts, topics)
    found += chain.from_iterable(_check_shape(topic, facts, topics) for topic in TOPICS)
    return [*found, *_check_rights(facts)]


def _check_servers(facts: KafkaFacts, kafka: KafkaSettings) -> Iterator[Finding]:
    for server in facts.servers:
        if server.unknown:
            fix = "correct kafka.bootstrap_servers; an agent needs dnsPolicy ClusterFirstWithHostNet for cluster names"
            yield fail("kafka.names", f"{server.name!r} does not resolve: {server.unknown}", fix=fix, doc=_CONNECTION)
            continue
        yield ok("kafka.names", f"{server.name} is {', '.join(server.addresses)}")
        if server.refused:
            fix = "correct the port, start the broker, or let a NetworkPolicy or firewall pass the connection"
            yield fail("kafka.connection", f"{server.name} accepts none: {server.refused}", fix=fix, doc=_CONNECTION)
            continue
        yield ok("kafka.connection", f"{server.name} accepts one")
        yield _check_certificate(server, kafka)


def _check_certificate(server: Server, kafka: KafkaSettings) -> Finding:
    check = "kafka.certificate"
    if "SSL" not in kafka.security_protocol:
        return skip(check, f"kafka.security_protocol is {kafka.security_protocol}: no encryption")
    if server.untrusted:
        fix = "set kafka.tls.ca_file to the authority of the brokers, or mend their certificate"
        return fail(check, f"{server.name} is not trusted: {server.untrusted}", fix=fix, doc=_CONNECTION)
    if server.expires_in is None:
        fix = "set kafka.security_protocol as the listener speaks"
        return fail(check, f"{server.name} does not speak TLS", fix=fix, doc=_CONNECTION)
    days = server.expires_in / _DAY_SECONDS
    message = f"{server.name} is trusted for another {days:.0f} days"
    return warn(check, message, fix="renew the broker's certificate") if days < 14 else ok(check, message)


def _check_existence(facts: KafkaFacts, topics: TopicSettings) -> Iterator[Finding]:
    missing = [full_name(topic.name, topics) for topic in TOPICS if full_name(topic.name, topics) not in facts.topics]
    if not missing:
        yield ok("kafka.topics", f"all {len(TOPICS)} are there")
    elif facts.uncreatable is None:
        if facts.invisible:
            yield fail_with("kafka.topics", facts.invisible, doc=_RIGHTS)
            return
        yield fail("kafka.topics", f"missing: {', '.join(missing)}", fix="run `whocalls topics apply`", doc=_TOPICS)
    elif facts.uncreatable:
        yield from (fail_with("kafka.topics", sentence, doc=_RIGHTS) for sentence in facts.uncreatable)
    else:
        yield ok("kafka.topics", f"{len(missing)} are missing, and this user may create them")


def _check_shape(topic: Topic, facts: KafkaFacts, topics: TopicSettings) -> Iterator[Finding]:
    name = full_name(topic.name, topics)
    shape = facts.topics.get(name)
    if shape is None:
        return
    yield _check_partitions(topic, name, shape, topics)
    yield _check_cleanup(topic, name, shape.config)
    if shape.replicas == 1 < facts.brokers:
        fix = "reassign it with 3 replicas (kafka-reassign-partitions.sh), set topics.replication_factor for new ones"
        yield warn("kafka.replicas", f"{name} has one replica on {facts.brokers} brokers", fix=fix, doc=_TOPICS)


def _check_partitions(topic: Topic, name: str, shape: Shape, topics: TopicSettings) -> Finding:
    check, wanted = "kafka.partitions", partition_count(topic, topics)
    if shape.partitions == wanted:
        return ok(check, f"{name} has {wanted}")
    message = f"{name} has {shape.partitions}, expected {wanted}"
    if topic.partitions:
        fix = f"delete {name} and run `whocalls topics apply`: its order on one partition is what the design rests on"
        return fail(check, message, fix=fix, doc=_TOPICS)
    return warn(check, message, fix=f"set topics.partitions to {shape.partitions}, what is there", doc=_TOPICS)


def _check_cleanup(topic: Topic, name: str, config: Mapping[str, str]) -> Finding:
    check, key = "kafka.cleanup", "cleanup.policy"
    if not config:
        return skip(check, f"this user may not read the configuration of {name} (DescribeConfigs)")
    wanted = topic_config(topic)[key]
    if set(config.get(key, "").split(",")) == set(wanted.split(",")):
        return ok(check, f"{name}: {wanted}")
    value = f"[{wanted}]" if "," in wanted else wanted  # as kafka-configs.sh takes lists
    fix = f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {key}={value}"
    return fail(check, f"{name} has {key}={config.get(key)}, expected {wanted}", fix=fix, doc=_TOPICS)


def _check_rights(facts: KafkaFacts) -> Iterator[Finding]:
    yield from (fail_with("kafka.rights", sentence, doc=_RIGHTS) for sentence in facts.denials)
    if not facts.denials:
        yield ok("kafka.rights", "this user may do what the roles do")
    yield from (fail_with("kafka.reading", sentence, doc=_RIGHTS) for sentence in facts.unreadable)
    if not facts.unreadable and facts.topics:
        yield ok("kafka.reading", "what the roles read was read")
