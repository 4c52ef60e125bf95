"""Rights that are missing, one by one: what is still told, and that nothing false is."""

from __future__ import annotations

import pytest

from stream_processor.settings import AttributionSettings
from tests.small_cluster import (
    answer,
    attribute,
    build,
    connection,
    controlled,
    edges,
    endpoints,
    node,
    owner,
    pod,
    reasons,
    service,
)

HASH = {"pod-template-hash": "7fdc5fd5c"}
WEB = pod("web-7fdc5fd5c-a", "10.0.0.5", owners=[owner("ReplicaSet", "web-7fdc5fd5c")], labels=HASH)
TICK = pod("tick-29453756-a", "10.0.0.6", owners=[owner("Job", "tick-29453756")])
CART = pod("cart-0", "10.0.0.7", labels={"app": "cart"})
OBJECTS = [
    node("node-1", "192.168.1.10", "10.0.0.0/16"),
    WEB,
    controlled("ReplicaSet", "web-7fdc5fd5c", owner("Deployment", "web")),
    TICK,
    controlled("Job", "tick-29453756", owner("CronJob", "tick")),
    CART,
    service("cart", "10.96.5.5", selector={"app": "cart"}),
    endpoints("cart", CART),
    service("plain", "10.96.5.6"),
    endpoints("plain", CART),
]
RESOURCES = {
    "ReplicaSet": "replicasets",
    "Job": "jobs",
    "EndpointSlice": "endpointslices",
    "Service": "services",
    "Node": "nodes",
}


def without(*kinds, namespaces=(), **settings):
    visible = [
        each
        for each in OBJECTS
        if each["kind"] not in kinds
        and (not namespaces or each["metadata"].get("namespace", namespaces[0]) in namespaces)
    ]
    return build(
        *visible,
        settings=AttributionSettings(**settings),
        denied=tuple(RESOURCES[kind] for kind in kinds),
        namespaces=namespaces,
    )


@pytest.mark.parametrize("kind", [None, "ReplicaSet", "Job", "EndpointSlice", "Node"])
def test_calls_between_pods_are_told_alike(kind):
    inventory = without(*([kind] if kind else []))
    assert edges(attribute(inventory, connection("10.0.0.5", "10.0.0.7"))) == [
        "shop/Deployment/web -> shop/StatefulSet/cart"
    ]
    assert edges(attribute(inventory, connection("10.0.0.6", "10.96.5.5"))) == [
        "shop/CronJob/tick -> shop/StatefulSet/cart"
    ]


def test_without_replicasets_the_template_hash_names_the_deployment():
    found = attribute(without("ReplicaSet"), connection("10.0.0.5", "10.0.0.7"))
    assert edges(found) == ["shop/Deployment/web -> shop/StatefulSet/cart"]


def test_without_jobs_the_minutes_name_the_cronjob():
    assert edges(attribute(without("Job"), connection("10.0.0.6", "10.0.0.7"))) == [
        "shop/CronJob/tick -> shop/StatefulSet/cart"
    ]


def test_without_slices_services_without_a_selector_stay_services():
    inventory = without("EndpointSlice")
    assert edges(attribute(inventory, connection("10.0.0.5", "10.96.5.5")))[0].endswith("shop/StatefulSet/cart")
    assert edges(attribute(inventory, connection("10.0.0.5", "10.96.5.6")))[0].endswith("shop/Service/plain")


def test_without_services_names_still_give_services():
    found = attribute(without("Service"), answer("10.0.0.5", "cart.shop.svc.cluster.local", "10.96.5.5"))
    assert edges(found) == ["shop/Deployment/web -> shop/Service/cart"]


@pytest.mark.parametrize("service_cidrs", [(), ("10.96.0.0/16",)])
def test_without_services_cluster_ips_without_a_name_are_never_outside(service_cidrs):
    inventory = without("Service", service_cidrs=service_cidrs)
    assert reasons(attribute(inventory, connection("10.0.0.5", "10.96.5.5"))) == [("server", "unknown_server_ip")]


def test_without_services_a_configured_range_sets_other_private_addresses_free():
    inventory = without("Service", service_cidrs=("10.96.0.0/16",))
    assert edges(attribute(inventory, connection("10.0.0.5", "172.16.0.1")))[0].endswith("/External/172.16.0.1")


def test_without_nodes_their_addresses_are_known_from_pods():
    found = attribute(without("Node"), connection("192.168.1.10", "10.0.0.7"))
    assert reasons(found) == [("client", "ambiguous_host_network")]


def test_without_nodes_unknown_private_addresses_are_never_outside():
    for seen, side in (
        (connection("10.0.0.5", "10.0.9.9"), "server"),
        (connection("172.16.0.9", "10.0.0.7"), "client"),
    ):
        ((found, reason),) = reasons(attribute(without("Node"), seen))
        assert (found, reason) == (side, f"unknown_{side}_ip")


def test_without_nodes_configured_ranges_stand_in():
    inventory = without("Node", pod_cidrs=("10.0.0.0/16",), service_cidrs=("10.96.0.0/16",))
    assert reasons(attribute(inventory, connection("10.0.0.5", "10.0.9.9"))) == [("server", "unknown_server_ip")]
    assert edges(attribute(inventory, connection("10.0.0.5", "172.16.0.1")))[0].endswith("/External/172.16.0.1")


def test_pods_of_namespaces_that_are_not_watched_are_unresolved():
    inventory = without(namespaces=("elsewhere",))
    assert reasons(attribute(inventory, connection("10.0.0.5", "10.0.0.7"))) == [("client", "unknown_client_ip")]


def test_services_of_namespaces_that_are_not_watched_are_never_outside():
    stranger = pod("other-0", "10.0.0.8", namespace="elsewhere")
    inventory = build(OBJECTS[0], stranger, namespaces=("elsewhere",))
    assert reasons(attribute(inventory, connection("10.0.0.8", "10.96.5.5"))) == [("server", "unknown_server_ip")]
