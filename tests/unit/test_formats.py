"""Every format: the same edges give the same bytes, one more edge its lines and no others, and each is well formed."""

import csv
import io
import json
import re
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from callgraph.errors import ConfigurationError
from sink_exporter.client_intents import list_intents
from sink_exporter.formats import FORMATS, are_tracked, render_graph
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.layout import file_name, lay_out
from sink_exporter.render_csv import COLUMNS
from sink_exporter.render_mermaid import MOST_ARROWS
from sink_exporter.workload_ids import path_of
from tests.graphs import HOSTILE, edge_lists, edge_of, graph_of, graphs, shop_edges, shuffled_and_repeated, workload

every_format = pytest.mark.parametrize("name", FORMATS)
WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
STRIPE = workload("api.stripe.com", "", "External")


@every_format
@given(some=edge_lists, random=st.randoms(use_true_random=False))
def test_shuffled_and_repeated_edges_give_the_same_bytes(name, some, random):
    again = build_graph(shuffled_and_repeated(some, random))
    assert render_graph(again, name).encode() == render_graph(build_graph(some), name).encode()


@every_format
def test_one_more_edge_takes_no_line_away(name):
    edges = shop_edges()
    more = edge_of(workload("zz", edges[0].client.namespace), edges[0].server)
    before, after = (render_graph(build_graph(some), name).splitlines() for some in (edges, [*edges, more]))
    lost = [line for line in before if line.rstrip(",") not in {other.rstrip(",") for other in after}]
    assert lost == []
    assert len(after) > len(before)


@pytest.mark.parametrize("name", [name for name, chosen in FORMATS.items() if chosen.tracked])
def test_a_tracked_format_holds_nothing_that_changes_by_itself(name):
    before = [edge_of(WEB, API, last_seen=1, observations=3, nodes=("n1",))]
    after = [replace(before[0], last_seen=9, observations=10, nodes=("n1", "n2"), exemplars=("t/0/1",))]
    assert render_graph(build_graph(before), name) == render_graph(build_graph(after), name)


@every_format
def test_an_empty_graph_can_be_written(name):
    text = render_graph(CallGraph(), name)
    assert text == "" or text.endswith("\n")


@every_format
@given(graph=graphs)
def test_no_name_breaks_a_line_or_moves_a_cursor(name, graph):
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", render_graph(graph, name)) is None


def test_an_unknown_format_is_one_sentence():
    with pytest.raises(ConfigurationError, match="no export format 'word'"):
        render_graph(CallGraph(), "word")
    with pytest.raises(ConfigurationError, match="no export format 'word'"):
        are_tracked(["json", "word"])


def test_csv_has_a_row_for_each_port():
    graph = build_graph(
        [edge_of(WEB, DB, server_port=port, network_transport="tcp", evidence=("dns", "syn")) for port in (5432, 80)]
    )
    assert render_graph(graph, "csv") == (
        "client_namespace,client_name,client_kind,server_namespace,server_name,server_kind,"
        "port,protocol,sources,client_cluster,server_cluster\n"
        "shop,web,Deployment,data,db,StatefulSet,80,TCP,dns syn,c,c\n"
        "shop,web,Deployment,data,db,StatefulSet,5432,TCP,dns syn,c,c\n"
    )


@given(graphs)
def test_csv_rows_are_never_formulas_and_all_of_one_length(graph):
    rows = list(csv.reader(io.StringIO(render_graph(graph, "csv"))))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@given(graphs)
def test_graphml_is_xml_with_every_arrow(graph):
    root = ET.fromstring(render_graph(graph, "graphml"))
    space = "{http://graphml.graphdrawing.org/xmlns}"
    edges = [(edge.get("source"), edge.get("target")) for edge in root.iter(f"{space}edge")]
    assert edges == [(path_of(arrow.client), path_of(arrow.server)) for arrow in graph.arrows]
    nodes = [node.get("id") for node in root.iter(f"{space}node")]
    assert len(nodes) == len(set(nodes))
    assert {end for edge in edges for end in edge} == set(nodes)


def test_dot_draws_a_box_for_each_namespace():
    assert (
        render_graph(graph_of((WEB, API), (WEB, DB)), "dot")
        == """\
digraph calls {
  rankdir=LR;
  node [shape=box];
  subgraph "cluster_c/data" {
    label="data";
    "c/data/StatefulSet/db" [label="db"];
  }
  subgraph "cluster_c/shop" {
    label="shop";
    "c/shop/Deployment/api" [label="api"];
    "c/shop/Deployment/web" [label="web"];
  }
  "c/shop/Deployment/web" -> "c/shop/Deployment/api";
  "c/shop/Deployment/web" -> "c/data/StatefulSet/db";
}
"""
    )


