"""What Kafka clients are given, by security protocol."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer

from callgraph.clients import consumer_config, librdkafka_config, producer_config, read_secret
from callgraph.errors import ConfigurationError
from callgraph.settings import KafkaSettings, SaslSettings, TlsSettings


def test_plain_connection_carries_no_secrets():
    config = librdkafka_config(KafkaSettings(bootstrap_servers="a:1,b:2"), client_id="whocalls-agent")
    assert (config["bootstrap.servers"], config["client.id"]) == ("a:1,b:2", "whocalls-agent")
    assert config["security.protocol"] == "plaintext"
    assert not [key for key in config if key.startswith(("ssl.", "sasl."))]


def test_password_of_a_file_is_used_without_its_line_break(tmp_path):
    file = tmp_path / "password"
    file.write_text("s3cret \r\n", encoding="utf-8")
    sasl = SaslSettings(username="agent", password_file=str(file))
    config = librdkafka_config(KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl=sasl), client_id="x")
    assert config["sasl.password"] == "s3cret "
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"


def test_missing_secret_file_is_named_with_its_setting(tmp_path):
    sasl = SaslSettings(username="agent", password_file=str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"^cannot read kafka\.sasl\.password_file from '.*/none': No such"):
        librdkafka_config(KafkaSettings(security_protocol="SASL_SSL", sasl=sasl), client_id="x")


def test_secret_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"cannot read the key from '.*/key': .*not UTF-8"):
        read_secret("", str(tmp_path / "key"), what="the key")


def test_secret_of_a_file_goes_over_the_one_in_the_settings(tmp_path):
    (tmp_path / "key").write_text("from file\n", encoding="utf-8")
    assert read_secret("from settings", str(tmp_path / "key"), what="the key") == "from file"
    assert read_secret("from settings", "", what="the key") == "from settings"


def test_authorities_and_client_certificate_are_given_to_tls():
    tls = TlsSettings(ca_file="/ca.pem", certificate_file="/me.pem", key_file="/me.key")
    config = librdkafka_config(KafkaSettings(security_protocol="SSL", tls=tls), client_id="x")
    assert config["security.protocol"] == "ssl"
    assert config["ssl.ca.location"] == "/ca.pem"
    assert config["ssl.certificate.location"] == "/me.pem"
    assert config["ssl.key.location"] == "/me.key"
    assert "ssl.key.password" not in config


def test_without_authorities_those_of_the_system_are_used():
    config = librdkafka_config(KafkaSettings(security_protocol="SSL"), client_id="x")
    assert "ssl.ca.location" not in config


def test_password_of_the_private_key_comes_from_its_file(tmp_path):
    (tmp_path / "password").write_text("open\n", encoding="utf-8")
    tls = TlsSettings(certificate_file="/me.pem", key_file="/me.key", key_password_file=str(tmp_path / "password"))
    config = librdkafka_config(KafkaSettings(security_protocol="SSL", tls=tls), client_id="x")
    assert config["ssl.key.password"] == "open"


@pytest.mark.parametrize(("check", "algorithm"), [(True, "https"), (False, "none")])
def test_host_name_of_the_broker_is_checked_unless_switched_off(check, algorithm):
    tls = TlsSettings(check_hostname=check)
    config = librdkafka_config(KafkaSettings(security_protocol="SSL", tls=tls), client_id="x")
    assert config["ssl.endpoint.identification.algorithm"] == algorithm


def test_oauth_asks_the_token_endpoint_with_client_credentials():
    sasl = SaslSettings(
        mechanism="OAUTHBEARER", username="id", password="secret", token_url="https://issuer/token", scope="kafka"
    )
    config = librdkafka_config(KafkaSettings(security_protocol="SASL_SSL", sasl=sasl), client_id="x")
    assert config["sasl.oauthbearer.token.endpoint.url"] == "https://issuer/token"
    assert (config["sasl.oauthbearer.client.id"], config["sasl.oauthbearer.client.secret"]) == ("id", "secret")
    assert "sasl.password" not in config


def test_only_the_embedded_broker_may_answer_without_measure():
    assert "receive.message.max.bytes" not in librdkafka_config(KafkaSettings(), client_id="x")
    assert librdkafka_config(KafkaSettings(embedded=True), client_id="x")["receive.message.max.bytes"] == 1_000_000_000


def test_producer_waits_for_all_replicas_and_places_keys_as_the_stream_processor_does():
    config = producer_config(KafkaSettings(), client_id="x")
    assert (config["acks"], config["enable.idempotence"], config["partitioner"]) == ("all", True, "murmur2_random")


def test_reader_commits_nothing_and_sees_the_end():
    config = consumer_config(KafkaSettings(), client_id="x")
    assert (config["enable.auto.commit"], config["enable.partition.eof"]) == (False, True)


@pytest.mark.parametrize("embedded", [False, True])
def test_librdkafka_takes_every_key_of_our_configurations(embedded):
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9", embedded=embedded)
    Producer(producer_config(kafka, client_id="x") | {"log_level": 0})
    Consumer(consumer_config(kafka, client_id="x") | {"log_level": 0}).close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
def test_librdkafka_takes_every_mechanism(mechanism):
    sasl = SaslSettings(mechanism=mechanism, username="u", password="p", token_url="http://127.0.0.1:9/", scope="s")
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9", security_protocol="SASL_SSL", sasl=sasl)
    Producer(producer_config(kafka, client_id="x") | {"log_level": 0})
