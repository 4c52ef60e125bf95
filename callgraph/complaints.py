"""What the Kafka client complains of, as one sentence with its remedy. Pure.

In: the errors that librdkafka reported while it tried, and the settings that it tried with. Out: why Kafka cannot be
used, and what to check. Source: librdkafka 2.16 rdkafka_broker.c, rdkafka_ssl.c, rdkafka_sasl_oauthbearer_oidc.c.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from callgraph.settings import KafkaSettings

DISCONNECTED = "_ALL_BROKERS_DOWN"
"""Says that no connection lasts, and nothing about why."""

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
    if complaint.name == DISCONNECTED:
        return _unreachable(kafka, probed or "connections are closed without an answer")
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
    return _unreachable(kafka, complaint.why)


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
