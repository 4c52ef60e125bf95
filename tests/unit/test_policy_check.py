"""Policies held against the calls that were seen: what they would block, what nobody knows, what was never seen."""

import json

import pytest
from click.testing import CliRunner

from callgraph.records import ServiceRecord
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.graph_files import parse_graph
from sink_exporter.inventory_facts import facts_of_records
from sink_exporter.kube_facts import merge_facts
from sink_exporter.network_policy import render_network_policies
from sink_exporter.policy_check import check_policies
from sink_exporter.policy_report import render_policy_report
from sink_exporter.policy_rules import parse_policies
from stream_processor.object_files import read_objects
from stream_processor.settings import AttributionSettings
from tests.graphs import edge_of, workload
from tests.policy_evaluator import Pod, allows, load_policies
from tests.unit.test_policies import FACTS, STRIPE, call, deployment, facts_of, service
from whocalls.command import whocalls
from whocalls.offline import build_inventory
from whocalls.shop import CALLS, NAMESPACE, SERVICES
from whocalls.shop_traffic import write_shop_input

WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
ATTRIBUTION = AttributionSettings()


def ingress_policy(name, *rules, namespace="shop"):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{name}-calls", "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "ingress": list(rules)},
    }


def from_app(name, *ports):
    peers = {"from": [{"podSelector": {"matchLabels": {"app": name}}}]}
    return peers | ({"ports": [{"port": port} for port in ports]} if ports else {})


def report_of(edges, *policies, facts=FACTS, form="text"):
    parsed = parse_policies(json.dumps({"items": policies}).encode(), "it")
    return render_policy_report(check_policies(build_graph(edges), parsed, facts), form)


def test_policies_that_fit_the_calls_say_nothing():
    assert report_of([call(WEB, API)], ingress_policy("api", from_app("web", 8080))) == ""


def test_a_call_that_no_rule_allows_is_blocked_and_names_the_policy():
    assert report_of([call(WEB, API)], ingress_policy("api")) == (
        "blocked: shop/web -> shop/api (80/TCP): ingress by shop/api-calls\n"
    )


def test_the_port_of_a_service_is_tried_as_the_port_of_its_pods():
    assert report_of([call(WEB, API, 80)], ingress_policy("api", from_app("web", "http"))) == ""
    wrong = report_of([call(WEB, API, 80)], ingress_policy("api", from_app("web", 80)))
    assert wrong.startswith("blocked: shop/web -> shop/api (80/TCP)")


def test_a_port_that_may_mean_two_of_the_pods_is_open_where_one_is():
    facts = facts_of(deployment("web"), deployment("api"), service("api", port=8080, target=9090))
    for port in (8080, 9090):
        assert report_of([call(WEB, API, 8080)], ingress_policy("api", from_app("web", port)), facts=facts) == ""
    closed = report_of([call(WEB, API, 8080)], ingress_policy("api", from_app("web", 80)), facts=facts)
    assert closed.startswith("blocked: shop/web -> shop/api (8080/TCP)")


def test_both_ends_that_are_in_the_way_are_named():
    egress = ingress_policy("web") | {
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}
    }
    assert report_of([call(WEB, API)], ingress_policy("api"), egress) == (
        "blocked: shop/web -> shop/api (80/TCP): egress by shop/web-calls; ingress by shop/api-calls\n"
    )


def test_a_call_whose_port_is_not_known_is_blocked_only_where_no_port_is_open():
    assert report_of([edge_of(WEB, API)], ingress_policy("api", from_app("web", 9))) == ""
    assert report_of([edge_of(WEB, API)], ingress_policy("api")) == (
        "blocked: shop/web -> shop/api: ingress by shop/api-calls\n"
    )


def test_an_allowed_call_that_nobody_made_is_told():
    assert report_of([call(WEB, API)], ingress_policy("api", from_app("web"), from_app("api"), from_app("job"))) == ""
    facts = facts_of(deployment("web"), deployment("api"), deployment("job"))
    policy = ingress_policy("api", from_app("web"), from_app("job"))
    assert report_of([call(WEB, API)], policy, facts=facts) == (
        "never seen: shop/job -> shop/api: allowed by shop/api-calls\n"
    )


def test_an_allowed_port_that_nobody_used_is_told():
    assert report_of([call(WEB, API)], ingress_policy("api", from_app("web", 8080, 9090))) == (
        "never seen: shop/web -> shop/api (9090/TCP): allowed by shop/api-calls\n"
    )


def test_what_one_side_allows_and_the_other_forbids_is_not_allowed():
    facts = facts_of(deployment("web"), deployment("api"))
    closed = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}
    policies = [ingress_policy("api", from_app("web")), ingress_policy("web") | {"spec": closed}]
    assert report_of([], *policies, facts=facts) == ""


def test_dns_that_egress_allows_is_no_call_that_was_missed():
    coredns = deployment("coredns", "kube-system")
    coredns["spec"]["template"]["metadata"]["labels"]["k8s-app"] = "kube-dns"
    facts = facts_of(deployment("web"), deployment("api"), service("api"), coredns)
    text = render_network_policies(build_graph([call(WEB, API)]), FACTS, direction="egress")
    assert check_policies(build_graph([call(WEB, API)]), parse_policies(text.encode(), "it"), facts).unseen == ()


