"""What Kafka is found to be. Shell: sockets, confluent-kafka.

Reading is tried on every topic that a role reads. Whether a role may write is asked of the broker's authorizer: trying
would leave a record in a topic that others read.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator

from callgraph.broker import Broker
from callgraph.errors import TopicError, WhocallsError
from callgraph.rights import RIGHTS, Role
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.tls_probe import certificate_end, why_untrusted
from callgraph.topics import TOPICS, full_name
from whocalls.diagnosis.kafka import KafkaFacts, Server, Shape
from whocalls.topic_span import TopicSpan

_CONNECT_SECONDS = 3.0


def gather_kafka(
    kafka: KafkaSettings, topics: TopicSettings, *, roles: Iterable[Role], group: str, creates: bool
) -> KafkaFacts:
    """Look at the brokers and our topics. `creates`: see whether missing topics could be made, without making them."""
    servers = tuple(_look_at(server.strip(), kafka) for server in kafka.bootstrap_servers.split(","))
    try:
        broker = Broker(kafka, client_id="whocalls-doctor")
        broker.topics()
    except WhocallsError as error:
        return KafkaFacts(servers=servers, trouble=str(error))
    found = broker.shapes([full_name(topic.name, topics) for topic in TOPICS])
    missing = [topic for topic in TOPICS if full_name(topic.name, topics) not in found]
    roles = tuple(roles)
    return KafkaFacts(
        servers=servers,
        brokers=broker.count(),
        topics={name: Shape(partitions=p, replicas=r, config=config) for name, (p, r, config) in found.items()},
        invisible="" if creates else _hidden(broker, [full_name(topic.name, topics) for topic in missing]),
        denials=tuple(dict.fromkeys(_denials(broker, roles, topics, group))),
        unreadable=tuple(_unreadable(kafka, topics, roles=roles, group=group, present=found.keys())),
        uncreatable=tuple(broker.refused_creations(missing, topics)) if creates else None,
    )


def _look_at(server: str, kafka: KafkaSettings) -> Server:
    host, _, port = server.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError, OverflowError) as error:
        return Server(name=server, unknown=getattr(error, "strerror", None) or "it is not HOST:PORT")
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return Server(name=server, addresses=addresses, refused=error.strerror or str(error))
    if "SSL" not in kafka.security_protocol:
        return Server(name=server, addresses=addresses)
    untrusted = why_untrusted(server, kafka.tls)
    ends_at = None if untrusted else certificate_end(server, kafka.tls)
    expires_in = None if ends_at is None else ends_at - time.time()
    return Server(name=server, addresses=addresses, untrusted=untrusted, expires_in=expires_in)


def _hidden(broker: Broker, names: Iterable[str]) -> str:
    """Return the sentence about topics that this user does not see."""
    try:
        broker.require_visible(names)
    except TopicError as error:
        return str(error)
    return ""


def _denials(broker: Broker, roles: Iterable[Role], topics: TopicSettings, group: str) -> Iterator[str]:
    for role in roles:
        yield from broker.denials(role, topics, group=group if role == "processor" else "")


def _unreadable(
    kafka: KafkaSettings, topics: TopicSettings, *, roles: Iterable[Role], group: str, present: Iterable[str]
) -> Iterator[str]:
    """Fetch from each topic that a role reads, as the group that the role reads as."""
    present = set(present)
    for role in roles:
        reader = group if role == "processor" else f"whocalls-{role}"
        for name, operations in RIGHTS[role].items():
            full = full_name(name, topics)
            if "Read" in operations and full in present:
                try:
                    with TopicSpan(kafka, full, client_id=reader) as span:
                        span.require_readable()
                except WhocallsError as error:
                    yield str(error)
