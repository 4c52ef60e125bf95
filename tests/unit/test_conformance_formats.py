"""What the runner understands of cases beyond those that lie here: other words, other keys, other reports."""

from __future__ import annotations

import pytest

from tests.conformance_identity import base_of, run_case
from tests.conformance_mapper import run_resolve
from tests.identity_cases.build import SHOP, TO_CART, case, conn, relist
from tests.small_cluster import FRONTEND, NODES, pod

BASE = base_of({"time_base": "2026-01-01T00:00:00Z"})
TWINS = [*NODES, FRONTEND, pod("one-0", "10.0.0.80"), pod("two-0", "10.0.0.80", node="node-2")]


def judge(a_case):
    return run_case(a_case, {}, BASE)


def test_reason_by_another_name_is_one_where_event_and_side_agree():
    call = [conn(10, "10.0.0.5", "10.0.0.80")]
    assert judge(case("", TWINS, call, refused=[(0, "server", "two_owners")])) is None
    assert judge(case("", TWINS, call, refused=[(0, "client", "two_owners")])) is not None


def test_reason_of_our_own_name_must_be_the_very_one():
    call = [conn(10, "10.0.0.5", "10.0.0.80")]
    assert judge(case("", TWINS, call, refused=[(0, "server", "unknown_server_ip")])) is not None


def test_what_is_dropped_as_no_call_may_go_unmentioned():
    assert judge(case("", SHOP, [conn(10, "127.0.0.1", "127.0.0.1"), conn(11, "10.0.0.5", "10.0.0.5")])) is None


def test_other_refusals_must_be_mentioned():
    assert judge(case("", SHOP, [conn(10, "192.168.1.10", "10.0.1.7")])) is not None


def test_events_and_edge_keys_without_a_meaning_here_are_passed_over():
    found = case("", SHOP, [{"t": 5, "type": "clock"}, conn(10, "10.0.0.5", "10.0.1.7")], TO_CART)
    found["expect"]["edges"][0]["colour"] = "red"
    assert judge(found) is None


def test_any_of_an_edge_s_services_and_ports_may_be_the_one_expected():
    found = case("", SHOP, [conn(10, "10.0.0.5", "10.0.1.7", 8080), conn(11, "10.0.0.5", "10.96.5.5", 80)], TO_CART)
    found["expect"]["edges"][0] |= {"service": "shop/cart", "port": 8080}
    assert judge(found) is None
    found["expect"]["edges"][0]["service"] = "shop/basket"
    assert judge(found) is not None


def test_relist_of_kinds_that_are_not_watched_says_nothing():
    objects = [{"kind": "Deployment", "metadata": {"name": "cart"}}]
    assert judge(case("", SHOP, [relist(5, *objects), conn(10, "10.0.0.5", "10.0.1.7")], TO_CART)) is None


def a_pod(name, address, **status):
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": "2024-01-01T00:00:00Z"}
    return {"kind": "Pod", "metadata": metadata, "status": {"phase": "Running", "podIP": address, **status}}


def a_service(name, **spec):
    return {"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def report(destination, *objects, source="dns", address=None, domain="cluster.local", **expected):
    seen = {"destination": destination, "destination_ip": address, "last_seen": "2024-01-01T00:01:00Z"}
    return {
        "input": {
            "report_source": source,
            "cluster_domain": domain,
            "reports": [{"src_ip": "1.1.1.1", "destinations": [seen]}],
            "cluster": [a_pod("server", "1.1.1.2"), *objects],
        },
        "expected": {name: [{"client": workload("client"), **each}] for name, each in expected.items()},
    }


def workload(name, **more):
    return {"name": name, "namespace": "shop", "kind": "Pod", **more}


CLIENT = a_pod("client", "1.1.1.1")


@pytest.mark.parametrize("name", ["db.example.com", "db.shop.svc.cluster.local"])
def test_report_of_an_external_name_may_expect_either_name(name):
    alias = a_service("db", type="ExternalName", externalName="db.example.com")
    found = report("db.shop.svc.cluster.local", CLIENT, alias, external={"dns_name": name})
    assert run_resolve(found) is None


def test_report_of_an_alias_of_a_service_leads_to_the_service_s_pods():
    behind = a_service("cart", clusterIP="10.0.0.17", selector={})
    alias = a_service("alias", type="ExternalName", externalName="cart.shop.svc.cluster.local")
    server = {"name": "cart", "namespace": "shop", "kind": "Service", "kubernetes_service": "cart"}
    found = report("alias.shop.svc.cluster.local", CLIENT, behind, alias, edges={"server": server})
    assert run_resolve(found) is None


def test_report_of_an_address_outside_is_told_by_it():
    found = report("", CLIENT, source="tcp", address="203.0.113.9", external={"ips": ["203.0.113.9"]})
    assert run_resolve(found) is None


def test_report_of_a_pod_that_has_finished_since_is_its_own():
    job = a_pod("client", "1.1.1.1", phase="Succeeded")
    assert run_resolve(report("1.1.1.2", job, source="socket", edges={"server": workload("server")})) is None


def test_domain_of_the_cluster_is_the_case_s():
    found = report("1-1-1-2.shop.pod.k8s.example", CLIENT, domain="k8s.example", edges={"server": workload("server")})
    assert run_resolve(found) is None
    found["input"]["cluster_domain"] = "cluster.local"
    assert run_resolve(found) is not None
