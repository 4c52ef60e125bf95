"""One Apache Kafka with every way of securing a listener, and the settings that reach each. Shell: files.

Out: `SecureKafka`, whose `kafka(…)` gives the block `kafka:` of a client, with secrets in files alone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from callgraph.clients import librdkafka_config
from tests.apache_kafka import ApacheKafka
from tests.certificates import ISSUER, Authority, TokenSigner
from tests.token_endpoint import TokenEndpoint

USER = "whocalls"
STRANGER, LOOKER, LONER = "stranger", "looker", "loner"
"""Known to Kafka: one may do nothing, one see everything and touch nothing, one do everything but join a group."""
PASSWORD = "it's a s3cret with $igns"
AUDIENCE = "kafka"

_LOGIN = "org.apache.kafka.common.security"
_LISTENERS = ("SSL", "SASL_SSL", "SASL_PLAINTEXT", "EXPIRED:SSL", "ELSEWHERE:SSL")


class SecureKafka:
    """The broker with its authorities and its token endpoint; whoever is USER or has no name may do everything."""

    def __init__(self, folder: Path, start: Callable[..., ApacheKafka]) -> None:
        self.folder = folder
        self.authority = Authority(folder, "authority")
        self.stranger = Authority(folder, "another-authority")
        self.signer = TokenSigner(folder / "tokens")
        self.client = self.authority.issue(USER)
        certificate = self.authority.issue("token-endpoint", alternative="IP:127.0.0.1")
        self.endpoint = TokenEndpoint(self.signer, {USER: PASSWORD}, certificate=certificate)
        for name, secret in (("password", PASSWORD), ("wrong-password", "guessed"), ("key-password", "open sesame")):
            (folder / name).write_text(f"{secret}\n", encoding="utf-8")
        self.wrong_password = str(folder / "wrong-password")
        self.stranger_certificate = self.stranger.issue(USER)
        self.silence = socket.create_server(("127.0.0.1", 0))
        """A listener that never answers."""
        self.locked_key = self.authority.encrypt_key(self.client, folder / "key-password")
        self.broker = start(
            listeners=_LISTENERS,
            properties=self._properties(),
            users=dict.fromkeys((USER, STRANGER, LOOKER, LONER), PASSWORD),
            java_options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.signer.jwks.as_uri()}"],
        )

    def kafka(self, protocol: str, mechanism: str = "", *, listener: str = "", **others: Any) -> dict[str, Any]:
        """Return the settings of a client that is USER; `others` go over those of `sasl` and `tls`."""
        block: dict[str, Any] = {
            "bootstrap_servers": self.broker.address(listener or protocol),
            "security_protocol": protocol,
        }
        if "SSL" in protocol:
            block["tls"] = {"ca_file": str(self.authority.certificate)}
        if protocol == "SSL":
            block["tls"] |= {
                "certificate_file": str(self.client.certificate),
                "key_file": str(self.locked_key),
                "key_password_file": str(self.folder / "key-password"),
            }
        if mechanism:
            block["sasl"] = {
                "mechanism": mechanism,
                "username": USER,
                "password_file": str(self.folder / "password"),
            }
        if mechanism == "OAUTHBEARER":
            block["sasl"] |= {
                "token_url": self.endpoint.url,
                "token_ca_file": str(self.authority.certificate),
                "scope": AUDIENCE,
            }
        for group in ("tls", "sasl"):
            if group in others:
                block[group] = block.get(group, {}) | others.pop(group)
        return block | others

    def allow(self) -> None:
        """Give LOOKER and LONER their rights."""
        admin = AdminClient(librdkafka_config(self.broker.kafka_settings, client_id="test-acls"))
        rights = [
            (LOOKER, ResourceType.TOPIC, AclOperation.DESCRIBE),
            (LOOKER, ResourceType.GROUP, AclOperation.DESCRIBE),
        ]
        rights += [(LONER, ResourceType.TOPIC, operation) for operation in (AclOperation.READ, AclOperation.WRITE)]
        bindings = [
            AclBinding(kind, "*", ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for user, kind, operation in rights
        ]
        for future in admin.create_acls(bindings).values():
            future.result()

    def _properties(self) -> dict[str, str]:
        properties = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.authority.issue("broker", alternative="IP:127.0.0.1").both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.certificate),
            "listener.name.ssl.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER};User:CN={USER}",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "sasl.oauthbearer.jwks.endpoint.url": self.signer.jwks.as_uri(),
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
        }
        broken = {
            "expired": self.authority.issue("expired", alternative="IP:127.0.0.1", days=-1),
            "elsewhere": self.authority.issue("kafka.elsewhere.example"),
        }
        for listener, certificate in broken.items():
            properties[f"listener.name.{listener}.ssl.keystore.type"] = "PEM"
            properties[f"listener.name.{listener}.ssl.keystore.location"] = str(certificate.both)
        for listener in ("sasl_ssl", "sasl_plaintext"):
            prefix = f"listener.name.{listener}"
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                properties[f"{prefix}.{mechanism}.sasl.jaas.config"] = f"{_LOGIN}.scram.ScramLoginModule required;"
            module = f"{_LOGIN}.plain.PlainLoginModule"
            properties[f"{prefix}.plain.sasl.jaas.config"] = f'{module} required user_{USER}="{PASSWORD}";'
            module = f"{_LOGIN}.oauthbearer.OAuthBearer"
            properties[f"{prefix}.oauthbearer.sasl.jaas.config"] = f"{module}LoginModule required;"
            handler = f"{prefix}.oauthbearer.sasl.server.callback.handler.class"
            properties[handler] = f"{module}ValidatorCallbackHandler"
        return properties
