"""Observations into calls, or into the reasons why not."""

from __future__ import annotations

import msgspec
import pytest

from callgraph.records import PodRecord
from stream_processor.moment import Moment
from stream_processor.projection import Projector
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
    decoded,
    edges,
    endpoints,
    node,
    owner,
    pod,
    reasons,
    service,
    terminated,
)

CART = pod("cart-0", "10.0.0.7", ports=[{"containerPort": 8080, "name": "http"}])
CART_SERVICE = service("cart", "10.96.5.5")
SHOP = (*NODES, FRONTEND, CART, CART_SERVICE, endpoints("cart", CART))
TO_CART = ["shop/StatefulSet/frontend -> shop/StatefulSet/cart"]


# -- Clients ----------------------------------------------------------------------------------------------------------


def test_restarted_pod_ip_is_not_given_to_the_old_workload():
    old = pod("old-0", "10.0.0.80", start=-100, state=terminated(-100, 20), phase="Succeeded")
    inventory = build(*SHOP, old, pod("new-0", "10.0.0.80", start=25))
    assert edges(attribute(inventory, connection("10.0.0.80", "10.0.0.7", seen=15)))[0].startswith(
        "shop/StatefulSet/old"
    )
    assert edges(attribute(inventory, connection("10.0.0.80", "10.0.0.7", seen=30)))[0].startswith(
        "shop/StatefulSet/new"
    )


def test_nobody_has_an_address_between_two_pods():
    old = pod("old-0", "10.0.0.80", state=terminated(-100, 20), phase="Succeeded")
    inventory = build(*SHOP, old, pod("new-0", "10.0.0.80", start=400))
    assert reasons(attribute(inventory, connection("10.0.0.80", "10.0.0.7", seen=200))) == [
        ("client", "no_owner_at_time")
    ]


@pytest.mark.parametrize(("seen", "found"), [(98.1, True), (97.9, False), (201.9, True), (202.1, False)])
def test_interval_is_widened_by_the_tolerance_at_both_ends(seen, found):
    short = pod("a-0", "10.0.0.80", start=100, state=terminated(100, 200), phase="Succeeded")
    assert bool(edges(attribute(build(*SHOP, short), connection("10.0.0.80", "10.0.0.7", seen=seen)))) is found


def test_two_workloads_within_the_tolerance_are_ambiguous():
    old = pod("old-0", "10.0.0.80", state=terminated(-100, 20), phase="Succeeded")
    found = attribute(
        build(*SHOP, old, pod("new-0", "10.0.0.80", start=22)), connection("10.0.0.80", "10.0.0.7", seen=21)
    )
    assert reasons(found) == [("client", "ambiguous_owner")]


def test_two_pods_of_one_workload_within_the_tolerance_are_that_workload():
    old = pod("cache-0", "10.0.0.80", uid="old", state=terminated(-100, 20), phase="Succeeded")
    new = pod("cache-0", "10.0.0.80", uid="new", start=22)
    found = attribute(build(*SHOP, old, new), connection("10.0.0.80", "10.0.0.7", seen=21))
    assert edges(found) == ["shop/StatefulSet/cache -> shop/StatefulSet/cart"]


def test_newer_pod_on_the_same_node_cuts_the_older_interval():
    found = attribute(
        build(*SHOP, pod("old-0", "10.0.0.80"), pod("new-0", "10.0.0.80", start=25)),
        connection("10.0.0.80", "10.0.0.7", seen=30),
    )
    assert edges(found) == ["shop/StatefulSet/new -> shop/StatefulSet/cart"]


def test_newer_pod_without_container_evidence_cuts_nothing():
    weak = pod("new-0", "10.0.0.80", start=None)
    weak["metadata"]["creationTimestamp"] = "2026-01-01T00:00:25Z"
    found = attribute(build(*SHOP, pod("old-0", "10.0.0.80"), weak), connection("10.0.0.80", "10.0.0.7", seen=30))
    assert reasons(found) == [("client", "ambiguous_owner")]


