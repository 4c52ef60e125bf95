"""DNS names of a cluster, taken apart."""

from __future__ import annotations

import pytest

from stream_processor.names import PodName, ServiceName, parse_name, read_question, undash

DOMAIN = "cluster.local"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cart.shop.svc.cluster.local", ServiceName("shop", "cart")),
        ("db-0.db.shop.svc.cluster.local", ServiceName("shop", "db")),
        ("_http._tcp.cart.shop.svc.cluster.local", ServiceName("shop", "cart")),
        ("10-0-1-7.shop.pod.cluster.local", PodName("shop", "10.0.1.7")),
        ("fd00-10--46.shop.pod.cluster.local", PodName("shop", "fd00:10::46")),
        ("cart.shop.svc.evilcluster.local", None),
        ("cart.shop.svc", None),
        ("svc.cluster.local", None),
        ("shop.svc.cluster.local", None),
        ("cluster.local", None),
        (".cluster.local", None),
        ("..svc.cluster.local", None),
        ("UPPER.shop.svc.cluster.local", None),
        ("ca\\032rt.shop.svc.cluster.local", None),
        ("nonsense.shop.pod.cluster.local", None),
        ("", None),
    ],
)
def test_name_is_taken_apart_at_its_labels(name, expected):
    assert parse_name(name, DOMAIN) == expected


def test_domain_is_a_setting():
    assert parse_name("cart.shop.svc.k8s.corp.example", "k8s.corp.example") == ServiceName("shop", "cart")


@pytest.mark.parametrize(
    ("label", "address"),
    [("10-0-1-7", "10.0.1.7"), ("2001-db8--1", "2001:db8::1"), ("10-0-1", None), ("300-0-0-1", None), ("", None)],
)
def test_dashes_spell_an_address(label, address):
    assert undash(label) == address


def test_asked_name_decides_behind_an_outside_chain():
    question = read_question("www.shop.example", ("edge.cdn.example", "a.cdn.example"), DOMAIN)
    assert (question.inside, question.outside) == (None, "www.shop.example")


def test_in_cluster_name_at_the_end_of_a_chain_decides():
    question = read_question("api.corp.example", ("cart.shop.svc.cluster.local",), DOMAIN)
    assert question.inside == ServiceName("shop", "cart")


def test_target_of_an_alias_to_the_outside_decides():
    question = read_question("db.shop.svc.cluster.local", ("pg.aws.example", "node7.aws.example"), DOMAIN)
    assert (question.inside, question.outside) == (None, "pg.aws.example")
