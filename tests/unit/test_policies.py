"""Drafted policies: what was seen stays allowed, what was not is blocked, and what cannot be said stays open."""

import json
from functools import partial

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callgraph.errors import ConfigurationError, InputError
from sink_exporter.cilium_policy import render_cilium_policies
from sink_exporter.graph import build_graph
from sink_exporter.istio_policy import render_istio_policies
from sink_exporter.kube_facts import KubeFacts, parse_kube_facts
from sink_exporter.network_policy import render_network_policies
from sink_exporter.policy_formats import POLICY_FORMATS, render_policies
from tests.graphs import SHOP_NAMESPACE, edge_of, graphs, shop_edges, shuffled_and_repeated, workload
from tests.policy_evaluator import Pod, allows, load_policies


def deployment(name, namespace="shop", kind="Deployment", **pod_spec):
    spec = {"containers": [{"name": "c", "ports": [{"containerPort": 8080, "name": "http"}]}]} | pod_spec
    template = {"metadata": {"labels": {"app": name, "pod-template-hash": "5d"}}, "spec": spec}
    selector = {"matchLabels": {"app": name}}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": selector, "template": template},
    }


def service(name, namespace="shop", *, selects=None, port=80, target="http"):
    ports = [{"port": port, "protocol": "TCP", "targetPort": target}]
    spec = {"ports": ports} if selects == "" else {"ports": ports, "selector": {"app": selects or name}}
    return {"kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def facts_of(*objects):
    return parse_kube_facts(json.dumps({"kind": "List", "items": objects}).encode(), "it")


def call(client, server, port=80, **fields):
    return edge_of(client, server, server_port=port, network_transport="tcp", **fields)


WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
STRIPE = workload("api.stripe.com", "", "External")
FACTS = facts_of(
    deployment("web"), deployment("api"), deployment("db", "data", "StatefulSet"), service("api"), service("db", "data")
)


def shop_facts():
    names = {end.name for edge in shop_edges() for end in (edge.client, edge.server)}
    made = [make(name, SHOP_NAMESPACE) for name in sorted(names) for make in (deployment, service)]
    return facts_of(*made)


def shop_pod(name):
    return Pod(SHOP_NAMESPACE, {"app": name, "pod-template-hash": "5d"})


@pytest.mark.parametrize("direction", ["ingress", "egress", "both"])
def test_the_drafts_for_the_shop_allow_every_call_and_block_the_others(direction):
    edges = [call(edge.client, edge.server) for edge in shop_edges()]
    policies = load_policies(render_network_policies(build_graph(edges), shop_facts(), direction=direction))
    seen = {(edge.client.name, edge.server.name) for edge in edges}
    assert all(allows(policies, shop_pod(client), shop_pod(server), 8080) for client, server in seen)
    blocked = [
        *(("loadgenerator", "redis-cart"), ("emailservice", "frontend"), ("adservice", "cartservice")),
        *(("redis-cart", "paymentservice"), ("recommendationservice", "checkoutservice")),
    ]
    if direction == "egress":
        blocked = [("loadgenerator", "redis-cart"), ("recommendationservice", "checkoutservice")]
    assert not any(allows(policies, shop_pod(client), shop_pod(server), 8080) for client, server in blocked)


def test_another_port_is_blocked():
    policies = load_policies(render_network_policies(build_graph([call(WEB, API)]), FACTS))
    web, api = Pod("shop", {"app": "web"}), Pod("shop", {"app": "api"})
    assert allows(policies, web, api, 8080)
    assert not allows(policies, web, api, 9090)


def test_a_draft_reads_as_documented():
    graph = build_graph([call(WEB, API), call(DB, API, evidence=("syn",)), edge_of(WEB, DB)])
    text = render_network_policies(graph, FACTS, direction="both").split("---\n")
    assert (
        text[1]
        == """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-deployment-calls
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: whocalls
  annotations:
    whocalls.dev/evidence: "dns,syn"
spec:
  podSelector:
    matchLabels:
      app: api
  policyTypes:
    - Ingress
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: data
          podSelector:
            matchLabels:
              app: db
        - podSelector:
            matchLabels:
              app: web
      ports:
        - port: 8080
          protocol: TCP
"""
    )


def test_egress_always_allows_dns():
    (policy,) = load_policies(render_network_policies(build_graph([call(WEB, API)]), FACTS, direction="egress"))
    dns = Pod("kube-system", {"k8s-app": "kube-dns"})
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert all(allows([policy], Pod("shop", {"app": "web"}), dns, 53, transport) for transport in ("TCP", "UDP"))


def test_calls_known_from_dns_alone_are_allowed_on_every_port():
    for render, field in ((render_network_policies, "ports"), (render_cilium_policies, "toPorts")):
        (policy,) = load_policies(render(build_graph([edge_of(WEB, API)]), FACTS))
        assert field not in policy["spec"]["ingress"][0]
        assert policy["metadata"]["annotations"]["whocalls.dev/ingress-ports-not-known"] == "shop/web"


@given(graphs)
def test_no_draft_isolates_without_a_rule(graph):
    ends = {end for arrow in graph.arrows for end in (arrow.client, arrow.server)}
    facts = facts_of(*(deployment(end.name, end.namespace, end.kind) for end in ends if end.kind == "Deployment"))
    for policy in load_policies(render_network_policies(graph, facts, direction="both")):
        assert policy["spec"]["policyTypes"]
        assert all(policy["spec"][side.lower()] for side in policy["spec"]["policyTypes"])


def test_a_port_that_no_service_has_is_the_pods_own():
    (policy,) = load_policies(render_network_policies(build_graph([call(WEB, API, 9000)]), FACTS))
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": 9000, "protocol": "TCP"}]


def test_a_port_of_both_the_service_and_the_pod_may_mean_either():
    facts = facts_of(deployment("web"), deployment("api"), service("api", port=8080, target=9090))
    (policy,) = load_policies(render_network_policies(build_graph([call(WEB, API, 8080)]), facts))
    assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == [8080, 9090]


def test_pods_on_the_hosts_network_get_no_policy():
    facts = facts_of(deployment("web"), deployment("api", hostNetwork=True))
    assert render_network_policies(build_graph([call(WEB, API)]), facts) == ""


def test_a_named_port_that_the_pods_do_not_name_is_left_to_kubernetes():
    facts = facts_of(deployment("web"), deployment("api"), service("api", target="grpc"))
    (policy,) = load_policies(render_network_policies(build_graph([call(WEB, API)]), facts))
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": "grpc", "protocol": "TCP"}]


def test_a_call_to_a_service_reaches_all_workloads_behind_it():
    facts = facts_of(deployment("web"), deployment("api"), service("front", selects="api"))
    graph = build_graph([call(WEB, workload("front", kind="Service"))])
    policies = load_policies(render_network_policies(graph, facts, direction="both"))
    assert [policy["metadata"]["name"] for policy in policies] == ["api-deployment-calls", "web-deployment-calls"]
    assert allows(policies, Pod("shop", {"app": "web"}), Pod("shop", {"app": "api"}), 8080)


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (STRIPE, "api.stripe.com"),
        (workload("kubernetes", "default", "Service"), "default/kubernetes"),
        (workload("stranger"), "shop/stranger"),
        (workload("agent", kind="DaemonSet"), "shop/agent"),
        (workload("api", cluster="other"), "shop/api"),
    ],
)
def test_egress_to_what_cannot_be_selected_stays_open_and_says_so(server, told):
    facts = facts_of(
        *(deployment("web"), deployment("api"), service("api")),
        *(deployment("agent", kind="DaemonSet", hostNetwork=True), service("kubernetes", "default", selects="")),
    )
    graph = build_graph([call(WEB, API), call(WEB, server), call(API, WEB)])
    policies = load_policies(render_network_policies(graph, facts, direction="both"))
    web = next(policy for policy in policies if policy["metadata"]["name"] == "web-deployment-calls")
    assert web["spec"]["policyTypes"] == ["Ingress"]
    assert web["metadata"]["annotations"]["whocalls.dev/egress-left-open"] == f"cannot select {told}"


