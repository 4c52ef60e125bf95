"""The settings that all programs share. Pure.

Defaults live here and nowhere else. The same key is used in the YAML file (`kafka: {bootstrap_servers: …}`), in the
environment (`WHOCALLS_KAFKA_BOOTSTRAP_SERVERS`) and as a flag (`--kafka-bootstrap-servers`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class SettingsGroup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all groups of settings: immutable; an unknown key is an error."""


class TlsSettings(SettingsGroup, frozen=True, kw_only=True):
    """Encryption of the connection to Kafka; used when `kafka.security_protocol` names SSL."""

    ca_file: Annotated[str, Meta(description="PEM file of trusted authorities; empty: the system's.")] = ""
    certificate_file: Annotated[str, Meta(description="PEM file of the client certificate (mTLS); empty: none.")] = ""
    key_file: Annotated[str, Meta(description="PEM file of the client's private key.")] = ""
    key_password_file: Annotated[
        str, Meta(description="File with the private key's password; empty: not encrypted.")
    ] = ""
    check_hostname: Annotated[bool, Meta(description="Compare the broker's certificate with its host name.")] = True


class SaslSettings(SettingsGroup, frozen=True, kw_only=True):
    """Who we are to Kafka; used when `kafka.security_protocol` names SASL."""

    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"], Meta(description="SASL mechanism.")
    ] = "SCRAM-SHA-512"
    username: Annotated[str, Meta(description="User name (PLAIN, SCRAM) or client id (OAUTHBEARER).")] = ""
    password: Annotated[str, Meta(description="Password or client secret; prefer the file, or the environment.")] = ""
    password_file: Annotated[str, Meta(description="File that holds the password or client secret.")] = ""
    token_url: Annotated[str, Meta(description="OAUTHBEARER: the token endpoint (client credentials grant).")] = ""
    token_ca_file: Annotated[
        str, Meta(description="OAUTHBEARER: PEM file of the token endpoint's authorities; empty: the system's.")
    ] = ""
    scope: Annotated[str, Meta(description="OAUTHBEARER: the scope to ask for.")] = ""


class KafkaSettings(SettingsGroup, frozen=True, kw_only=True):
    """Where Kafka is and how to talk to it."""

    bootstrap_servers: Annotated[str, Meta(description="Comma-separated HOST:PORT list.")] = "localhost:9092"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Meta(description="As in every Kafka client.")
    ] = "PLAINTEXT"
    tls: TlsSettings = TlsSettings()
    sasl: SaslSettings = SaslSettings()
    connect_seconds: Annotated[
        float, Meta(description="How long a start waits for Kafka before it gives up with one sentence.", gt=0)
    ] = 30.0
    embedded: Annotated[
        bool,
        Meta(description="The broker is the one of `whocalls demo` and `up`; works around its gaps, never for yours."),
    ] = False


class TopicSettings(SettingsGroup, frozen=True, kw_only=True):
    """How our topics are named and made."""

    prefix: Annotated[str, Meta(description="Prefix of every topic name.", pattern=r"^[a-zA-Z0-9._-]*$")] = "whocalls."
    create: Annotated[bool, Meta(description="Create missing topics at start; else a missing topic is an error.")] = (
        False
    )
    partitions: Annotated[
        int, Meta(description="Partitions of the topics that scale; twice the workers wanted, never changed.", ge=1)
    ] = 12
    replication_factor: Annotated[int, Meta(description="-1: the broker's default.", ge=-1)] = -1
    codec: Annotated[Literal["json", "msgpack"], Meta(description="Encoding of values; readers understand both.")] = (
        "json"
    )


class LogSettings(SettingsGroup, frozen=True, kw_only=True):
    """What the programs say of themselves, on stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level written.")] = "info"
    format: Annotated[
        Literal["auto", "json", "text"], Meta(description="auto: text on a terminal, else JSON Lines.")
    ] = "auto"
