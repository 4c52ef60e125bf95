"""What differs between two graphs, and the gate on new calls."""

import json

import pytest
from hypothesis import given

from callgraph.errors import ConfigurationError, InputError
from sink_exporter.difference import DIFFERENCE_FORMS, Difference, compare_graphs, describe_arrows, render_difference
from sink_exporter.gate import AllowedCall, find_new_calls, parse_allowed_calls
from sink_exporter.graph import CallGraph, assemble_graph, build_graph
from tests.graphs import edge_of, graph_of, graphs, workload

WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
STRIPE = workload("api.stripe.com", "", "External")
BEFORE = graph_of((WEB, API), (WEB, DB))
AFTER = build_graph(
    [
        edge_of(WEB, API),
        edge_of(WEB, API, server_port=80, network_transport="tcp", evidence=("syn",)),
        edge_of(WEB, STRIPE, server_port=443, network_transport="tcp"),
    ]
)


def test_a_difference_is_a_line_for_each_call():
    assert render_difference(compare_graphs(BEFORE, AFTER), "text") == (
        "+ shop/web -> api.stripe.com (dns, 443/TCP)\n"
        "- shop/web -> data/db (dns)\n"
        "~ shop/web -> shop/api: +syn +80/TCP\n"
    )


def test_markdown_is_a_diff_that_no_name_can_leave():
    text = render_difference(compare_graphs(CallGraph(), graph_of((WEB, workload("```\nx")))), "markdown")
    assert text == "**Calls: 1 new**\n\n``````diff\n+ shop/web -> shop/```\\nx (dns)\n``````\n"


def test_json_carries_whole_arrows():
    document = json.loads(render_difference(compare_graphs(BEFORE, AFTER), "json"))
    assert [arrow["server"]["name"] for arrow in document["added"]] == ["api.stripe.com"]
    assert document["changed"][0]["after"]["ports"] == ["80/TCP"]


def test_what_changes_by_itself_is_no_difference():
    later = build_graph([edge_of(WEB, API, last_seen=9, observations=7, nodes=("n",)), edge_of(WEB, DB)])
    assert not compare_graphs(BEFORE, later)


def test_a_workload_that_changed_its_kind_is_told_apart():
    text = render_difference(compare_graphs(graph_of((WEB, API)), graph_of((workload("web", kind="Job"), API))), "text")
    assert text == "+ shop/web (Job) -> shop/api (dns)\n- shop/web (Deployment) -> shop/api (dns)\n"


def test_the_cluster_is_said_when_there_are_several():
    assert describe_arrows(graph_of((WEB, workload("api", cluster="d"))).arrows) == ["c/shop/web -> d/shop/api"]


def test_no_difference_is_no_text():
    assert [render_difference(Difference(), form) for form in DIFFERENCE_FORMS] == [
        "",
        '{"added":[],"removed":[],"changed":[]}\n',
        "",
    ]


def test_an_unknown_form_is_one_sentence():
    with pytest.raises(ConfigurationError, match="'word'"):
        render_difference(Difference(), "word")


@given(graphs, graphs)
def test_a_difference_leads_from_one_graph_to_the_other(before, after):
    difference = compare_graphs(before, after)
    gone = {*difference.removed, *(one.before for one in difference.changed)}
    come = (*difference.added, *(one.after for one in difference.changed))
    patched = assemble_graph((*(arrow for arrow in before.arrows if arrow not in gone), *come))
    assert not compare_graphs(patched, after)


@given(graphs, graphs)
def test_a_difference_turned_around_is_the_opposite(before, after):
    there, back = compare_graphs(before, after), compare_graphs(after, before)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert len(there.changed) == len(back.changed)


@given(graphs)
def test_a_graph_does_not_differ_from_itself(graph):
    assert not compare_graphs(graph, graph)


def test_the_gate_stops_new_calls_only():
    assert [arrow.server for arrow in find_new_calls(BEFORE, AFTER)] == [STRIPE]
    assert find_new_calls(BEFORE, BEFORE) == ()


def test_the_gate_lets_pass_what_is_allowed():
    allowed = parse_allowed_calls("# payments\nshop/* -> *.stripe.com  # the bank\n\n", "it")
    assert allowed == (AllowedCall(client="shop/*", server="*.stripe.com"),)
    assert find_new_calls(BEFORE, AFTER, allowed) == ()
    assert find_new_calls(BEFORE, AFTER, parse_allowed_calls("other/* -> *", "it"))


@pytest.mark.parametrize("line", ["shop/web", "-> a", "a ->", "a -> b -> c"])
def test_what_is_no_rule_is_named_with_its_line(line):
    with pytest.raises(InputError, match="line 2 of it"):
        parse_allowed_calls(f"a -> b\n{line}\n", "it")
