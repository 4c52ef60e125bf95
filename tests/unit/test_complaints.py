"""What librdkafka says, and what a person is told."""

from __future__ import annotations

import pytest

from callgraph.complaints import Complaint, explain, most_telling
from callgraph.settings import KafkaSettings, SaslSettings

KAFKA = KafkaSettings(bootstrap_servers="kafka:9093", connect_seconds=3)
DOWN = Complaint("_ALL_BROKERS_DOWN", "1/1 brokers are down")
REFUSED = Complaint(
    "_TRANSPORT",
    "kafka:9093/bootstrap: Connect to ipv4#10.0.0.1:9093 failed: Connection refused (after 0ms in state CONNECT)",
)
LOGIN = Complaint(
    "_AUTHENTICATION",
    "sasl_ssl://kafka:9093/bootstrap: SASL authentication error: Authentication failed (after 308ms in state AUTH_REQ)",
)
TOKEN = Complaint("_AUTHENTICATION", "Failed to acquire SASL OAUTHBEARER token: Could not connect to server")
UNTRUSTED = Complaint(
    "_SSL",
    "ssl://kafka-2:9093/2: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: "
    "broker certificate could not be verified (after 6ms in state SSL_HANDSHAKE)",
)
OUR_CERTIFICATE = Complaint(
    "_TRANSPORT",
    "ssl://kafka:9093/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: "
    "SSL alert number 42 (after 0ms in state APIVERSION_QUERY)",
)


def test_login_that_is_refused_says_more_than_what_comes_after_it():
    assert most_telling([LOGIN, REFUSED, DOWN]) == LOGIN


def test_reason_of_a_lost_connection_says_more_than_that_it_is_lost():
    assert most_telling([REFUSED, DOWN]) == REFUSED
    assert most_telling([DOWN]) == DOWN
    assert most_telling([]) is None


def test_only_what_time_does_not_heal_is_a_refusal():
    assert [each.is_refusal for each in (LOGIN, TOKEN, UNTRUSTED, OUR_CERTIFICATE)] == [True] * 4
    assert [each.is_refusal for each in (DOWN, REFUSED)] == [False] * 2


def test_broker_of_a_complaint_is_named_where_the_client_names_it():
    assert [each.server for each in (UNTRUSTED, TOKEN, DOWN)] == ["kafka-2:9093", "", ""]


def test_address_and_state_of_the_client_are_left_out():
    assert LOGIN.why == "SASL authentication error: Authentication failed"
    assert REFUSED.why == "Connect to ipv4#10.0.0.1:9093 failed: Connection refused"


@pytest.mark.parametrize(
    ("complaint", "probed", "expected"),
    [
        (
            None,
            "",
            (
                "cannot reach Kafka at 'kafka:9093' within 3 s: it times out "
                "(check kafka.bootstrap_servers and kafka.security_protocol)"
            ),
        ),
        (
            DOWN,
            "",
            (
                "cannot reach Kafka at 'kafka:9093' within 3 s: connections are closed without an answer "
                "(check kafka.bootstrap_servers and kafka.security_protocol)"
            ),
        ),
        (
            DOWN,
            "the listener speaks TLS",
            (
                "cannot reach Kafka at 'kafka:9093' within 3 s: the listener speaks TLS "
                "(check kafka.bootstrap_servers and kafka.security_protocol)"
            ),
        ),
        (
            UNTRUSTED,
            "certificate has expired",
            (
                "the certificate of Kafka at 'kafka:9093' is not accepted: certificate has expired "
                "(check it, and kafka.tls.ca_file)"
            ),
        ),
        (
            LOGIN,
            "",
            (
                "cannot log in to Kafka at 'kafka:9093': SASL authentication error: Authentication failed "
                "(check kafka.sasl.username and password)"
            ),
        ),
    ],
    ids=["silence", "closed", "closed by TLS", "expired", "login"],
)
def test_sentence_tells_the_reason_and_the_remedy(complaint, probed, expected):
    assert explain(complaint, KAFKA, otherwise="it times out", probed=probed) == expected


def test_remedy_for_a_token_names_the_endpoint():
    kafka = KafkaSettings(sasl=SaslSettings(mechanism="OAUTHBEARER"))
    assert explain(TOKEN, kafka, otherwise="").endswith(
        "(check kafka.sasl.token_url, token_ca_file, username, password and scope)"
    )


def test_remedy_for_our_own_certificate_names_its_files():
    assert explain(OUR_CERTIFICATE, KAFKA, otherwise="").endswith("(check kafka.tls.certificate_file and key_file)")