@pytest.mark.parametrize(("deleting", "found"), [(True, "new"), (False, None)])
def test_newer_pod_on_another_node_cuts_only_a_terminating_one(deleting, found):
    old = pod("old-0", "10.0.0.80", node="node-2", deleting=deleting)
    resolution = attribute(
        build(*SHOP, old, pod("new-0", "10.0.0.80", start=25)), connection("10.0.0.80", "10.0.0.7", seen=30), node="n3"
    )
    assert [edge.split("/")[2].split(" ")[0] for edge in edges(resolution)] == ([found] if found else [])


def test_of_two_live_owners_the_node_that_saw_it_decides_the_client():
    both = (pod("a-0", "10.0.0.80", node="node-1"), pod("b-0", "10.0.0.80", node="node-2"))
    found = attribute(build(*SHOP, *both), connection("10.0.0.80", "10.0.0.7"), node="node-2")
    assert edges(found) == ["shop/StatefulSet/b -> shop/StatefulSet/cart"]


def test_of_two_live_owners_nothing_decides_the_server():
    both = (pod("a-0", "10.0.0.80", node="node-1"), pod("b-0", "10.0.0.80", node="node-2"))
    found = attribute(build(*SHOP, *both), connection("10.0.0.5", "10.0.0.80"), node="node-2")
    assert reasons(found) == [("server", "ambiguous_owner")]


def test_event_in_the_gap_in_which_a_pod_vanished_is_nobodys():
    inventory = build(*SHOP, pod("old-0", "10.0.0.80"))
    view = inventory.cluster(CLUSTER)
    gone = next(each for each in view.pods if each.name == "old-0")
    assert isinstance(gone, PodRecord)
    interval = msgspec.structs.replace(gone.addresses[0], to_at=at(60))
    inventory.apply(msgspec.structs.replace(gone, addresses=(interval,), ended_at=at(60), ended_after=at(40)))
    assert edges(attribute(inventory, connection("10.0.0.80", "10.0.0.7", seen=39)))
    assert reasons(attribute(inventory, connection("10.0.0.80", "10.0.0.7", seen=50))) == [
        ("client", "ambiguous_owner")
    ]


def test_pod_whose_end_went_unseen_still_has_its_start_s_tolerance():
    inventory = build(*SHOP, pod("old-0", "10.0.0.80", start=30))
    early = connection("10.0.0.80", "10.0.0.7", seen=29)
    found = attribute(inventory, early)
    assert edges(found)
    gone = next(each for each in inventory.cluster(CLUSTER).pods if each.name == "old-0")
    interval = msgspec.structs.replace(gone.addresses[0], to_at=at(60))
    inventory.apply(msgspec.structs.replace(gone, addresses=(interval,), ended_at=at(60), ended_after=at(40)))
    assert edges(attribute(inventory, early)) == edges(found)


def test_node_address_as_client_is_ambiguous_even_with_one_pod_on_the_node():
    exporter = pod("exporter-0", "192.168.1.10", host_network=True)
    found = attribute(build(*SHOP, exporter), connection("192.168.1.10", "10.0.0.7"))
    assert reasons(found) == [("client", "ambiguous_host_network")]


def test_pod_uid_from_the_agent_names_the_client_on_the_host_network():
    exporter = pod("exporter-0", "192.168.1.10", host_network=True, uid="seen")
    found = attribute(build(*SHOP, exporter), connection("192.168.1.10", "10.0.0.7", pod_uid="seen"))
    assert edges(found) == ["shop/StatefulSet/exporter -> shop/StatefulSet/cart"]


def test_static_pod_is_found_by_what_the_kubelet_calls_it():
    etcd = pod("etcd-node-1", "192.168.1.10", host_network=True, owners=[owner("Node", "node-1")])
    etcd["metadata"]["annotations"]["kubernetes.io/config.hash"] = "h4sh"
    found = attribute(build(*SHOP, etcd), connection("192.168.1.10", "10.0.0.7", pod_uid="h4sh"))
    assert edges(found) == ["shop/Pod/etcd -> shop/StatefulSet/cart"]


def test_unknown_pod_uid_is_waited_for():
    found = attribute(build(*SHOP), connection("192.168.1.10", "10.0.0.7", pod_uid="unknown"), final=False)
    assert found.wait


def test_client_from_outside_has_no_workload():
    assert reasons(attribute(build(*SHOP), connection("203.0.113.9", "10.0.0.7"))) == [("client", "external_client")]


