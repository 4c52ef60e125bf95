"""What the Kafka client complains of, as one sentence with its remedy. Pure.

In: the errors that librdkafka reported while it tried, and the settings that it tried with. Out: why Kafka cannot be
used, and what to check. Source: librdkafka 2.16 rdkafka_broker.c, rdkafka_ssl.c, rdkafka_sasl_oauthbearer_oidc.c.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from callgraph.errors import TopicError, UnreachableError
from callgraph.settings import KafkaSettings

DISCONNECTED = "_ALL_BROKERS_DOWN"
"""Says that no connection lasts, and nothing about why."""

_TOPIC_ERRORS = frozenset(
    {
        "TOPIC_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "UNKNOWN_TOPIC_OR_PART",
        "_UNKNOWN_TOPIC",
        "_UNKNOWN_PARTITION",
        "MSG_SIZE_TOO_LARGE",
    }
)

_BROKER = re.compile(r"^(\w+://)?(?P<server>\S+:\d+)/\w+: ")
_STATE = re.compile(r" \(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)$")
_REFUSED_CERTIFICATE = re.compile(r"alert (bad certificate|certificate \w+|unknown ca|unsupported certificate)")


class Complaint(NamedTuple):
    """An error as the client reports it: its name, and its text."""

    name: str
    text: str

    @property
    def server(self) -> str:
        """HOST:PORT of the broker that it is about; empty: none that is named."""
        found = _BROKER.match(self.text)
        return found["server"] if found else ""

    @property
    def why(self) -> str:
        """The text without the address, which the sentence names, and the state of the client, which nobody knows."""
        return _STATE.sub("", _BROKER.sub("", self.text))

    @property
    def is_refusal(self) -> bool:
        """Whether trying again is of no use: the login is refused, or a certificate."""
        return self.name == "_AUTHENTICATION" or self.is_untrusted or self.is_refused_certificate

    @property
    def is_closed(self) -> bool:
        """Whether the other side closed the connection before it said anything."""
        return self.name == DISCONNECTED or "connection closed by peer" in self.text

    @property
    def is_untrusted(self) -> bool:
        """Whether the broker's certificate did not pass."""
        return "certificate verify failed" in self.text

    @property
    def is_refused_certificate(self) -> bool:
        """Whether the broker did not accept our certificate, or wants one."""
        return bool(_REFUSED_CERTIFICATE.search(self.text))


def most_telling(complaints: Sequence[Complaint]) -> Complaint | None:
    """Choose the complaint that says most: the latest refusal, else the latest that says why."""
    saying = [complaint for complaint in complaints if complaint.name != DISCONNECTED]
    refusals = [complaint for complaint in saying if complaint.is_refusal]
    return next(reversed(refusals or saying or list(complaints)), None)


def explain(complaint: Complaint | None, kafka: KafkaSettings, *, otherwise: str, probed: str = "") -> str:
    """Say in one sentence why Kafka cannot be used.

    `otherwise` is the reason where the client has not complained; `probed` is what a handshake of our own found.
    """
    servers = repr(kafka.bootstrap_servers)
    if complaint is None:
        return _unreachable(kafka, otherwise)
    if complaint.is_untrusted:
        why = probed or complaint.why
        return f"the certificate of Kafka at {servers} is not accepted: {why} (check it, and kafka.tls.ca_file)"
    if complaint.is_refused_certificate:
        return (
            f"Kafka at {servers} does not accept our certificate: {complaint.why} "
            "(check kafka.tls.certificate_file and key_file)"
        )
    if complaint.name == "_AUTHENTICATION":
        return f"cannot log in to Kafka at {servers}: {complaint.why} ({_login_remedy(complaint, kafka)})"
    if complaint.name == DISCONNECTED:
        return _unreachable(kafka, probed or "connections are closed without an answer")
    return _unreachable(kafka, probed or complaint.why)


def refused_delivery(error: Complaint, *, topic: str, servers: str) -> TopicError | UnreachableError:
    """Say why a record was not taken: a matter of the topic, or of the brokers."""
    if error.name in _TOPIC_ERRORS:
        return TopicError(
            f"cannot write to the topic {topic!r}: {error.text} (grant Write on it, as docs/security.md says)"
            if "AUTHORIZATION" in error.name
            else f"cannot write to the topic {topic!r}: {error.text} (check it with `whocalls topics plan`)"
        )
    return UnreachableError(
        f"cannot write to the topic {topic!r} at {servers!r}: {error.text} "
        "(check kafka.bootstrap_servers, and that the brokers are up)"
    )


def _unreachable(kafka: KafkaSettings, why: str) -> str:
    return (
        f"cannot reach Kafka at {kafka.bootstrap_servers!r} within {kafka.connect_seconds:g} s: {why} "
        "(check kafka.bootstrap_servers and kafka.security_protocol)"
    )


def _login_remedy(complaint: Complaint, kafka: KafkaSettings) -> str:
    if "mechanism" in complaint.text and "handshake failed" in complaint.text:
        return "check kafka.security_protocol and kafka.sasl.mechanism"
    if kafka.sasl.mechanism == "OAUTHBEARER":
        return "check kafka.sasl.token_url, token_ca_file, username, password and scope"
    return "check kafka.sasl.username and password"
