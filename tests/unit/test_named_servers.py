"""Servers outside of the cluster by the name that a connection brings along: when it counts, and for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgraph.records import ConnectionBatch, WatermarkRecord
from stream_processor.attribution import Attribution, Origin
from stream_processor.moment import ALWAYS
from stream_processor.settings import AttributionSettings
from tests.small_cluster import (
    CLUSTER,
    FRONTEND,
    NODES,
    answer,
    at,
    attribute,
    build,
    connection,
    edges,
    endpoints,
    node,
    pod,
    reasons,
    service,
    terminated,
)

CART = pod("cart-0", "10.0.0.7")
OUTSIDE = "203.0.113.9"
NAME = "api.example.org"
SHOP = (*NODES, FRONTEND, CART, service("cart", "10.96.5.5"), endpoints("cart", CART))
BY_NAME = [f"shop/StatefulSet/frontend -> /External/{NAME}"]
BY_ADDRESS = [f"shop/StatefulSet/frontend -> /External/{OUTSIDE}"]


def named(server=OUTSIDE, name=NAME, *, learnt=5, client="10.0.0.5", port=443, **fields):
    return connection(client, server, port, dns_question_name=name, dns_observed_at=at(learnt), **fields)


def test_outside_server_is_named_as_the_client_asked_for_it():
    resolution = attribute(build(*SHOP), named())
    assert edges(resolution) == BY_NAME == edges(attribute(build(*SHOP), answer("10.0.0.5", NAME, OUTSIDE)))
    (call,) = resolution.attributed
    assert (call.server_port, call.network_transport, call.evidence, call.dns_name) == (443, "tcp", "syn", None)


def test_outside_server_without_a_name_keeps_its_address():
    assert edges(attribute(build(*SHOP), connection("10.0.0.5", OUTSIDE, 443))) == BY_ADDRESS


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("10.0.0.7", ["shop/StatefulSet/frontend -> shop/StatefulSet/cart"]),
        ("10.96.5.5", ["shop/StatefulSet/frontend -> shop/StatefulSet/cart"]),
        ("10.0.0.99", []),
        ("192.168.1.11", []),
    ],
)
def test_address_inside_decides_over_the_name(server, found):
    inventory = build(*SHOP, node("node-3", "192.168.1.12", "10.96.0.0/16"))
    assert edges(attribute(inventory, named(server, port=80))) == found
    assert reasons(attribute(inventory, named(server, port=80))) == reasons(
        attribute(inventory, connection("10.0.0.5", server))
    )


def test_name_that_the_former_pod_at_the_address_learnt_does_not_count():
    old = pod("old-0", "10.0.0.80", state=terminated(-100, 4), phase="Succeeded")
    inventory = build(*SHOP, old, pod("new-0", "10.0.0.80", start=6))
    assert edges(attribute(inventory, named(client="10.0.0.80", learnt=3))) == [
        f"shop/StatefulSet/new -> /External/{OUTSIDE}"
    ]
    assert edges(attribute(inventory, named(client="10.0.0.80", learnt=7))) == [
        f"shop/StatefulSet/new -> /External/{NAME}"
    ]


def test_name_of_a_pod_that_ended_counts_until_its_end():
    ended = pod("old-0", "10.0.0.80", state=terminated(-100, 8), phase="Succeeded")
    inventory = build(*SHOP, ended)
    assert edges(attribute(inventory, named(client="10.0.0.80", seen=9, learnt=7))) == [
        f"shop/StatefulSet/old -> /External/{NAME}"
    ]
    assert edges(attribute(inventory, named(client="10.0.0.80", seen=9, learnt=8))) == [
        f"shop/StatefulSet/old -> /External/{OUTSIDE}"
    ]


def test_name_learnt_by_somebody_on_the_host_network_does_not_count():
    proxy = pod("proxy-0", "192.168.1.10", uid="proxy", host_network=True)
    observation = named(client="192.168.1.10", pod_uid="proxy")
    assert edges(attribute(build(*SHOP, proxy), observation)) == [f"shop/StatefulSet/proxy -> /External/{OUTSIDE}"]


def test_name_without_the_time_of_its_answer_does_not_count():
    observation = connection("10.0.0.5", OUTSIDE, 443, dns_question_name=NAME)
    assert edges(attribute(build(*SHOP), observation)) == BY_ADDRESS


def test_alias_of_a_search_path_is_followed():
    observation = named(name=f"{NAME}.shop.svc.cluster.local", cnames=(NAME,))
    assert edges(attribute(build(*SHOP), observation)) == BY_NAME


def test_service_of_outside_endpoints_is_the_server_of_its_name():
    inventory = build(*SHOP, service("db", None))
    observation = named(name="db.shop.svc.cluster.local", port=5432)
    (call,) = attribute(inventory, observation).attributed
    assert (call.server.kind, call.server.name, call.service, call.server_port) == ("Service", "db", "shop/db", 5432)


def test_name_of_a_service_that_is_not_known_yet_waits_for_it():
    inventory = build(*SHOP)
    observation = named(name="db.shop.svc.cluster.local")
    assert attribute(inventory, observation, final=False).wait
    assert edges(attribute(inventory, observation)) == ["shop/StatefulSet/frontend -> shop/Service/db"]


def test_name_that_says_nothing_leaves_the_address():
    observation = named(name="203-0-113-9.shop.pod.cluster.local")
    assert edges(attribute(build(*SHOP), observation)) == BY_ADDRESS


NAMES = st.sampled_from(
    [
        NAME,
        "edge.example.net",
        "cart.shop.svc.cluster.local",
        "db.shop.svc.cluster.local",
        "alias.shop.svc.cluster.local",
        "alias-of-cart.shop.svc.cluster.local",
        "unknown.shop.svc.cluster.local",
        f"{NAME}.shop.svc.cluster.local",
        "malformed_.svc.cluster.local",
    ]
)
WORLD = build(
    *SHOP,
    service("db", None),
    service("alias", None, type="ExternalName", externalName="edge.example.net"),
    service("alias-of-cart", None, type="ExternalName", externalName="cart.shop.svc.cluster.local"),
)


@given(name=NAMES, cnames=st.lists(NAMES, max_size=3).map(tuple), final=st.booleans())
def test_answer_and_connection_to_the_same_outside_address_end_at_the_same_server(name, cnames, final):
    by_answer = attribute(WORLD, answer("10.0.0.5", name, OUTSIDE, cnames=cnames), final=final)
    by_connection = attribute(WORLD, named(name=name, cnames=cnames), final=final)
    assert by_answer.wait == by_connection.wait
    if by_answer.attributed or not by_answer.wait:
        assert edges(by_connection) == edges(by_answer)


@given(
    seen=st.lists(
        st.tuples(NAMES, st.lists(NAMES, max_size=1).map(tuple), st.integers(1, 3), st.integers(0, 9)), max_size=30
    )
)
def test_what_is_kept_for_one_connection_is_not_taken_for_another(seen):
    connections = [
        named(name=name, cnames=cnames, port=port, learnt=learnt - 104, seen=10) for name, cnames, port, learnt in seen
    ]
    inventory = build(
        *SHOP, service("db", None), service("alias", None, type="ExternalName", externalName="edge.example.net")
    )
    attribution = Attribution(inventory, AttributionSettings())
    batch = ConnectionBatch(
        cluster=CLUSTER, node="node-1", boot_id="b", sequence=0, sent_at=at(10), observations=tuple(connections)
    )
    attribution.offer(batch, Origin("t", 0, 0), now=0)
    inventory.apply(WatermarkRecord(cluster=CLUSTER, at=ALWAYS))
    for found in attribution.advance(now=0):
        for observation in found.observations:
            assert found.attributed == attribute(inventory, observation).attributed
