"""Every way in which Kafka does not let a client in or do its work, with the sentence that a person must read. Data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.secure_kafka import LONER, LOOKER, STRANGER, SecureKafka

CONNECT_SECONDS = 2.0
ROLES = ("topics plan", "agent", "watcher", "processor", "exporter")

_AT = r"'127\.0\.0\.1:\d+'"
_ENDPOINT = "token_url, token_ca_file, username, password and scope"


class Failure(NamedTuple):
    """How a client is set up, and the pattern of what every role says."""

    kafka: Callable[[SecureKafka], dict[str, Any]]
    sentence: str


class Denial(NamedTuple):
    """How a client is set up, and the patterns of what the roles say that it concerns."""

    kafka: Callable[[SecureKafka], dict[str, Any]]
    roles: Mapping[str, str]


def _unreachable(why: str) -> str:
    remedy = r"\(check kafka\.bootstrap_servers and kafka\.security_protocol\)"
    return rf"cannot reach Kafka at {_AT} within 2 s: {why} {remedy}"


def _no_login(why: str, settings: str) -> str:
    return rf"cannot log in to Kafka at {_AT}: .*{why}.* \(check kafka\.sasl\.{settings}\)"


def _untrusted(why: str) -> str:
    return rf"the certificate of Kafka at {_AT} is not accepted: {why} \(check it, and kafka\.tls\.ca_file\)"


_OUR_CERTIFICATE = (
    rf"Kafka at {_AT} does not accept our certificate: .* \(check kafka\.tls\.certificate_file and key_file\)"
)
_WHO = _no_login("Authentication failed", "username and password")


def _scram(secure: SecureKafka, **sasl: str) -> dict[str, Any]:
    return secure.kafka("SASL_SSL", "SCRAM-SHA-512", sasl=sasl)


def _token(secure: SecureKafka, **sasl: str) -> dict[str, Any]:
    return secure.kafka("SASL_SSL", "OAUTHBEARER", sasl=sasl)


def _foreign_certificate(secure: SecureKafka) -> dict[str, Any]:
    foreign = secure.stranger_certificate
    files = {"certificate_file": str(foreign.certificate), "key_file": str(foreign.key), "key_password_file": ""}
    return secure.kafka("SSL", tls=files)


def _no_certificate(secure: SecureKafka) -> dict[str, Any]:
    return secure.kafka("SSL", tls=dict.fromkeys(("certificate_file", "key_file", "key_password_file"), ""))


def _plain_wrong(secure: SecureKafka) -> dict[str, Any]:
    return secure.kafka("SASL_SSL", "PLAIN", sasl={"password_file": secure.wrong_password})


FAILURES: dict[str, Failure] = {
    "wrong password": Failure(lambda secure: _scram(secure, password_file=secure.wrong_password), _WHO),
    "wrong password of PLAIN": Failure(_plain_wrong, _WHO),
    "unknown user": Failure(lambda secure: _scram(secure, username="nobody"), _WHO),
    "wrong client secret": Failure(
        lambda secure: _token(secure, password_file=secure.wrong_password), _no_login("invalid_client", _ENDPOINT)
    ),
    "token for another audience": Failure(
        lambda secure: _token(secure, scope="other"), _no_login("invalid_token", _ENDPOINT)
    ),
    "missing token endpoint": Failure(
        lambda secure: _token(secure, token_url="https://127.0.0.1:1/token"),
        _no_login("Could not connect to server", _ENDPOINT),
    ),
    "token endpoint that never answers": Failure(
        lambda secure: _token(secure, token_url=f"https://127.0.0.1:{secure.silence.getsockname()[1]}/token"),
        _unreachable(".*"),
    ),
    "token endpoint of another authority": Failure(
        lambda secure: _token(secure, token_ca_file=str(secure.stranger.certificate)),
        _no_login("unable to get local issuer certificate", _ENDPOINT),
    ),
    "expired server certificate": Failure(
        lambda secure: secure.kafka("SSL", listener="EXPIRED"), _untrusted("certificate has expired")
    ),
    "wrong host name": Failure(
        lambda secure: secure.kafka("SSL", listener="ELSEWHERE"),
        _untrusted(r"IP address mismatch, certificate is not valid for '127\.0\.0\.1'"),
    ),
    "server certificate of another authority": Failure(
        lambda secure: secure.kafka("SSL", tls={"ca_file": str(secure.stranger.certificate)}),
        _untrusted("unable to get local issuer certificate"),
    ),
    "client certificate of another authority": Failure(_foreign_certificate, _OUR_CERTIFICATE),
    "no client certificate": Failure(_no_certificate, _OUR_CERTIFICATE),
    "TLS to a listener without": Failure(
        lambda secure: secure.kafka("SSL", listener="PLAINTEXT"), _unreachable("the listener does not speak TLS")
    ),
    "no TLS to a listener with it": Failure(
        lambda secure: secure.kafka("PLAINTEXT", listener="SSL"), _unreachable("the listener speaks TLS")
    ),
    "no login where one is wanted": Failure(
        lambda secure: secure.kafka("PLAINTEXT", listener="SASL_PLAINTEXT"),
        _unreachable("connections are closed without an answer"),
    ),
}


def _denied(doing: str, operations: str) -> str:
    return rf"Kafka does not let this user {doing} \(grant {operations} on it, as docs/security\.md says\)"


DENIALS: dict[str, Denial] = {
    "no right at all": Denial(
        lambda secure: _scram(secure, username=STRANGER),
        {
            "topics plan": _denied(r"see the topic 'all\.[\w-]+'", "Describe"),
            "agent": _denied(r"see the topic 'all\.dns-answers'", "Describe and Write"),
            "watcher": _denied(r"see the topic 'all\.inventory'", "Describe and Read and Write"),
            "processor": _denied(r"see the topic 'all\.[\w-]+'", "Describe and .*"),
            "exporter": _denied(r"see the topic 'all\.call-graph'", "Describe and Read"),
        },
    ),
    "no right but to look": Denial(
        lambda secure: _scram(secure, username=LOOKER),
        {
            "agent": _denied(r"write the topic 'all\.dns-answers'", "Write"),
            "watcher": _denied(r"read and write the topic 'all\.inventory'", "Read and Write"),
            "processor": _denied(r"(read|write) .*the topic 'all\.[\w-]+'", ".*"),
            "exporter": _denied(r"read the topic 'all\.call-graph'", "Read"),
        },
    ),
    "no right on the group": Denial(
        lambda secure: _scram(secure, username=LONER),
        {
            "processor": _denied("see the consumer group 'whocalls-processor'", "Describe and Read"),
        },
    ),
}
