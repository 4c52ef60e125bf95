"""The reading commands on an exported graph: what they print, and the exit code that a pipeline acts on."""

import json
import time

import msgspec
import pytest
from click.testing import CliRunner

from callgraph.errors import ConfigurationError, InputError, WhocallsError
from callgraph.records import Edge, Workload
from sink_exporter.graph import build_graph
from sink_exporter.render_json import render_json
from sink_exporter.render_yaml import render_yaml
from whocalls.command import whocalls
from whocalls.shop import shop_objects


def edge(client: str, server: str, port: int = 8080) -> Edge:
    def workload(name):
        return Workload(cluster="prod", namespace="shop", kind="Deployment", name=name)

    return Edge(
        client=workload(client),
        server=workload(server),
        server_port=port,
        network_transport="tcp",
        evidence=("syn",),
        first_seen=1,
        last_seen=2,
        observations=1,
    )


@pytest.fixture
def before(tmp_path):
    path = tmp_path / "before.yaml"
    path.write_text(render_yaml(build_graph([edge("web", "cart"), edge("cart", "db", 5432)])))
    return str(path)


@pytest.fixture
def after(tmp_path):
    path = tmp_path / "after.yaml"
    path.write_text(render_yaml(build_graph([edge("web", "cart"), edge("cart", "db", 5432), edge("web", "db", 5432)])))
    return str(path)


def run(*arguments):
    """Return what is printed, and the exit code or the error."""
    result = CliRunner().invoke(whocalls, arguments, standalone_mode=False)
    return result.stdout, result.exception or result.return_value


def test_list_prints_the_text_of_the_graph(before):
    assert run("list", "--input", before)[0] == (
        "cart in namespace shop calls:\n  - db\nweb in namespace shop calls:\n  - cart\n"
    )


def test_a_filter_keeps_the_calls_that_it_names(after):
    assert run("list", "--input", after, "--to", "db", "--from", "web")[0] == "web in namespace shop calls:\n  - db\n"


def test_an_empty_result_says_on_stderr_that_the_filter_is_why(after):
    result = CliRunner().invoke(whocalls, ["list", "--input", after, "--to", "nobody"], standalone_mode=False)
    assert (result.stdout, result.stderr) == ("", "no call passes the filters\n")


@pytest.fixture
def busy(tmp_path):
    """A graph with a call of DNS, seen at different times."""
    dns = msgspec.structs.replace(
        edge("web", "coredns", 53),
        server=Workload(cluster="prod", namespace="kube-system", kind="Deployment", name="coredns"),
        last_seen=time.time_ns(),
    )
    path = tmp_path / "busy.json"
    path.write_text(render_json(build_graph([edge("web", "cart"), dns])))
    return str(path)


def test_what_is_drawn_leaves_infrastructure_out_and_says_how_much(busy):
    result = CliRunner().invoke(whocalls, ["list", "--input", busy], standalone_mode=False)
    assert result.stdout == "web in namespace shop calls:\n  - cart\n"
    assert result.stderr == "1 calls of infrastructure are hidden (--infrastructure shows them)\n"
    assert "coredns" in run("list", "--input", busy, "--infrastructure")[0]


@pytest.mark.parametrize("name", ["yaml", "json", "jsonl", "csv", "clientintents"])
def test_what_is_read_again_holds_everything_unless_told_otherwise(busy, name):
    assert "coredns" in run("export", name, "--input", busy)[0]
    assert "coredns" not in run("export", name, "--input", busy, "--no-infrastructure")[0]


def test_since_keeps_what_was_seen_lately(busy):
    assert run("list", "--input", busy, "--infrastructure", "--since", "1h")[0] == (
        "web in namespace shop calls:\n  - coredns in namespace kube-system\n"
    )


def test_since_says_where_the_input_knows_no_times(after):
    result = CliRunner().invoke(whocalls, ["list", "--input", after, "--since", "1h"], standalone_mode=False)
    assert "web in namespace shop calls" in result.stdout
    assert "does not say when some calls were seen" in result.stderr


def test_show_names_callers_and_callees(after):
    text, _ = run("show", "cart", "--input", after)
    assert "is called by:\n    - shop/web (syn, 8080/TCP)" in text
    assert "calls:\n    - shop/db (syn, 5432/TCP)" in text


def test_showing_what_is_not_there_is_an_error_that_names_it(after):
    _, error = run("show", "ghost", "--input", after)
    assert isinstance(error, WhocallsError)
    assert "'ghost'" in str(error)


def test_why_gives_the_evidence_of_a_call(after):
    assert "ports: 5432/TCP" in run("why", "web", "db", "--input", after)[0]


def test_why_gives_the_evidence_to_programs_too(busy):
    (line,) = run("why", "web", "cart", "--input", busy, "-o", "jsonl")[0].splitlines()
    assert (json.loads(line)["via"], json.loads(line)["observations"]) == (["syn"], 1)


def test_diff_prints_the_new_call_and_returns_3(before, after):
    text, code = run("diff", before, after)
    assert "+ shop/web -> shop/db" in text
    assert code == 3


def test_diff_of_equal_graphs_prints_nothing_and_returns_0(before):
    assert run("diff", before, before) == ("", 0)


def test_gate_names_each_new_call_and_returns_3(before, after):
    assert run("gate", "--baseline", before, "--input", after) == ("shop/web -> shop/db\n", 3)


def test_gate_lets_pass_what_is_allowed(before, after, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text("shop/web -> shop/db  # agreed on\n")
    assert run("gate", "--baseline", before, "--input", after, "--allow", str(allowed)) == ("", 0)


def test_a_baseline_that_cannot_be_read_is_named(after):
    _, error = run("gate", "--baseline", "/nowhere/at/all", "--input", after)
    assert isinstance(error, InputError)
    assert "/nowhere/at/all" in str(error)


def deployment(name: str) -> dict:
    labels = {"app": f"{name}-pods"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def test_policy_drafts_take_their_selectors_from_the_objects(after, tmp_path):
    objects = tmp_path / "objects.json"
    items = [deployment(name) for name in ("web", "cart", "db")]
    objects.write_text(json.dumps({"kind": "List", "items": [*items, *shop_objects()["items"]]}))
    text, outcome = run("export", "networkpolicy", "--kube", str(objects), "--input", after)
    assert outcome is None
    assert "kind: NetworkPolicy" in text
    assert "db-pods" in text


def test_policy_drafts_without_objects_are_a_usage_error(after):
    _, error = run("export", "networkpolicy", "--input", after)
    assert isinstance(error, ConfigurationError)
    assert "--kube" in str(error)


def test_export_writes_to_a_file_whole(before, tmp_path):
    target = tmp_path / "graph.dot"
    assert run("export", "dot", "--input", before, "-O", str(target))[0] == ""
    assert target.read_text().startswith("digraph")