def test_unknown_client_inside_the_pod_range_is_never_outside():
    assert reasons(attribute(build(*SHOP), connection("10.0.9.9", "10.0.0.7"))) == [("client", "unknown_client_ip")]


def test_resolver_is_never_the_client_of_what_it_asks_for_others():
    resolvers = {
        "by label": pod("x-0", "10.0.0.2", labels={"k8s-app": "kube-dns"}),
        "by port": pod("x-0", "10.0.0.2", ports=[{"containerPort": 53, "protocol": "UDP"}]),
        "by name": pod("coredns-x", "10.0.0.2", namespace="kube-system"),
    }
    for how, resolver in resolvers.items():
        found = attribute(build(*SHOP, resolver), answer("10.0.0.2", "api.github.com", "203.0.113.20"))
        assert reasons(found) == [("client", "dns_infrastructure")], how


def test_pod_behind_a_service_of_port_53_is_a_resolver():
    resolver = pod("x-0", "10.0.0.2")
    behind = (
        service("dns", "10.96.0.10", ports=[{"port": 53, "targetPort": 5353, "protocol": "UDP"}]),
        endpoints("dns", resolver),
    )
    found = attribute(build(*SHOP, resolver, *behind), answer("10.0.0.2", "api.github.com", "203.0.113.20"))
    assert reasons(found) == [("client", "dns_infrastructure")]


def test_connections_of_a_resolver_are_its_own():
    resolver = pod("x-0", "10.0.0.2", labels={"k8s-app": "kube-dns"})
    assert edges(attribute(build(*SHOP, resolver), connection("10.0.0.2", "10.0.0.7")))


# -- Servers at an address --------------------------------------------------------------------------------------------


def test_cluster_ip_leads_to_the_one_workload_behind_it_and_to_its_port():
    (call,) = attribute(build(*SHOP), connection("10.0.0.5", "10.96.5.5", 80)).attributed
    assert (call.server.name, call.service, call.server_port) == ("cart", "shop/cart", 8080)


def test_both_sides_of_the_translation_are_one_edge():
    inventory = build(*SHOP)
    before = attribute(inventory, connection("10.0.0.5", "10.96.5.5", 80)).attributed[0]
    after = attribute(inventory, connection("10.0.0.5", "10.0.0.7", 8080)).attributed[0]
    assert (before.client, before.server, before.server_port) == (after.client, after.server, after.server_port)


def test_named_target_port_is_looked_up_in_the_slice():
    named = service("cart", "10.96.5.5", ports=[{"name": "web", "port": 80, "targetPort": "http"}])
    slice_ = endpoints("cart", CART, ports=[{"name": "web", "port": 9999, "protocol": "TCP"}])
    (call,) = attribute(build(*NODES, FRONTEND, CART, named, slice_), connection("10.0.0.5", "10.96.5.5")).attributed
    assert call.server_port == 9999


def test_service_of_several_workloads_is_itself_the_server():
    canary = pod("canary-0", "10.0.0.8")
    inventory = build(*NODES, FRONTEND, CART, canary, CART_SERVICE, endpoints("cart", CART, canary))
    (call,) = attribute(inventory, connection("10.0.0.5", "10.96.5.5", 80)).attributed
    assert (call.server.kind, call.server_port) == ("Service", 80)
    assert [each.name for each in call.backends] == ["canary", "cart"]


def test_service_without_slices_falls_back_to_its_selector():
    labelled = pod("cart-0", "10.0.0.7", labels={"app": "cart", "tier": "x"})
    stranger = pod("other-0", "10.0.0.9", labels={"app": "other"})
    elsewhere = pod("cart-0", "10.0.0.10", labels={"app": "cart"}, namespace="elsewhere")
    found = attribute(
        build(FRONTEND, labelled, stranger, elsewhere, service("cart", "10.96.5.5", selector={"app": "cart"})),
        connection("10.0.0.5", "10.96.5.5"),
    )
    assert edges(found) == TO_CART


