"""Observations resolved together come to what each comes to by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stream_processor.resolution_cache import ResolutionCache
from stream_processor.resolve import resolve
from tests.small_cluster import (
    CLUSTER,
    FRONTEND,
    NODES,
    answer,
    at,
    build,
    connection,
    endpoints,
    owner,
    pod,
    service,
    terminated,
)

CART = [owner("StatefulSet", "cart")]
OUTSIDE = "203.0.113.9"
OBJECTS = (
    *NODES,
    FRONTEND,
    pod("cart-0", "10.0.0.7", owners=CART),
    pod("cart-1", "10.0.0.8", owners=CART),
    pod("gone-0", "10.0.0.9", phase="Succeeded", state=terminated(-100, 12)),
    pod("host-0", "192.168.1.10", host_network=True),
    service("cart", "10.96.5.5"),
    endpoints("cart", pod("cart-0", "10.0.0.7"), pod("cart-1", "10.0.0.8")),
)
ADDRESSES = st.sampled_from(
    [
        "10.0.0.5",
        "10.0.0.7",
        "10.0.0.8",
        "10.0.0.9",
        "10.0.0.99",
        "10.96.5.5",
        "192.168.1.10",
        OUTSIDE,
        "127.0.0.1",
        "?",
    ]
)
TIMES = st.sampled_from([5, 10, 11.9, 12, 14, 20])
CONNECTIONS = st.builds(
    connection,
    ADDRESSES,
    ADDRESSES | st.just(OUTSIDE),
    st.sampled_from([53, 80, 8080]),
    seen=TIMES,
    evidence=st.sampled_from(["syn", "socket"]),
    client_side=st.sampled_from(["known", "unknown"]),
    pod_uid=st.sampled_from([None, "pod-shop-cart-0", "pod-shop-unheard-of"]),
    dns_question_name=st.sampled_from([None, "api.example.org", "cart.shop.svc.cluster.local"]),
    dns_observed_at=st.sampled_from([None, at(5), 1]),
)
ANSWERS = st.builds(answer, ADDRESSES, st.sampled_from(["cart.shop", "api.example.org"]), ADDRESSES, seen=TIMES)


def resolve_all(observations, *, final=True, cache=None):
    cache = cache or ResolutionCache(build(*OBJECTS))
    return cache.resolve_all(range(len(observations)), observations, cache.ends(CLUSTER), node="node-1", final=final)


@given(
    st.one_of(st.lists(CONNECTIONS, min_size=1, max_size=40), st.lists(ANSWERS, min_size=1, max_size=40)), st.booleans()
)
def test_each_comes_to_what_it_comes_to_by_itself(observations, final):
    inventory = build(*OBJECTS)
    cache = ResolutionCache(inventory)
    for _ in range(2):  # the second time from what is kept
        together = resolve_all(observations, final=final, cache=cache)
        assert sorted(index for alike in together for index in alike.indexes) == list(range(len(observations)))
        for alike in together:
            for index, observation in zip(alike.indexes, alike.observations, strict=True):
                assert observation is observations[index]
                plain = resolve(observation, inventory, cluster=CLUSTER, node="node-1", final=final)
                assert alike.resolution == plain


def test_the_pods_of_a_workload_come_to_the_same():
    observations = [connection("10.0.0.5", f"10.0.0.{last}") for last in (7, 8, 7)]
    (alike,) = resolve_all(observations)
    assert alike.indexes == [0, 1, 2]
    assert [call.server.name for call in alike.resolution.attributed] == ["cart"]


def test_a_pod_and_itself_are_told_from_a_pod_and_its_sibling():
    observations = [connection("10.0.0.7", "10.0.0.7"), connection("10.0.0.7", "10.0.0.8")]
    itself, sibling = sorted(resolve_all(observations), key=lambda alike: alike.indexes)
    assert [refusal.reason for refusal in itself.resolution.refusals] == ["self_call"]
    assert [call.server.name for call in sibling.resolution.attributed] == ["cart"]


@pytest.mark.parametrize("server", ["10.0.0.7", OUTSIDE])
def test_another_kind_of_evidence_is_not_the_same(server):
    named = {"dns_question_name": "api.example.org", "dns_observed_at": at(9)}
    observations = [connection("10.0.0.5", server, evidence=evidence, **named) for evidence in ("syn", "socket")]
    assert {alike.resolution.attributed[0].evidence for alike in resolve_all(observations)} == {"syn", "socket"}


@pytest.mark.parametrize("ports", [[80], [80, 8080, 9090]])
def test_every_end_at_an_address_is_looked_up_again_when_its_pod_changes(ports):
    inventory = build(*OBJECTS)
    cache = ResolutionCache(inventory)
    observations = [connection("10.0.0.5", "10.0.0.7", port) for port in ports]
    assert all(alike.resolution.attributed for alike in resolve_all(observations, cache=cache))
    (cart,) = (each.pod for each in inventory.cluster(CLUSTER).pods.holdings("10.0.0.7"))
    inventory.apply(replace(cart, addresses=(replace(cart.addresses[0], to_at=at(1)),), ended_at=at(1)))
    for alike in resolve_all(observations, cache=cache):
        assert [refusal.reason for refusal in alike.resolution.refusals] == ["no_owner_at_time"]