@given(graphs)
def test_dot_strings_end_where_they_should(graph):
    string = r'"(?:[^"\\]|\\["\\])*"'
    rest = re.sub(string, "S", render_graph(graph, "dot"))
    assert set(rest.splitlines()) <= {
        *("digraph calls {", "  rankdir=LR;", "  node [shape=box];", "  subgraph S {", "    label=S;"),
        *("    S [label=S];", "  }", "  S -> S;", "}"),
    }


def test_mermaid_draws_workloads_in_their_namespaces():
    text = render_graph(graph_of((WEB, API), (WEB, STRIPE)), "mermaid")
    assert (
        re.sub(r"n[0-9a-f]{12}", "ID", text)
        == """\
flowchart LR
  subgraph ID["outside the cluster"]
    ID["api.stripe.com"]
  end
  subgraph ID["shop"]
    ID["api"]
    ID["web"]
  end
  ID --> ID
  ID --> ID
"""
    )


def test_mermaid_draws_namespaces_when_there_is_too_much():
    pairs = [(workload(f"a{number}", f"n{number % 3}"), DB) for number in range(MOST_ARROWS + 1)]
    lines = render_graph(graph_of(*pairs), "mermaid").splitlines()
    assert lines[1] == (
        "  %% 101 calls of 102 workloads, too many to draw: 3 of 3 pairs of namespaces, "
        "with the number of calls between workloads"
    )
    assert [line.split("|")[1] for line in lines if "-->" in line] == ["34", "34", "33"]


def test_mermaid_never_holds_more_arrows_than_can_be_drawn():
    pairs = [(workload("a", f"n{number}"), workload("b", f"m{number}")) for number in range(700)]
    text = render_graph(graph_of(*pairs), "mermaid")
    assert text.count("-->") == MOST_ARROWS
    assert len(text) < 50_000


@given(graphs)
def test_mermaid_labels_hold_no_markup(graph):
    for label in re.findall(r"\[(.*)\]", render_graph(graph, "mermaid")):
        assert re.fullmatch(r'"(?:[A-Za-z0-9 ._/:-]|#[0-9]+;)+"', label)


def test_client_intents_name_targets_elsewhere_with_their_namespace():
    kubernetes = workload("kubernetes", "default", "Service")
    graph = build_graph(
        [
            edge_of(WEB, API),
            edge_of(WEB, DB),
            edge_of(WEB, kubernetes),
            edge_of(WEB, STRIPE, server_port=443, network_transport="tcp"),
            edge_of(WEB, workload("192.0.2.1", "", "External")),
        ]
    )
    assert (
        render_graph(graph, "clientintents")
        == """\
apiVersion: k8s.otterize.com/v2beta1
kind: ClientIntents
metadata:
  name: web
  namespace: shop
spec:
  workload:
    name: web
    kind: Deployment
  targets:
    - kubernetes:
        name: api
        kind: Deployment
    - kubernetes:
        name: db.data
        kind: StatefulSet
    - service:
        name: kubernetes.default
    - internet:
        ips: ["192.0.2.1"]
    - internet:
        domains: [api.stripe.com]
        ports: [443]
"""
    )


def test_client_intents_of_two_workloads_of_one_name_do_not_overwrite_each_other():
    graph = graph_of((WEB, API), (workload("web", kind="CronJob"), API), (workload("web", "other"), API))
    assert [(one.workload.namespace, one.name) for one in list_intents(graph)] == [
        ("other", "web"),
        ("shop", "web-cronjob"),
        ("shop", "web-deployment"),
    ]


def test_a_dot_in_a_name_does_not_become_a_namespace():
    (intents,) = list_intents(graph_of((WEB, workload("a.b", "data"))))
    assert intents.targets[0].kubernetes.name == "a_b.data"


def test_a_server_in_another_cluster_is_said_not_to_be_said():
    text = render_graph(graph_of((WEB, workload("far", cluster="d"))), "clientintents")
    assert "# Also calls d/shop/far, in another cluster" in text
    assert yaml.safe_load(text)["spec"]["targets"] == []
    assert yaml.safe_load(text)["metadata"]["annotations"] == {"whocalls.dev/cluster": "c"}


