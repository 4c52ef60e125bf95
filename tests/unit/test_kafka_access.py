import ssl

import pytest
from faust import SASLCredentials, SSLCredentials
from faust.auth import OAuthCredentials

from callgraph.errors import ConfigurationError
from callgraph.settings import KafkaSettings, SaslSettings, TlsSettings
from stream_processor.faust_settings import SESSION_SECONDS, faust_settings
from stream_processor.kafka_access import aiokafka_access, faust_credentials
from stream_processor.outbox import DELIVERY_SECONDS
from stream_processor.settings import ProcessorSettings

SCRAM = SaslSettings(mechanism="SCRAM-SHA-256", username="u", password="p")
OAUTH = SaslSettings(mechanism="OAUTHBEARER", username="client", password="p", token_url="http://127.0.0.1:1/token")


def access(**kafka):
    return aiokafka_access(KafkaSettings(**kafka), client_id="me")


def test_plaintext_says_where_and_who():
    assert access(bootstrap_servers="a:1, b:2") == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "me",
        "security_protocol": "PLAINTEXT",
    }
    assert faust_credentials(KafkaSettings()) is None


def test_tls_checks_the_broker_unless_told_otherwise():
    context = access(security_protocol="SSL")["ssl_context"]
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    lenient = access(security_protocol="SSL", tls=TlsSettings(check_hostname=False))["ssl_context"]
    assert (lenient.check_hostname, lenient.verify_mode) == (False, ssl.CERT_REQUIRED)


def test_scram_without_tls_stays_without(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("from a file\n")
    sasl = SaslSettings(mechanism="SCRAM-SHA-512", username="u", password_file=str(secret))
    options = access(security_protocol="SASL_PLAINTEXT", sasl=sasl)
    assert options["sasl_plain_password"] == "from a file"
    assert "ssl_context" not in options


@pytest.mark.parametrize(
    ("kafka", "expected"),
    [
        (KafkaSettings(security_protocol="SSL"), (SSLCredentials, "SSL")),
        (KafkaSettings(security_protocol="SASL_SSL", sasl=SCRAM), (SASLCredentials, "SASL_SSL")),
        (KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl=SCRAM), (SASLCredentials, "SASL_PLAINTEXT")),
        (KafkaSettings(security_protocol="SASL_SSL", sasl=OAUTH), (OAuthCredentials, "SASL_SSL")),
        (KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl=OAUTH), (OAuthCredentials, "SASL_PLAINTEXT")),
    ],
)
def test_faust_is_told_the_same_protocol(kafka, expected):
    credentials = faust_credentials(kafka)
    assert (type(credentials), credentials.protocol.value) == expected


def test_faust_is_told_the_mechanism():
    credentials = faust_credentials(KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl=SCRAM))
    assert (credentials.mechanism.value, credentials.username, credentials.password) == ("SCRAM-SHA-256", "u", "p")


@pytest.mark.parametrize("setting", ["ca_file", "certificate_file"])
def test_a_file_that_is_no_certificate_is_one_sentence(tmp_path, setting):
    file = tmp_path / "broken.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=rf"cannot use kafka\.tls\.{setting} '{file}'"):
        access(security_protocol="SSL", tls=TlsSettings(**{setting: str(file)}))


def test_every_bootstrap_server_reaches_faust():
    settings = faust_settings(KafkaSettings(bootstrap_servers="a:1,[::1]:2"), ProcessorSettings())
    assert settings["broker"] == ["kafka://a:1", "kafka://[::1]:2"]


def test_only_the_embedded_broker_is_given_a_static_member_unasked():
    assert "consumer_group_instance_id" not in faust_settings(KafkaSettings(), ProcessorSettings())
    embedded = faust_settings(KafkaSettings(embedded=True), ProcessorSettings())
    assert embedded["consumer_group_instance_id"] == "whocalls-embedded"
    named = faust_settings(KafkaSettings(embedded=True), ProcessorSettings(instance="w-0"))
    assert (named["consumer_group_instance_id"], named["broker_client_id"]) == ("w-0", "whocalls-processor-w-0")


def test_a_delivery_expires_before_the_session_does():
    assert (
        DELIVERY_SECONDS
        < SESSION_SECONDS
        < faust_settings(KafkaSettings(), ProcessorSettings())["broker_request_timeout"]
    )
