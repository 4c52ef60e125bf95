"""What NetworkPolicies allow: each rule of the API by itself, and all together against a second opinion."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgraph.errors import InputError
from sink_exporter.policy_drafts import PodPort
from sink_exporter.policy_rules import End, PolicySet, parse_policies
from tests.policy_evaluator import Pod, allows

WEB = Pod("shop", {"app": "web", "tier": "front"})
API = Pod("shop", {"app": "api"}, {"http": 8080})
JOB = Pod("batch", {"app": "job"}, namespace_labels={"team": "data"})
OUTSIDE = Pod("", {}, address="203.0.113.7")


def policy(spec, namespace="shop", name="p"):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}} | spec,
    }


def end_of(pod):
    labels = {"kubernetes.io/metadata.name": pod.namespace, **pod.namespace_labels}
    return End(
        namespace=pod.namespace, labels=pod.labels, ports=pod.ports, address=pod.address, namespace_labels=labels
    )


def obstacles(policies, client, server, port=8080, transport="TCP"):
    """Name what stands in the way, as `side policy`."""
    chosen = PolicySet(parse_policies(json.dumps({"kind": "List", "items": policies}).encode(), "it"))
    found = chosen.obstacles(end_of(client), end_of(server), PodPort(transport, port))
    return [f"{one.side} {policy.path}" for one in found for policy in one.policies]


def ingress(*rules, **spec):
    return policy({"ingress": list(rules)} | spec)


def egress(*rules, **spec):
    return policy({"egress": list(rules), "policyTypes": ["Egress"]} | spec)


def test_without_a_policy_everything_is_open():
    assert obstacles([], WEB, API) == []


def test_a_policy_without_rules_isolates_for_ingress_and_not_for_egress():
    assert obstacles([policy({})], JOB, API) == ["ingress shop/p"]
    assert obstacles([policy({})], API, JOB) == []


def test_egress_rules_alone_isolate_in_both_directions():
    both = policy({"egress": [{}]})
    assert obstacles([both], JOB, API) == ["ingress shop/p"]
    assert obstacles([both], API, JOB) == []


def test_egress_rules_without_types_isolate_for_egress_too():
    some = {"to": [{"podSelector": {"matchLabels": {"app": "x"}}}]}
    assert obstacles([policy({"egress": [some]})], API, JOB) == ["egress shop/p"]
    assert obstacles([policy({"egress": [some], "policyTypes": ["Ingress"]})], API, JOB) == []


def test_policy_types_alone_decide_where_they_stand():
    assert obstacles([policy({"policyTypes": ["Egress"]})], JOB, API) == []
    assert obstacles([policy({"policyTypes": ["Egress"]})], API, JOB) == ["egress shop/p"]


def test_an_empty_rule_allows_everything():
    assert obstacles([ingress({})], JOB, API) == []
    assert obstacles([ingress({"from": []})], OUTSIDE, API) == []


def test_policies_of_one_pod_add_up():
    closed, opened = policy({}), policy({"ingress": [{"from": [{"podSelector": {}}]}]}, name="q")
    assert obstacles([closed, opened], WEB, API) == []
    assert obstacles([closed, opened], JOB, API) == ["ingress shop/p", "ingress shop/q"]


def test_a_policy_means_the_pods_that_it_selects_in_its_own_namespace():
    chosen = policy({"podSelector": {"matchLabels": {"app": "api"}}})
    assert obstacles([chosen], JOB, API) == ["ingress shop/p"]
    assert obstacles([chosen], JOB, WEB) == []
    assert obstacles([policy({}, namespace="other")], JOB, API) == []


def test_a_pod_selector_means_the_policys_own_namespace():
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "job"}}}]}
    assert obstacles([ingress(rule)], Pod("shop", {"app": "job"}), API) == []
    assert obstacles([ingress(rule)], JOB, API) == ["ingress shop/p"]


def test_a_namespace_selector_means_all_its_pods_and_with_a_pod_selector_some():
    by_team = {"namespaceSelector": {"matchLabels": {"team": "data"}}}
    assert obstacles([ingress({"from": [by_team]})], JOB, API) == []
    other = by_team | {"podSelector": {"matchLabels": {"app": "x"}}}
    assert obstacles([ingress({"from": [other]})], JOB, API) == ["ingress shop/p"]


def test_an_empty_namespace_selector_means_all_pods_and_nobody_outside():
    rule = {"from": [{"namespaceSelector": {}}]}
    assert obstacles([ingress(rule)], JOB, API) == []
    assert obstacles([ingress(rule)], OUTSIDE, API) == ["ingress shop/p"]


@pytest.mark.parametrize(
    ("block", "is_open"),
    [
        ({"cidr": "203.0.113.0/24"}, True),
        ({"cidr": "203.0.113.0/24", "except": ["203.0.113.7/32"]}, False),
        ({"cidr": "203.0.113.0/24", "except": ["203.0.113.8/32"]}, True),
        ({"cidr": "198.51.100.0/24"}, False),
        ({"cidr": "2001:db8::/32"}, False),
    ],
)
def test_an_ip_block_means_its_addresses_but_for_the_exceptions(block, is_open):
    assert (obstacles([egress({"to": [{"ipBlock": block}]})], WEB, OUTSIDE) == []) is is_open


def test_an_ip_block_selects_no_pods():
    assert obstacles([egress({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], WEB, API) == ["egress shop/p"]


@pytest.mark.parametrize(
    ("port", "is_open"),
    [
        ({"port": 8080}, True),
        ({"port": 8080, "protocol": "UDP"}, False),
        ({"port": 80}, False),
        ({"port": 8000, "endPort": 8080}, True),
        ({"port": 8081, "endPort": 8090}, False),
        ({"port": "http"}, True),
        ({"port": "grpc"}, False),
        ({"protocol": "TCP"}, True),
        ({"protocol": "SCTP"}, False),
    ],
)
@pytest.mark.parametrize("make", [ingress, egress])
def test_a_port_is_a_number_a_range_a_name_of_the_servers_pods_or_any_of_its_protocol(make, port, is_open):
    other = policy({"ingress": [{}]}, name="q")
    assert (obstacles([make({"ports": [port]}), other][: 1 + (make is egress)], WEB, API) == []) is is_open


@pytest.mark.parametrize(
    ("expression", "is_open"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "x"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "zone", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
        ({"key": "zone", "operator": "Exists"}, False),
    ],
)
def test_expressions_are_those_of_kubernetes(expression, is_open):
    rule = {"from": [{"podSelector": {"matchExpressions": [expression]}}]}
    assert (obstacles([ingress(rule)], WEB, API) == []) is is_open


def test_both_directions_are_asked():
    assert obstacles([policy({"policyTypes": ["Ingress", "Egress"]})], WEB, API) == ["egress shop/p", "ingress shop/p"]


@pytest.mark.parametrize(
    "document",
    [
        b"kind: Pod\n",
        b"- 1",
        json.dumps(policy({"policyTypes": ["Sideways"]})).encode(),
        json.dumps(ingress({"from": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]})).encode(),
        b"\xff",
        b"{",
    ],
)
def test_what_is_no_policy_is_one_sentence_that_names_the_file(document):
    with pytest.raises(InputError, match=r"^policies/a\.yaml does not hold NetworkPolicies of networking"):
        parse_policies(document, "policies/a.yaml")


labels = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]))
expressions = st.fixed_dictionaries(
    {"key": st.sampled_from(["app", "tier"]), "operator": st.sampled_from(["In", "NotIn"]), "values": st.just(["a"])}
) | st.fixed_dictionaries({"key": st.just("tier"), "operator": st.sampled_from(["Exists", "DoesNotExist"])})
selectors = st.fixed_dictionaries(
    {}, optional={"matchLabels": labels, "matchExpressions": st.lists(expressions, max_size=2)}
)
namespace_selectors = st.just({}) | st.builds(
    lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}}, st.sampled_from(["n", "m"])
)
blocks = st.fixed_dictionaries(
    {"cidr": st.sampled_from(["10.0.0.0/8", "0.0.0.0/0"])}, optional={"except": st.just(["10.1.0.0/16"])}
)
peers = st.fixed_dictionaries({"ipBlock": blocks}) | st.fixed_dictionaries(
    {}, optional={"podSelector": selectors, "namespaceSelector": namespace_selectors}
).filter(bool)
ports = st.fixed_dictionaries({}, optional={"protocol": st.sampled_from(["TCP", "UDP"])}).flatmap(
    lambda protocol: st.sampled_from(
        [protocol, protocol | {"port": 80}, protocol | {"port": 79, "endPort": 81}, protocol | {"port": "web"}]
    )
)


def rules(side):
    return st.lists(
        st.fixed_dictionaries({}, optional={side: st.lists(peers, max_size=2), "ports": st.lists(ports, max_size=2)}),
        max_size=2,
    )


specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "ingress": rules("from"),
        "egress": rules("to"),
        "policyTypes": st.sets(st.sampled_from(["Ingress", "Egress"]), min_size=1).map(sorted),
    },
)
policy_lists = st.lists(st.builds(policy, specs, namespace=st.sampled_from(["n", "m"])), max_size=3)
pods = st.tuples(st.sampled_from(["n", "m"]), labels, st.sampled_from([{}, {"web": 80}, {"web": 81}])).map(
    lambda fields: Pod(*fields)
)
outsiders = st.builds(
    lambda address: Pod("", {}, address=address), st.sampled_from(["10.0.0.1", "10.1.0.1", "1.1.1.1", "::1"])
)


@given(policy_lists, pods | outsiders, pods | outsiders, st.sampled_from([79, 80, 82]), st.sampled_from(["TCP", "UDP"]))
def test_any_policies_mean_what_a_second_opinion_says(policies, client, server, port, transport):
    found = obstacles(policies, client, server, port, transport)
    assert (found == []) is allows(policies, client, server, port, transport)
