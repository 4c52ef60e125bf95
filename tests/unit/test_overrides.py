"""What people add, leave out and rename."""

from datetime import date

import pytest
from hypothesis import given

from callgraph.errors import InputError
from sink_exporter.formats import FORMATS, render_graph
from sink_exporter.graph import CallGraph
from sink_exporter.graph_files import merge_graphs, parse_graph
from sink_exporter.overrides import Overrides, amend_graph, parse_overrides
from sink_exporter.render_text import render_text
from sink_exporter.render_yaml import render_yaml
from tests.graphs import graph_of, graphs, workload

TODAY = date(2026, 6, 1)
WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
SCRAPER = workload("prometheus", "monitoring", "StatefulSet")
GRAPH = graph_of((WEB, API), (API, DB), (SCRAPER, API))


def amend(text, graph=GRAPH, today=TODAY):
    return amend_graph(graph, parse_overrides(text.encode(), "it"), today)


def test_an_added_call_is_marked():
    amended = amend("add:\n  - {from: shop/web, to: data/db, ports: [5432/TCP], reason: nightly}\n")
    assert "web in namespace shop calls:\n  - api\n  - db in namespace data (added by hand)\n" in render_text(
        amended.graph
    )
    assert (
        "      - name: db\n        namespace: data\n        kind: StatefulSet\n"
        "        source: manual\n        ports: [5432/TCP]\n"
    ) in render_yaml(amended.graph)


def test_an_added_call_survives_every_reading():
    graph = amend("add:\n  - {from: shop/web, to: api.stripe.com}\n", CallGraph()).graph
    for name in ("yaml", "json", "jsonl"):
        assert parse_graph(render_graph(graph, name).encode(), "it") == graph


def test_an_added_call_that_was_seen_is_no_longer_marked_and_is_reported():
    amended = amend("add:\n  - {from: shop/web, to: shop/api, ports: [9/TCP]}\n")
    assert amended.graph == GRAPH
    assert amended.now_seen == ("shop/web -> shop/api",)


def test_a_place_may_name_its_kind_and_a_name_without_a_slash_is_outside():
    (arrow,) = amend("add:\n  - {from: batch/CronJob/report, to: api.stripe.com}\n", CallGraph()).graph.external
    assert (arrow.client.kind, arrow.server.kind, arrow.client.cluster) == ("CronJob", "External", "default")


def test_of_several_kinds_the_first_is_meant_unless_one_is_named():
    graph = graph_of((workload("web", kind="Job"), API), (WEB, API))
    added = [arrow for arrow in amend("add:\n  - {from: shop/web, to: data/db}\n", graph).graph.calls if arrow.manual]
    assert [arrow.client for arrow in added] == [WEB]


def test_ignored_calls_are_gone_and_an_idle_entry_is_reported():
    amended = amend('ignore:\n  - {from: "monitoring/*", to: "*"}\n  - {from: nobody, to: "*"}\n')
    assert {arrow.client for arrow in amended.graph.arrows} == {WEB, API}
    assert amended.ignored_gone == ("nobody -> *",)


def test_a_renamed_workload_is_renamed_at_both_ends():
    amended = amend("rename:\n  - {from: shop/api, to: backend}\n")
    assert render_text(amended.graph) == (
        "prometheus in namespace monitoring calls:\n  - backend in namespace shop\n"
        "backend in namespace shop calls:\n  - db in namespace data\n"
        "web in namespace shop calls:\n  - backend\n"
    )


def test_two_workloads_renamed_to_one_are_one():
    graph = graph_of((workload("api-v1"), DB), (workload("api-v2"), DB))
    amended = amend("rename:\n  - {from: shop/api-v1, to: api}\n  - {from: shop/api-v2, to: api}\n", graph)
    assert [arrow.client for arrow in amended.graph.arrows] == [API]


OWNED = "owner:\n  - {of: shop/web, owner: team-web, until: 2026-06-01}\n  - {of: 'shop/*', owner: team-shop}\n"


def test_a_workload_is_owned_by_the_first_entry_that_fits():
    owned = amend(OWNED + "  - {of: prometheus, owner: team-metrics}\n").graph
    assert owned.owners == {WEB: "team-web", API: "team-shop", SCRAPER: "team-metrics"}
    assert "  - name: web\n    kind: Deployment\n    owner: team-web\n    calls:\n" in render_yaml(owned)


def test_an_ownership_ends_after_its_day_as_any_entry_does():
    later = amend(OWNED, today=date(2026, 6, 2))
    assert later.graph.owners[WEB] == "team-shop"
    assert later.expired == ("shop/web: team-web",)


@pytest.mark.parametrize("name", ["yaml", "json"])
def test_owners_survive_every_reading(name):
    graph = amend("owner:\n  - {of: shop/web, owner: 'yes'}\n").graph
    back = parse_graph(render_graph(graph, name).encode(), "it")
    assert back.owners == graph.owners
    assert merge_graphs([back, CallGraph()]).owners == graph.owners


def test_a_component_of_backstage_has_its_owner():
    assert "spec:\n  owner: team-shop\n  dependsOn:\n" in render_graph(amend(OWNED).graph, "backstage")


def test_an_entry_ends_after_its_day():
    text = "add:\n  - {from: shop/web, to: data/db, until: 2026-06-01}\n"
    assert len(amend(text).graph.arrows) == 4
    later = amend(text, today=date(2026, 6, 2))
    assert later.graph == GRAPH
    assert later.expired == ("shop/web -> data/db",)


@pytest.mark.parametrize(
    "text",
    [
        *("add: 1", "adds: []", "- x", "a: [", "add:\n  - {from: a/b}", "add:\n  - {from: a/b, to: c/d, port: 1}"),
        *("add:\n  - {from: a/b/c/d, to: c}", "add:\n  - {from: a/b, to: c, until: soon}", "until: 2026-13-45"),
        *("add:\n  - {from: a/b, to: c, ports: [http]}", "owner:\n  - {of: a, owner: ''}", "owner:\n  - {from: a}"),
    ],
)
def test_what_is_no_list_of_overrides_is_refused_in_one_sentence(text):
    with pytest.raises(InputError, match="it does not say what to override") as refused:
        parse_overrides(text.encode(), "it")
    assert "\n" not in str(refused.value)


def test_an_empty_file_asks_for_nothing():
    assert parse_overrides(b"# nothing yet\n", "it") == Overrides()


@given(graphs)
def test_no_overrides_change_nothing(graph):
    assert amend_graph(graph, Overrides(), TODAY).graph == graph


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_a_call_that_was_never_seen(name):
    assert render_graph(amend("add:\n  - {from: shop/web, to: data/db}\n").graph, name)


def test_an_edge_that_was_seen_wins_over_the_added_one():
    added = amend("add:\n  - {from: shop/web, to: data/db}\n").graph
    seen = graph_of((WEB, API), (API, DB), (SCRAPER, API), (WEB, DB))
    assert amend("add:\n  - {from: shop/web, to: data/db}\n", seen).graph == seen
    assert added != seen
