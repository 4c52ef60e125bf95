"""What Kafka clients are given. Shell: reads the files that hold secrets.

One block of settings serves librdkafka (agent, watcher, exporter) here, and Faust's aiokafka in the stream processor.
Source: librdkafka CONFIGURATION.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from callgraph.errors import ConfigurationError
from callgraph.settings import KafkaSettings


def librdkafka_config(kafka: KafkaSettings, *, client_id: str) -> dict[str, Any]:
    """Build the configuration that every librdkafka client starts from."""
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": client_id,
        "security.protocol": kafka.security_protocol.lower(),
        "socket.keepalive.enable": True,
        "log.connection.close": False,
        "reconnect.backoff.max.ms": 5_000,
    }
    if "SSL" in kafka.security_protocol:
        config |= _tls_config(kafka)
    if "SASL" in kafka.security_protocol:
        config |= _sasl_config(kafka)
    if kafka.embedded:
        # It answers a fetch with the whole rest of a partition, whatever size was asked for.
        config["receive.message.max.bytes"] = 1_000_000_000
    return config


def producer_config(kafka: KafkaSettings, *, client_id: str) -> dict[str, Any]:
    """Build the configuration of a producer that loses nothing it was given while it runs."""
    return librdkafka_config(kafka, client_id=client_id) | {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 20,
        # The same keys on the same partitions as aiokafka's default partitioner.
        "partitioner": "murmur2_random",
    }


def consumer_config(kafka: KafkaSettings, *, client_id: str) -> dict[str, Any]:
    """Build the configuration of a reader without a group: it assigns itself, and commits nothing."""
    return librdkafka_config(kafka, client_id=client_id) | {
        "group.id": client_id,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }


def read_secret(text: str, file: str, *, what: str) -> str:
    """Return a secret given directly or in a file (whose trailing line break does not count)."""
    if not file:
        return text
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"cannot read {what} from {file!r}: {error.strerror}") from error
    except UnicodeDecodeError:
        # The cause would quote a byte of the secret.
        raise ConfigurationError(f"cannot read {what} from {file!r}: it is not UTF-8 text") from None


def _tls_config(kafka: KafkaSettings) -> dict[str, Any]:
    tls = kafka.tls
    config: dict[str, Any] = {"ssl.endpoint.identification.algorithm": "https" if tls.check_hostname else "none"}
    if tls.ca_file:
        config["ssl.ca.location"] = tls.ca_file
    if tls.certificate_file:
        config |= {"ssl.certificate.location": tls.certificate_file, "ssl.key.location": tls.key_file}
        if password := read_secret("", tls.key_password_file, what="kafka.tls.key_password_file"):
            config["ssl.key.password"] = password
    return config


def _sasl_config(kafka: KafkaSettings) -> dict[str, Any]:
    sasl = kafka.sasl
    secret = read_secret(sasl.password, sasl.password_file, what="kafka.sasl.password_file")
    if sasl.mechanism == "OAUTHBEARER":
        authorities = {"https.ca.location": sasl.token_ca_file} if sasl.token_ca_file else {}
        return {
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": sasl.username,
            "sasl.oauthbearer.client.secret": secret,
            "sasl.oauthbearer.token.endpoint.url": sasl.token_url,
            "sasl.oauthbearer.scope": sasl.scope,
        } | authorities
    return {"sasl.mechanism": sasl.mechanism, "sasl.username": sasl.username, "sasl.password": secret}
