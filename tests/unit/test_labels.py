"""Labels of workloads: columns of tables, and what a graph is grouped by."""

import json

import pytest
from click.testing import CliRunner

from callgraph.errors import ConfigurationError
from sink_exporter.formats import FORMATS, render_graph
from sink_exporter.graph import build_graph
from sink_exporter.labels import LabelColumns, group_by_label
from sink_exporter.render_csv import render_csv
from sink_exporter.render_wide import render_wide
from sink_exporter.render_yaml import render_yaml
from tests.graphs import edge_of, graph_of, workload
from tests.unit.test_policies import deployment
from whocalls.command import whocalls

WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
STRIPE = workload("api.stripe.com", "", "External")
TEAMS = {WEB: {"team": "front"}, API: {"team": "front"}, DB: {"team": "data"}}
GRAPH = graph_of((WEB, API), (WEB, DB), (API, DB), (WEB, STRIPE))


def labels_of(one):
    return TEAMS.get(one, {})


def test_a_group_stands_for_its_workloads_and_calls_within_it_are_left_out():
    grouped = group_by_label(GRAPH, "team", labels_of)
    assert render_graph(grouped, "text") == (
        "front (team) calls:\n  - data\n\nfront (team) calls outside the cluster:\n  - api.stripe.com\n"
    )


def test_what_has_no_such_label_stays_itself():
    grouped = group_by_label(
        graph_of((WEB, workload("other")), (workload("other"), workload("other"))), "team", labels_of
    )
    assert [(one.client.name, one.server.name) for one in grouped.calls] == [("other", "other"), ("front", "other")]


def test_the_evidence_of_a_group_is_that_of_all_its_calls():
    edges = [
        edge_of(WEB, DB, server_port=80, network_transport="tcp", first_seen=5, last_seen=6, observations=1),
        edge_of(API, DB, evidence=("syn",), first_seen=2, last_seen=9, observations=2),
    ]
    (arrow,) = group_by_label(build_graph(edges), "team", labels_of).calls
    assert (arrow.via, arrow.ports, arrow.first_seen, arrow.last_seen) == (("dns", "syn"), ("80/TCP",), 2, 9)
    assert arrow.observations == 3


@pytest.mark.parametrize("name", FORMATS)
def test_a_grouped_graph_can_be_written_in_every_format(name):
    assert "front" in render_graph(group_by_label(GRAPH, "team", labels_of), name)


def test_labels_stand_in_columns_of_their_own():
    columns = LabelColumns(keys=("team", "tier"), labels_of=labels_of)
    header, *rows = render_csv(graph_of((WEB, DB), (WEB, STRIPE)), columns).splitlines()
    assert header.endswith(",client_label_team,client_label_tier,server_label_team,server_label_tier")
    assert [row.split(",")[-4:] for row in rows] == [["front", "", "data", ""], ["front", "", "", ""]]


def test_the_wide_table_has_a_row_for_each_call_and_a_part_for_those_to_outside():
    edges = [
        edge_of(WEB, DB, server_port=80, network_transport="tcp", evidence=("dns", "syn"), last_seen=1_500_000_000),
        edge_of(API, STRIPE),
    ]
    assert render_wide(build_graph(edges), LabelColumns(keys=("team",), labels_of=labels_of)) == (
        "CLIENT    SERVER   PORTS   VIA      LAST SEEN             CLIENT team  SERVER team\n"
        "shop/web  data/db  80/TCP  dns,syn  1970-01-01T00:00:01Z  front        data\n"
        "\n"
        "CLIENT    OUTSIDE THE CLUSTER  PORTS  VIA  LAST SEEN             CLIENT team  SERVER team\n"
        "shop/api  api.stripe.com       -      dns  1970-01-01T00:00:00Z  front        -\n"
    )


@pytest.fixture
def files(tmp_path):
    (tmp_path / "seen.yaml").write_text(render_yaml(GRAPH))
    items = [deployment("web"), deployment("api"), deployment("db", "data", "StatefulSet")]
    (tmp_path / "objects.json").write_text(json.dumps({"items": items}))
    return ["--input", str(tmp_path / "seen.yaml")], ["--kube", str(tmp_path / "objects.json")]


def run(*arguments):
    result = CliRunner().invoke(whocalls, arguments, standalone_mode=False)
    return result.stdout, result.exception


def test_list_takes_labels_from_the_objects(files):
    source, kube = files
    row = "shop/web  data/db   -      dns  -          web         db\n"
    assert row in run("list", "-o", "wide", "-L", "app", *source, *kube)[0]
    assert run("list", "--group-by", "app", "--no-external", *source, *kube)[0] == (
        "api (app) calls:\n  - db\nweb (app) calls:\n  - api\n  - db\n"
    )


def test_labels_without_objects_are_a_usage_error_that_names_the_remedy(files):
    _, error = run("list", "--group-by", "app", *files[0])
    assert isinstance(error, ConfigurationError)
    assert "--kube" in str(error)


def test_labels_are_refused_where_there_are_no_columns(files):
    source, kube = files
    assert isinstance(run("list", "-L", "app", *source, *kube)[1], ConfigurationError)
    assert isinstance(run("export", "networkpolicy", "-L", "app", *source, *kube)[1], ConfigurationError)
