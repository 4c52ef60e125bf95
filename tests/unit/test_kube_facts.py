"""What is known of workloads: from objects that kubectl prints, and from the records of the inventory."""

import json

from callgraph.records import ContainerPort, PodRecord, ServicePort, ServiceRecord
from sink_exporter.inventory_facts import facts_of_records
from sink_exporter.kube_facts import KubeFacts, Selector, ServicePortFacts, merge_facts, parse_kube_facts
from tests.graphs import workload

WEB = workload("web")


def pod(name, *, created_at=0, ended_at=None, **fields):
    return PodRecord(
        cluster="c", namespace="shop", name=name, uid=name, created_at=created_at, ended_at=ended_at, **fields
    )


def web_facts(*pods):
    return facts_of_records([(WEB, one) for one in pods], []).find(WEB)


def test_pods_of_a_workload_are_selected_by_the_lasting_labels_that_all_share():
    old = pod("a", labels={"app": "web", "version": "1", "pod-template-hash": "x"})
    new = pod("b", labels={"app": "web", "version": "2", "pod-template-hash": "x"}, created_at=1)
    facts = web_facts(old, new)
    assert facts.selector == Selector(match_labels={"app": "web"})
    assert facts.labels["version"] == "2"


def test_pods_that_have_ended_do_not_count_beside_those_that_live():
    ended = pod("a", labels={"app": "old"}, created_at=5, ended_at=9)
    assert web_facts(ended, pod("b", labels={"app": "web"})).labels == {"app": "web"}
    assert web_facts(ended).labels == {"app": "old"}


def test_pods_that_share_no_label_cannot_be_selected():
    assert not web_facts(pod("a", labels={"app": "a"}), pod("b", labels={"app": "b"})).selector


def test_ports_accounts_and_the_hosts_network_are_those_of_the_newest_pod():
    ports = (ContainerPort(port=8080, name="http"), ContainerPort(port=9))
    facts = web_facts(pod("a", ports=ports, host_network=True, service_account="me"))
    assert (facts.ports, facts.host_network, facts.service_account) == ({"http": 8080, "9": 9}, True, "me")


def test_services_lead_to_numbers_and_names():
    ports = (
        ServicePort(port=80, target_port="http"),
        ServicePort(port=81, target_port="8081"),
        ServicePort(port=53, transport="udp"),
    )
    service = ServiceRecord(cluster="c", namespace="shop", name="web", uid="s", selector={"app": "web"}, ports=ports)
    gone = ServiceRecord(cluster="c", namespace="shop", name="gone", uid="g", to_at=5)
    facts = facts_of_records([], [service, gone])
    assert list(facts.services) == [("shop", "web")]
    assert facts.services["shop", "web"].ports == (
        ServicePortFacts(port=80, transport="TCP", target="http"),
        ServicePortFacts(port=81, transport="TCP", target=8081),
        ServicePortFacts(port=53, transport="UDP", target=53),
    )


def test_what_is_owned_is_no_workload_of_its_own_and_may_be_known_by_its_name_alone():
    owned = {"name": "web-5d", "namespace": "shop", "ownerReferences": [{"controller": True}]}
    loose = {"name": "alone", "namespace": "shop", "ownerReferences": [{"controller": False}]}
    items = [
        {"kind": "ReplicaSet", "metadata": owned},
        {"kind": "Pod", "metadata": owned, "spec": {"containers": []}},
        {"kind": "Pod", "metadata": loose, "spec": {"containers": []}},
    ]
    facts = parse_kube_facts(json.dumps({"items": items}).encode(), "it")
    assert list(facts.workloads) == [("shop", "Pod", "alone")]


def test_a_namespace_has_its_labels_and_always_its_name():
    items = [{"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}]
    facts = parse_kube_facts(json.dumps({"items": items}).encode(), "it")
    assert facts.namespace_labels("shop") == {"team": "a", "kubernetes.io/metadata.name": "shop"}
    assert facts.namespace_labels("other") == {"kubernetes.io/metadata.name": "other"}


def test_of_two_sources_the_second_is_right():
    below = facts_of_records([(WEB, pod("a", labels={"app": "pods"})), (workload("x"), pod("x"))], [])
    owner = {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "owner"}}, "template": {}},
    }
    above = parse_kube_facts(json.dumps({"items": [owner]}).encode(), "it")
    merged = merge_facts(below, above)
    assert merged.find(WEB).selector.match_labels == {"app": "owner"}
    assert merged.find(workload("x")) is not None
    assert merge_facts(KubeFacts(), below) == below