def test_an_outside_address_is_a_network_of_one():
    graph = build_graph([call(WEB, workload("192.0.2.1", "", "External"), 443), call(WEB, API)])
    (policy,) = load_policies(render_network_policies(graph, FACTS, direction="egress"))
    assert {"ipBlock": {"cidr": "192.0.2.1/32"}} in [peer for rule in policy["spec"]["egress"] for peer in rule["to"]]


def test_a_workload_that_only_hosts_call_gets_no_policy_that_would_cut_them_off():
    facts = facts_of(deployment("api"), deployment("agent", kind="DaemonSet", hostNetwork=True))
    assert render_network_policies(build_graph([call(workload("agent", kind="DaemonSet"), API)]), facts) == ""


def test_a_job_is_selected_by_the_labels_that_last():
    job = deployment("nightly", kind="Job")
    job["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}}
    job["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = "1"
    facts = facts_of(job, deployment("api"))
    (policy,) = load_policies(render_network_policies(build_graph([call(workload("nightly", kind="Job"), API)]), facts))
    assert policy["spec"]["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {"app": "nightly"}}}]


def test_a_cron_job_is_selected_by_its_template():
    inner = deployment("x")["spec"]
    cron = {"kind": "CronJob", "metadata": {"name": "x", "namespace": "shop"}, "spec": {"jobTemplate": {"spec": inner}}}
    assert facts_of(cron).find(workload("x", kind="CronJob")).selector.match_labels == {"app": "x"}


def test_expressions_of_a_selector_are_kept():
    api = deployment("api")
    api["spec"]["selector"]["matchExpressions"] = [{"key": "tier", "operator": "In", "values": ["a", "b"]}]
    facts = facts_of(deployment("web"), api)
    (policy,) = load_policies(render_network_policies(build_graph([call(WEB, API)]), facts))
    assert policy["spec"]["podSelector"]["matchExpressions"] == [
        {"key": "tier", "operator": "In", "values": ["a", "b"]}
    ]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"items":[{"kind":"Deployment","metadata":{"name":"x"}}]}'])
def test_what_is_no_list_of_objects_is_refused_in_one_sentence(content):
    with pytest.raises(InputError, match="it is not a list of Kubernetes objects"):
        parse_kube_facts(content, "it")


def test_the_drafts_are_valid_kubernetes_objects():
    edges = [call(edge.client, edge.server) for edge in shop_edges()]
    text = render_network_policies(build_graph(edges), shop_facts(), direction="both")
    policies = load_policies(text)
    assert len(policies) == 12
    for policy in policies:
        kubernetes_validate.validate(policy, "1.33", strict=True)


def test_cilium_has_words_for_names_hosts_and_the_api_server():
    facts = facts_of(
        deployment("web"),
        deployment("db", "data", "StatefulSet"),
        deployment("agent", kind="DaemonSet", hostNetwork=True),
    )
    servers = [STRIPE, workload("kubernetes", "default", "Service"), workload("agent", kind="DaemonSet"), DB]
    graph = build_graph([call(WEB, server, 443) for server in servers])
    (policy,) = load_policies(render_cilium_policies(graph, facts, direction="egress"))
    dns, *rules = policy["spec"]["egress"]
    assert dns["toPorts"][0]["rules"] == {"dns": [{"matchPattern": "*"}]}
    ports = [{"ports": [{"port": "443", "protocol": "TCP"}]}]
    assert rules == [
        {
            "toEndpoints": [{"matchLabels": {"app": "db", "k8s:io.kubernetes.pod.namespace": "data"}}],
            "toPorts": ports,
        },
        {"toEntities": ["host", "kube-apiserver", "remote-node"], "toPorts": ports},
        {"toFQDNs": [{"matchName": "api.stripe.com"}], "toPorts": ports},
    ]


def test_istio_knows_callers_by_their_accounts():
    facts = facts_of(deployment("web", serviceAccountName="web-account"), deployment("api"), service("api"))
    (policy,) = load_policies(render_istio_policies(build_graph([call(WEB, API)]), facts))
    assert policy["spec"] == {
        "selector": {"matchLabels": {"app": "api"}},
        "action": "ALLOW",
        "rules": [
            {
                "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web-account"]}}],
                "to": [{"operation": {"ports": ["8080"]}}],
            }
        ],
    }