def test_service_without_endpoints_or_leading_outside_is_itself_the_server():
    outside = endpoints("legacy")
    outside["endpoints"] = [{"addresses": ["203.0.113.9"]}]
    inventory = build(FRONTEND, service("idle", "10.96.7.7"), service("legacy", "10.96.7.8"), outside)
    assert edges(attribute(inventory, connection("10.0.0.5", "10.96.7.7"))) == [
        "shop/StatefulSet/frontend -> shop/Service/idle"
    ]
    assert edges(attribute(inventory, connection("10.0.0.5", "10.96.7.8"))) == [
        "shop/StatefulSet/frontend -> shop/Service/legacy"
    ]


def test_endpoint_without_a_reference_is_found_by_its_address():
    manual = endpoints("cart")
    manual["endpoints"] = [{"addresses": ["10.0.0.7"]}]
    assert edges(attribute(build(FRONTEND, CART, CART_SERVICE, manual), connection("10.0.0.5", "10.96.5.5"))) == TO_CART


def test_load_balancer_address_leads_to_the_service_that_listens_there():
    shared = service("cart", "10.96.5.5", balancer=["198.51.100.7"])
    other = service("other", "10.96.5.6", balancer=["198.51.100.7"], ports=[{"port": 81}])
    inventory = build(FRONTEND, CART, shared, endpoints("cart", CART), other)
    assert edges(attribute(inventory, connection("10.0.0.5", "198.51.100.7", 80))) == TO_CART
    assert edges(attribute(inventory, connection("10.0.0.5", "198.51.100.7", 443)))[0].endswith(
        "/External/198.51.100.7"
    )


def test_node_port_leads_to_its_service_and_to_the_port_behind_it():
    exposed = service("cart", "10.96.5.5", ports=[{"port": 80, "targetPort": 8080, "nodePort": 31234}])
    inventory = build(*NODES, FRONTEND, CART, exposed, endpoints("cart", CART))
    (call,) = attribute(inventory, connection("10.0.0.5", "192.168.1.11", 31234)).attributed
    assert (call.server.name, call.server_port) == ("cart", 8080)


def test_node_address_leads_to_the_one_pod_of_the_node_that_declares_the_port():
    here = pod("exporter-0", "192.168.1.10", host_network=True, ports=[{"containerPort": 9100}])
    there = pod(
        "other-0",
        "192.168.1.11",
        host_network=True,
        host="192.168.1.11",
        node="node-2",
        ports=[{"containerPort": 9100}],
    )
    inventory = build(*SHOP, here, there)
    assert edges(attribute(inventory, connection("10.0.0.5", "192.168.1.10", 9100)))[0].endswith("/exporter")
    assert reasons(attribute(inventory, connection("10.0.0.5", "192.168.1.10", 10250))) == [
        ("server", "ambiguous_host_network")
    ]


def test_host_port_of_two_workloads_on_one_node_is_ambiguous():
    first = pod("a-0", "10.0.0.21", ports=[{"containerPort": 80, "hostPort": 8000}])
    second = pod("b-0", "10.0.0.22", ports=[{"containerPort": 80, "hostPort": 8000}])
    found = attribute(build(*SHOP, first, second), connection("10.0.0.5", "192.168.1.10", 8000))
    assert reasons(found) == [("server", "ambiguous_host_network")]


def test_api_server_is_one_identity_at_all_its_addresses():
    api = service("kubernetes", "10.96.0.1", namespace="default")
    slice_ = endpoints("kubernetes", namespace="default", ports=[{"name": "https", "port": 6443}])
    slice_["endpoints"] = [{"addresses": ["192.168.1.10"]}, {"addresses": ["192.168.9.9"]}]
    inventory = build(*SHOP, api, slice_)
    for address, port in (("10.96.0.1", 443), ("192.168.1.10", 6443), ("192.168.9.9", 6443)):
        assert edges(attribute(inventory, connection("10.0.0.5", address, port))) == [
            "shop/StatefulSet/frontend -> default/Service/kubernetes"
        ]
    assert edges(attribute(inventory, connection("192.168.9.9", "10.0.0.7"))) == [
        "default/Service/kubernetes -> shop/StatefulSet/cart"
    ]
    assert reasons(attribute(inventory, connection("192.168.1.10", "10.0.0.7"))) == [
        ("client", "ambiguous_host_network")
    ]


def test_address_outside_is_named_by_itself():
    (call,) = attribute(build(*SHOP), connection("10.0.0.5", "203.0.113.77", 443)).attributed
    assert (call.server.namespace, call.server.kind, call.server.name, call.server_port) == (
        "",
        "External",
        "203.0.113.77",
        443,
    )


