"""What aiokafka and Faust are told of the user's Kafka: where it is, who we are. Shell: reads the files of secrets.

The same block of settings as for librdkafka (`callgraph.clients`). Sources: aiokafka 0.14 AIOKafkaConsumer, faust
0.15.3 faust/auth.py.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from callgraph.clients import read_secret
from callgraph.errors import ConfigurationError
from callgraph.settings import KafkaSettings, TlsSettings

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT


def aiokafka_access(kafka: KafkaSettings, *, client_id: str) -> dict[str, Any]:
    """Build the options of a plain aiokafka client."""
    options: dict[str, Any] = {
        "bootstrap_servers": servers(kafka),
        "client_id": client_id,
        "security_protocol": kafka.security_protocol,
    }
    if "SSL" in kafka.security_protocol:
        options["ssl_context"] = tls_context(kafka.tls)
    if "SASL" in kafka.security_protocol:
        options |= _sasl_options(kafka)
    return options


def faust_credentials(kafka: KafkaSettings) -> CredentialsT | None:
    """Build Faust's credentials; None where neither TLS nor SASL is asked for."""
    from faust import SASLCredentials, SSLCredentials  # noqa: PLC0415  (0.3 s; the readers do without)
    from faust.auth import OAuthCredentials  # noqa: PLC0415

    context = tls_context(kafka.tls) if "SSL" in kafka.security_protocol else None
    if "SASL" not in kafka.security_protocol:
        return SSLCredentials(context) if context else None
    sasl = _sasl_options(kafka)
    if kafka.sasl.mechanism == "OAUTHBEARER":
        return OAuthCredentials(oauth_cb=sasl["sasl_oauth_token_provider"], ssl_context=context)
    return SASLCredentials(
        username=sasl["sasl_plain_username"],
        password=sasl["sasl_plain_password"],
        mechanism=kafka.sasl.mechanism,
        ssl_context=context,
    )


def servers(kafka: KafkaSettings) -> list[str]:
    """Split the list of bootstrap servers."""
    return [server.strip() for server in kafka.bootstrap_servers.split(",") if server.strip()]


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Build the TLS context of a client. Raises ConfigurationError for a file that cannot be used."""
    context = _authorities(tls.ca_file, "kafka.tls.ca_file")
    context.check_hostname = tls.check_hostname
    if tls.certificate_file:
        password = read_secret("", tls.key_password_file, what="kafka.tls.key_password_file")
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file or None, password or None)
        except (OSError, ssl.SSLError) as error:
            files = f"{tls.certificate_file!r} with key_file {tls.key_file!r}"
            raise ConfigurationError(f"cannot use kafka.tls.certificate_file {files}: {error}") from error
    return context


def _authorities(file: str, setting: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use {setting} {file!r}: {error}") from error


def _sasl_options(kafka: KafkaSettings) -> dict[str, Any]:
    sasl = kafka.sasl
    secret = read_secret(sasl.password, sasl.password_file, what="kafka.sasl.password_file")
    if sasl.mechanism == "OAUTHBEARER":
        from stream_processor.oauth_token import TokenProvider  # noqa: PLC0415  (aiohttp's client, for this alone)

        provider = TokenProvider(
            sasl.token_url,
            client_id=sasl.username,
            client_secret=secret,
            scope=sasl.scope,
            context=_authorities(sasl.token_ca_file, "kafka.sasl.token_ca_file"),
        )
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider}
    return {
        "sasl_mechanism": sasl.mechanism,
        "sasl_plain_username": sasl.username,
        "sasl_plain_password": secret,
    }