INTENTS_SCHEMA = {
    # From the fields of ClientIntents in otterize/intents-operator, api/v2beta1.
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "k8s.otterize.com/v2beta1"},
        "kind": {"const": "ClientIntents"},
        "metadata": {"type": "object", "required": ["name", "namespace"]},
        "status": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"upToDate": {"type": "boolean"}, "observedGeneration": {"type": "integer"}},
        },
        "spec": {
            "type": "object",
            "required": ["workload", "targets"],
            "additionalProperties": False,
            "properties": {
                "workload": {"$ref": "#/$defs/named"},
                "targets": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": False,
                        "properties": {
                            "kubernetes": {"$ref": "#/$defs/named"},
                            "service": {"$ref": "#/$defs/service"},
                            "internet": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {
                                    "domains": {"type": "array", "items": {"type": "string"}},
                                    "ips": {"type": "array", "items": {"type": "string"}},
                                    "ports": {"type": "array", "items": {"type": "integer"}},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
    "$defs": {
        "service": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}},
        },
        "named": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "kind": {"type": "string"}},
        },
    },
}


@given(graphs)
def test_client_intents_have_the_fields_of_the_resource(graph):
    for document in yaml.safe_load_all(render_graph(graph, "clientintents")):
        if document:
            jsonschema.validate(document, INTENTS_SCHEMA)
    for document in json.loads(render_graph(graph, "clientintents-json")):
        jsonschema.validate(document, INTENTS_SCHEMA)


@given(graphs)
def test_client_intents_are_yaml_with_every_call(graph):
    documents = list(yaml.safe_load_all(render_graph(graph, "clientintents")))
    documents = [document for document in documents if document]
    targets = sum(len(document["spec"]["targets"]) for document in documents)
    near = [a for a in graph.arrows if a.server.kind == "External" or a.server.cluster == a.client.cluster]
    assert targets == len(near)
    assert all(len(target) == 1 for document in documents for target in document["spec"]["targets"])


def test_an_export_lays_out_a_file_for_each_namespace_and_format():
    files = lay_out(graph_of((WEB, API), (workload("a", "other"), DB)), ("yaml", "text", "dot"))
    assert sorted(files) == ["callgraph.dot", "callgraph.txt", "namespaces/other.yaml", "namespaces/shop.yaml"]


def test_a_namespace_of_two_clusters_has_one_file_with_two_documents():
    graph = graph_of((WEB, API), (workload("web", cluster="d"), workload("api", cluster="d")))
    documents = list(yaml.safe_load_all(lay_out(graph, ("yaml",))["namespaces/shop.yaml"]))
    assert [document["metadata"]["cluster"] for document in documents] == ["c", "d"]


def test_long_namespaces_that_begin_alike_have_files_of_their_own():
    assert len({file_name("x" * 200 + ending) for ending in "ab"}) == 2


@given(st.sampled_from(HOSTILE) | st.text(max_size=300))
def test_no_namespace_leaves_its_folder(namespace):
    assert re.fullmatch(r"[a-z0-9A-F%-]{1,190}", file_name(namespace))
    assert ".." not in file_name(namespace)


@given(st.lists(st.sampled_from(HOSTILE) | st.text(), unique=True))
def test_no_two_namespaces_share_a_file_even_without_case(namespaces):
    assert len({file_name(namespace).lower() for namespace in namespaces}) == len(namespaces)


def test_backstage_gets_references_and_comments_for_what_it_has_no_words_for():
    graph = graph_of((WEB, API), (WEB, DB), (WEB, STRIPE), (WEB, workload("x", "A b")), (workload("-x"), API))
    assert (
        render_graph(graph, "backstage")
        == """\
# shop/-x, a name that Backstage does not take, calls "component:shop/api".
---
# shop/web calls api.stripe.com, outside the cluster.
# shop/web calls "A b/x", a name that Backstage does not take.
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: web
  namespace: shop
spec:
  dependsOn:
    - "component:data/db"
    - "component:shop/api"
"""
    )


@given(graphs)
def test_backstage_snippets_are_yaml_with_references_that_backstage_takes(graph):
    for document in yaml.safe_load_all(render_graph(graph, "backstage")):
        for reference in document["spec"]["dependsOn"] if document else ():
            assert re.fullmatch(
                r"component:[a-z0-9]([a-z0-9-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", reference
            )