def test_istio_denies_nobody_whose_account_is_not_known():
    text = render_istio_policies(build_graph([call(WEB, API), call(workload("stranger"), API)]), FACTS)
    assert text == '# No policy for shop/api: "the accounts of shop/stranger are not known".\n'


@pytest.mark.parametrize("name", POLICY_FORMATS)
def test_every_policy_format_is_found_by_name(name):
    (policy,) = load_policies(render_policies(build_graph([call(WEB, API)]), name, FACTS))
    assert policy["metadata"]["name"] == "api-deployment-calls"


def test_an_unknown_policy_format_is_one_sentence():
    with pytest.raises(ConfigurationError, match="no policy format 'word'"):
        render_policies(build_graph([]), "word", FACTS)


@given(graphs, st.randoms(use_true_random=False))
def test_any_names_give_yaml_and_the_same_bytes_in_any_order(graph, random):
    ends = sorted({end for arrow in graph.arrows for end in (arrow.client, arrow.server)}, key=repr)
    facts = facts_of(*(deployment(end.name, end.namespace, end.kind) for end in ends if end.kind == "StatefulSet"))
    edges = [edge_of(arrow.client, arrow.server) for arrow in graph.arrows]
    both = [partial(render, direction="both") for render in (render_network_policies, render_cilium_policies)]
    for render in (*both, render_istio_policies):
        text = render(build_graph(edges), facts)
        assert render(build_graph(shuffled_and_repeated(edges, random)), facts) == text
        assert all(yaml.safe_dump(policy) for policy in load_policies(text))


def test_nothing_known_of_the_workloads_gives_no_policy():
    assert render_network_policies(build_graph(shop_edges()), KubeFacts(), direction="both") == ""