@pytest.mark.parametrize(
    ("client", "server", "reason"),
    [
        (workload("stranger"), API, "the labels of shop/stranger are not known"),
        (workload("agent", kind="DaemonSet"), API, "shop/agent is on the network of its host"),
    ],
)
def test_what_cannot_be_said_is_unclear_and_says_why(client, server, reason):
    facts = facts_of(deployment("api"), deployment("agent", kind="DaemonSet", hostNetwork=True))
    assert report_of([call(client, server)], ingress_policy("api"), facts=facts) == (
        f"unclear: {client.namespace}/{client.name} -> shop/api: {reason}\n"
    )


def test_a_name_outside_is_unclear_where_egress_is_isolated_and_open_else():
    closed = {"podSelector": {}, "policyTypes": ["Egress"]}
    assert report_of([call(WEB, STRIPE, 443)], ingress_policy("web")) == ""
    assert report_of([call(WEB, STRIPE, 443)], ingress_policy("web") | {"spec": closed}) == (
        "unclear: shop/web -> api.stripe.com: policies know addresses, not DNS names\n"
    )


def test_an_address_outside_is_allowed_by_its_network():
    address = workload("192.0.2.1", "", "External")
    spec = {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}], "policyTypes": ["Egress"]}
    assert report_of([call(WEB, address, 443)], ingress_policy("web") | {"spec": spec}) == ""


def test_every_workload_behind_a_service_must_be_reachable():
    front = workload("front", kind="Service")
    facts = facts_of(deployment("web"), deployment("api"), service("front", selects="api"))
    assert report_of([call(WEB, front)], ingress_policy("api", from_app("web", 8080)), facts=facts) == ""
    assert report_of([call(WEB, front)], ingress_policy("api"), facts=facts).startswith("blocked: shop/web -> shop/api")


def test_json_says_the_same_with_names_for_everything():
    edges = [call(WEB, API), call(WEB, DB)]
    policies = [ingress_policy("api"), ingress_policy("db", from_app("nobody"), namespace="data")]
    found = json.loads(report_of(edges, *policies, form="json"))
    web = {"namespace": "shop", "kind": "Deployment", "name": "web"}
    assert found["blocked"][0] == {
        "client": web,
        "server": {"namespace": "data", "kind": "StatefulSet", "name": "db"},
        "port": "80/TCP",
        "obstacles": [{"side": "ingress", "policies": ["data/db-calls"]}],
    }
    assert (len(found["blocked"]), found["unclear"], found["unseen"]) == (2, [], [])


def test_markdown_counts_and_lists():
    assert report_of([call(WEB, API)], ingress_policy("api"), form="markdown") == (
        "**Calls under these policies: 1 blocked**\n\n"
        "```text\nblocked: shop/web -> shop/api (80/TCP): ingress by shop/api-calls\n```\n"
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The graph of the demo's captures, and the facts of its objects."""
    made = write_shop_input(tmp_path_factory.mktemp("shop"))
    captures = [*map(str, made.captures.values()), *(f"proc:{tree}" for tree in made.proc_trees.values())]
    mapped = CliRunner().invoke(whocalls, ["map", *captures, "--kube", str(made.objects), "-o", "json"])
    objects = read_objects(str(made.objects), cluster="demo", attribution=ATTRIBUTION).objects
    inventory = build_inventory(objects, ATTRIBUTION, cluster="demo").cluster("demo")
    pods = [(inventory.workload(one), one) for one in inventory.pods]
    services = [one for one in objects if isinstance(one, ServiceRecord)]
    return parse_graph(mapped.stdout_bytes, "the map"), facts_of_records(pods, services)


def shop_pod(name):
    return Pod(NAMESPACE, {"app": name, "pod-template-hash": "x"})


def shop_port(name, facts):
    ports = [one for one in facts.services.items() if one[0] == (NAMESPACE, name)]
    return ports[0][1].ports[0].target


@pytest.mark.parametrize("direction", ["ingress", "egress", "both"])
def test_the_drafts_for_the_demo_shop_allow_every_call_and_block_every_other(shop, direction):
    graph, facts = shop
    policies = load_policies(render_network_policies(graph, facts, direction=direction))
    called = {(client, server) for client, servers in CALLS.items() for server in servers}
    assert {(arrow.client.name, arrow.server.name) for arrow in graph.calls} == called
    opened = {
        (client, one.name)
        for client in ("loadgenerator", *(one.name for one in SERVICES))
        for one in SERVICES
        if client != one.name and allows(policies, shop_pod(client), shop_pod(one.name), shop_port(one.name, facts))
    }
    # Where egress alone is drafted, a workload that never called stays open: nothing is known of what it needs.
    silent = {name for name in (*CALLS, *(one.name for one in SERVICES)) if name not in CALLS}
    beyond = {pair for pair in opened - called if direction != "egress" or pair[0] not in silent}
    assert called - opened == set()
    # Nobody calls the load generator, so ingress is drafted for all that have a Service.
    assert beyond == set()
    assert not allows(policies, shop_pod("loadgenerator"), shop_pod("frontend"), 9)


def test_our_own_rules_say_the_same_of_the_drafts_for_the_demo_shop(shop):
    graph, facts = shop
    drafts = parse_policies(render_network_policies(graph, facts, direction="both").encode(), "it")
    assert not check_policies(graph, drafts, facts)
    less = CallGraph(calls=graph.calls[1:])
    assert len(check_policies(less, drafts, facts).unseen) == 1
    assert len(check_policies(graph, drafts, merge_facts(facts, FACTS)).blocked) == 0