def test_private_address_outside_of_all_ranges_is_outside_when_the_late_window_is_over():
    inventory = build(*SHOP)
    assert attribute(inventory, connection("10.0.0.5", "172.16.1.1"), final=False).wait
    assert edges(attribute(inventory, connection("10.0.0.5", "172.16.1.1")))[0].endswith("/External/172.16.1.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "224.0.0.251", "::1", "fe80::1", "ff02::fb"])
def test_loopback_link_local_and_multicast_are_no_calls(address):
    for seen in (connection("10.0.0.5", address), connection(address, "10.0.0.7")):
        assert reasons(attribute(build(*SHOP), seen)) == [("event", "loopback")]


def test_pod_and_itself_are_no_call_but_two_pods_of_one_workload_are():
    inventory = build(*SHOP, pod("cart-1", "10.0.0.8"))
    assert reasons(attribute(inventory, connection("10.0.0.7", "10.0.0.7"))) == [("event", "self_call")]
    assert edges(attribute(inventory, connection("10.0.0.8", "10.0.0.7"))) == [
        "shop/StatefulSet/cart -> shop/StatefulSet/cart"
    ]


def test_connections_to_port_53_are_transport():
    assert reasons(attribute(build(*SHOP), connection("10.0.0.5", "10.0.0.2", 53))) == [("event", "dns_transport")]


def test_connection_of_unknown_direction_is_refused():
    found = attribute(build(*SHOP), connection("10.0.0.5", "10.0.0.7", client_side="unknown"))
    assert reasons(found) == [("event", "direction_unknown")]


def test_malformed_address_is_refused_not_raised():
    assert reasons(attribute(build(*SHOP), connection("nonsense", "10.0.0.7"))) == [("client", "malformed_address")]
    assert reasons(attribute(build(*SHOP), connection("10.0.0.5", "nonsense"))) == [("server", "malformed_address")]


def test_address_that_is_not_canonical_is_understood():
    assert edges(attribute(build(*SHOP), connection("::ffff:10.0.0.5", "::ffff:a00:7"))) == TO_CART


# -- Servers by DNS answers -------------------------------------------------------------------------------------------


def test_answer_with_a_cluster_ip_leads_to_the_workload_without_a_port():
    (call,) = attribute(build(*SHOP), answer("10.0.0.5", "cart.shop.svc.cluster.local", "10.96.5.5")).attributed
    assert (call.server.name, call.service, call.dns_name) == ("cart", "shop/cart", "cart.shop.svc.cluster.local")
    assert (call.server_port, call.network_transport, call.evidence) == (None, None, "dns")


def test_several_addresses_of_one_workload_are_one_edge():
    replicas = [pod(f"db-{number}", f"10.0.0.3{number}") for number in range(3)]
    inventory = build(FRONTEND, *replicas, service("db", None), endpoints("db", *replicas))
    found = attribute(inventory, answer("10.0.0.5", "db.shop.svc.cluster.local", "10.0.0.30", "10.0.0.31", "10.0.0.32"))
    assert [(each.server.name, each.service) for each in found.attributed] == [("db", "shop/db")]


def test_several_addresses_of_several_workloads_are_several_edges():
    inventory = build(*SHOP, pod("b-0", "10.0.0.8"), service("all", None))
    found = attribute(inventory, answer("10.0.0.5", "all.shop.svc.cluster.local", "10.0.0.7", "10.0.0.8"))
    assert [each.server.name for each in found.attributed] == ["cart", "b"]


def test_address_beats_the_name():
    inventory = build(*SHOP, pod("other-0", "10.0.0.9"))
    for name in ("cart.shop.svc.cluster.local", "www.shop.example"):
        (call,) = attribute(inventory, answer("10.0.0.5", name, "10.0.0.9")).attributed
        assert (call.server.name, call.service) == ("other", None)


def test_known_service_by_name_stands_in_for_an_unknown_address():
    seen = answer("10.0.0.5", "cart.shop.svc.cluster.local", "10.0.9.9")
    early = attribute(build(*SHOP), seen, final=False)
    assert (early.attributed, early.wait) == ((), True)
    assert edges(attribute(build(*SHOP), seen)) == TO_CART


def test_unknown_service_is_an_unverified_node_only_when_the_late_window_is_over():
    seen = answer("10.0.0.5", "ghost.other.svc.cluster.local", "10.96.9.9")
    early = attribute(build(FRONTEND), seen, final=False)
    assert (early.attributed, early.wait) == ((), True)
    assert edges(attribute(build(FRONTEND), seen)) == ["shop/StatefulSet/frontend -> other/Service/ghost"]


def test_pod_name_proves_nothing_without_the_pod():
    found = attribute(build(*SHOP), answer("10.0.0.5", "10-0-9-9.shop.pod.cluster.local", "10.0.9.9"))
    assert reasons(found) == [("server", "unknown_server_ip")]


def test_outside_name_is_the_name_that_the_client_asked_for():
    found = attribute(build(*SHOP), answer("10.0.0.5", "api.stripe.example", "203.0.113.1", cnames=("x.cdn.example",)))
    assert edges(found) == ["shop/StatefulSet/frontend -> /External/api.stripe.example"]


def test_outside_name_with_an_unknown_address_of_the_cluster_is_unresolved():
    assert reasons(attribute(build(*SHOP), answer("10.0.0.5", "int.example.com", "10.0.9.9"))) == [
        ("server", "unknown_server_ip")
    ]


def test_external_name_leads_to_its_target():
    alias = service("pay", None, type="ExternalName", externalName="api.stripe.example")
    for cnames in ((), ("api.stripe.example",)):
        found = attribute(
            build(*SHOP, alias), answer("10.0.0.5", "pay.shop.svc.cluster.local", "203.0.113.1", cnames=cnames)
        )
        assert edges(found) == ["shop/StatefulSet/frontend -> /External/api.stripe.example"]


def test_external_name_may_lead_to_another_service():
    alias = service("alias", None, type="ExternalName", externalName="cart.shop.svc.cluster.local")
    seen = answer("10.0.0.5", "alias.shop.svc.cluster.local", "10.96.5.5", cnames=("cart.shop.svc.cluster.local",))
    assert edges(attribute(build(*SHOP, alias), seen)) == TO_CART


def test_external_names_that_point_at_each_other_come_to_an_end():
    first = service("a", None, type="ExternalName", externalName="b.shop.svc.cluster.local")
    second = service("b", None, type="ExternalName", externalName="a.shop.svc.cluster.local")
    assert attribute(
        build(*SHOP, first, second), answer("10.0.0.5", "a.shop.svc.cluster.local", "203.0.113.1")
    ).attributed


def test_headless_service_with_outside_endpoints_is_the_service():
    found = attribute(
        build(*SHOP, service("legacy", None)), answer("10.0.0.5", "legacy.shop.svc.cluster.local", "203.0.113.1")
    )
    assert edges(found) == ["shop/StatefulSet/frontend -> shop/Service/legacy"]


def test_srv_answer_leads_to_its_targets():
    seen = answer(
        "10.0.0.5",
        "_http._tcp.cart.shop.svc.cluster.local",
        question_type="SRV",
        targets=("cart.shop.svc.cluster.local", "mail.example.com"),
    )
    assert edges(attribute(build(*SHOP), seen)) == [*TO_CART, "shop/StatefulSet/frontend -> /External/mail.example.com"]


def test_https_answer_without_addresses_is_about_the_asked_name():
    seen = answer("10.0.0.5", "www.shop.example", question_type="HTTPS", targets=("edge.cdn.example",))
    assert edges(attribute(build(*SHOP), seen)) == ["shop/StatefulSet/frontend -> /External/www.shop.example"]


def test_answer_without_address_or_target_is_none():
    assert reasons(attribute(build(*SHOP), answer("10.0.0.5", "x.example"))) == [("event", "not_an_answer")]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_answer_with_a_blocked_or_loopback_address_is_no_call(address):
    found = attribute(build(*SHOP), answer("10.0.0.5", "ads.example", address))
    assert reasons(found) == [("server", "loopback")]


def test_node_address_in_an_answer_gives_way_to_the_service_name():
    exporter = pod("exporter-0", "192.168.1.10", host_network=True)
    inventory = build(*SHOP, exporter, service("exporter", None), endpoints("exporter", exporter))
    found = attribute(inventory, answer("10.0.0.5", "exporter.shop.svc.cluster.local", "192.168.1.10"))
    assert edges(found) == ["shop/StatefulSet/frontend -> shop/StatefulSet/exporter"]


# -- What may still change --------------------------------------------------------------------------------------------


def test_terminating_pod_is_waited_for_until_its_end_is_told():
    leaving = pod("old-0", "10.0.0.80", deleting=True)
    found = attribute(build(*SHOP, leaving), connection("10.0.0.80", "10.0.0.7"), final=False)
    assert found.wait
    assert edges(found) == ["shop/StatefulSet/old -> shop/StatefulSet/cart"]


def test_settled_pods_are_not_waited_for():
    assert not attribute(build(*SHOP), connection("10.0.0.5", "10.0.0.7"), final=False).wait


def test_what_only_the_tolerance_allows_is_waited_for():
    old = pod("old-0", "10.0.0.80", state=terminated(-100, 20), phase="Succeeded")
    assert attribute(build(*SHOP, old), connection("10.0.0.80", "10.0.0.7", seen=21), final=False).wait


def test_control_plane_prefix_widens_the_api_servers_endpoints():
    api = service("kubernetes", "10.96.0.1", namespace="default")
    slice_ = endpoints("kubernetes", namespace="default", ports=[{"name": "https", "port": 443}])
    slice_["endpoints"] = [{"addresses": ["172.16.0.2"]}]
    for prefix, name in ((28, "kubernetes"), (32, "172.16.0.7")):
        inventory = build(*SHOP, api, slice_, settings=AttributionSettings(control_plane_prefix=prefix))
        (call,) = attribute(inventory, connection("10.0.0.5", "172.16.0.7", 443)).attributed
        assert call.server.name == name


def test_api_server_is_found_by_its_address_though_a_pod_stands_behind_it():
    backend = pod("kube-apiserver-0", "10.0.0.90", namespace="default")
    api = service("kubernetes", "10.96.0.1", namespace="default")
    slice_ = endpoints("kubernetes", backend, namespace="default", ports=[{"name": "https", "port": 443}])
    (call,) = attribute(build(*SHOP, backend, api, slice_), connection("10.0.0.5", "10.0.0.90", 443)).attributed
    assert (call.server.kind, call.server.name) == ("Service", "kubernetes")


def test_clusters_do_not_know_each_others_addresses():
    inventory = build(*SHOP)
    other = msgspec.structs.replace(next(iter(inventory.cluster(CLUSTER).pods)), cluster="elsewhere")
    inventory.apply(other)
    assert len(inventory.cluster("elsewhere").pods) == 1
    assert inventory.watermark("elsewhere") == 0


def test_node_that_a_pod_alone_witnesses_for_is_known_by_its_address():
    found = attribute(build(FRONTEND, CART), connection("192.168.1.10", "10.0.0.7"))
    assert reasons(found) == [("client", "ambiguous_host_network")]


def test_deleted_nodes_ranges_are_forgotten_with_it():
    inventory = build(*SHOP, node("node-3", "192.168.1.12", "10.9.0.0/16"))
    view = inventory.cluster(CLUSTER)
    assert view.space.side("10.9.0.1", Moment(at(10))) == "inside"
    gone = next(each for each in view.space._nodes.values() if each.name == "node-3")
    inventory.apply(msgspec.structs.replace(gone, to_at=at(0)))
    inventory.expire(at(3601))
    assert view.space.side("10.9.0.1", Moment(at(10))) == "perhaps"


def test_pod_with_a_weak_start_is_waited_for():
    assert attribute(
        build(*SHOP, pod("a-0", "10.0.0.80", start=None)), connection("10.0.0.80", "10.0.0.7"), final=False
    ).wait


def test_private_outside_client_is_waited_for():
    assert attribute(build(*SHOP), connection("172.16.0.9", "10.0.0.7"), final=False).wait


def test_load_balancer_on_the_nodes_own_addresses_needs_a_port():
    shared = service("cart", "10.96.5.5", balancer=["192.168.1.10"])
    inventory = build(*NODES, FRONTEND, CART, shared, endpoints("cart", CART))
    assert edges(attribute(inventory, connection("10.0.0.5", "192.168.1.10", 80))) == TO_CART
    assert reasons(attribute(inventory, answer("10.0.0.5", "shop.example", "192.168.1.10"))) == [
        ("server", "ambiguous_host_network")
    ]


def test_service_with_a_pod_and_an_outside_endpoint_is_itself_the_server():
    mixed = endpoints("cart", CART)
    mixed["endpoints"].append({"addresses": ["203.0.113.9"]})
    found = attribute(build(FRONTEND, CART, CART_SERVICE, mixed), connection("10.0.0.5", "10.96.5.5"))
    assert edges(found) == ["shop/StatefulSet/frontend -> shop/Service/cart"]


def test_listed_pod_that_has_ended_is_no_backend_any_more():
    ended = pod("old-0", "10.0.0.6", phase="Succeeded", state=terminated(-100, -50))
    inventory = build(FRONTEND, CART, ended, CART_SERVICE, endpoints("cart", CART, ended))
    assert edges(attribute(inventory, connection("10.0.0.5", "10.96.5.5"))) == TO_CART


def test_listed_pods_that_came_later_stand_for_those_before_them():
    later = pod("cart-1", "10.0.0.6", start=100)
    inventory = build(FRONTEND, later, CART_SERVICE, endpoints("cart", later))
    assert edges(attribute(inventory, connection("10.0.0.5", "10.96.5.5"))) == TO_CART


def test_selector_of_a_service_with_an_empty_slice_is_not_asked():
    labelled = pod("cart-0", "10.0.0.7", labels={"app": "cart"})
    chosen = service("cart", "10.96.5.5", selector={"app": "cart"})
    found = attribute(build(FRONTEND, labelled, chosen, endpoints("cart")), connection("10.0.0.5", "10.96.5.5"))
    assert edges(found) == ["shop/StatefulSet/frontend -> shop/Service/cart"]


def test_backends_are_those_that_were_listed_at_the_time():
    blue, green = pod("blue-0", "10.0.0.21"), pod("green-0", "10.0.0.22")
    projector = Projector(CLUSTER, AttributionSettings())
    inventory = build(FRONTEND, blue, green, CART_SERVICE)
    for listed, arrived in ((blue, 0), (green, 50)):
        record = projector.apply("MODIFIED", decoded(endpoints("cart", listed)), at(arrived))
        assert record is not None
        inventory.apply(record)
    for seen, name in ((40, "blue"), (60, "green")):
        (call,) = attribute(inventory, connection("10.0.0.5", "10.96.5.5", seen=seen)).attributed
        assert call.server.name == name


def test_each_named_port_has_its_own_target():
    ports = [{"name": "a", "port": 80, "targetPort": "x"}, {"name": "b", "port": 81, "targetPort": "y"}]
    listed = endpoints("cart", CART, ports=[{"name": "a", "port": 8080}, {"name": "b", "port": 8081}])
    inventory = build(FRONTEND, CART, service("cart", "10.96.5.5", ports=ports), listed)
    assert [
        attribute(inventory, connection("10.0.0.5", "10.96.5.5", port)).attributed[0].server_port for port in (80, 81)
    ] == [
        8080,
        8081,
    ]


def test_other_port_of_the_api_servers_address_is_not_the_api_server():
    slice_ = endpoints("kubernetes", namespace="default", ports=[{"name": "https", "port": 6443}])
    slice_["endpoints"] = [{"addresses": ["198.51.100.1"]}]
    (call,) = attribute(build(*SHOP, slice_), connection("10.0.0.5", "198.51.100.1", 2379)).attributed
    assert call.server.kind == "External"


@pytest.mark.parametrize("client", ["10.0.0.30", "10.0.0.31"])
def test_pod_that_asks_for_its_own_service_calls_its_peers(client):
    peers = [pod("db-0", "10.0.0.30"), pod("db-1", "10.0.0.31")]
    inventory = build(*peers, service("db", None), endpoints("db", *peers))
    found = attribute(inventory, answer(client, "db.shop.svc.cluster.local", "10.0.0.30", "10.0.0.31"))
    assert edges(found) == ["shop/StatefulSet/db -> shop/StatefulSet/db"]
