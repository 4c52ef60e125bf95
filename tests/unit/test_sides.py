"""What the sides of a comparison may be: graphs, intents and policies, in files, folders and revisions."""

import json
import subprocess

import pytest
from click.testing import CliRunner

from callgraph.errors import ConfigurationError, InputError
from sink_exporter.client_intents import render_client_intents
from sink_exporter.graph import build_graph
from sink_exporter.layout import lay_out
from sink_exporter.render_yaml import render_yaml
from tests.graphs import edge_of, graph_of, workload
from tests.unit.test_policies import call, deployment
from whocalls.command import whocalls
from whocalls.sides import choose_paths, is_time

WEB, API, DB = workload("web"), workload("api"), workload("db", "data", "StatefulSet")
STRIPE = workload("api.stripe.com", "", "External")
BEFORE, AFTER = graph_of((WEB, API)), graph_of((WEB, API), (API, DB))


def run(*arguments, color=None):
    """Return what is printed, and the exit code or the error."""
    result = CliRunner().invoke(whocalls, arguments, standalone_mode=False, color=color)
    return result.stdout, result.exception or result.return_value


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_export(folder, graph):
    for name, content in lay_out(graph, ("yaml", "text", "clientintents")).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def commit(folder, text):
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
    if not (folder / ".git").exists():
        subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", text], check=True)


ADDED = "+ shop/api -> data/db (dns)\n"


def test_a_revision_is_compared_with_the_folder_of_today(here):
    write_export(here / "callgraph", BEFORE)
    commit(here, "one")
    write_export(here / "callgraph", AFTER)
    assert run("diff", "git:HEAD:callgraph", "callgraph") == (ADDED, 3)
    commit(here, "two")
    assert run("diff", "HEAD~1:callgraph", "HEAD:callgraph") == (ADDED, 3)
    assert run("diff", "HEAD:callgraph", "callgraph") == ("", 0)


def test_a_revision_may_name_one_file(here):
    write_export(here, BEFORE)
    commit(here, "one")
    assert run("diff", "HEAD:namespaces/shop.yaml", "namespaces")[1] == 0


@pytest.mark.parametrize("name", ["git:HEAD:nothing", "git:nothing:callgraph", "git:HEAD", "git:--help:x"])
def test_a_revision_that_is_not_there_is_one_sentence(here, name):
    write_export(here, BEFORE)
    commit(here, "one")
    _, error = run("diff", name, ".")
    assert isinstance(error, InputError)
    assert "\n" not in str(error)
    assert name.removeprefix("git:") in str(error)


@pytest.mark.usefixtures("here")
def test_a_folder_outside_of_any_repository_is_said_to_be_so():
    _, error = run("diff", "git:HEAD:x", ".")
    assert "not a git repository" in str(error)


@pytest.mark.usefixtures("here")
def test_a_word_that_means_nothing_is_answered_with_what_there_is():
    _, error = run("diff", "nowhere", ".")
    assert isinstance(error, InputError)
    assert "git:REVISION:PATH" in str(error)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        *(("2h", True), ("2026-01-31T12:00:00Z", True), ("7d..1d", True), ("1d..", True)),
        *(("HEAD:x", False), ("live", False), ("..", False), ("2h..x", False), ("", False)),
    ],
)
def test_a_time_or_two_are_told_from_other_words(text, means):
    assert is_time(text) is means


def test_a_folder_is_read_for_its_objects_and_an_export_for_its_graph():
    assert choose_paths(["b.yaml", "a/c.yml", ".whocalls/manifest.json", "x.txt"]) == ["a/c.yml", "b.yaml"]
    assert choose_paths(["overrides.yaml", "namespaces/a.yaml", "callgraph.json"]) == ["namespaces/a.yaml"]


def test_declared_intents_are_compared_by_who_calls_whom(here):
    (here / "intents").mkdir()
    (here / "intents" / "web.yaml").write_text(render_client_intents(BEFORE))
    (here / "seen.yaml").write_text(render_yaml(AFTER))
    assert run("diff", "intents", "seen.yaml") == (ADDED, 3)
    assert run("diff", "seen.yaml", "intents") == ("- shop/api -> data/db (dns)\n", 3)
    assert run("diff", "intents", "intents") == ("", 0)


@pytest.mark.parametrize(
    "graph",
    [
        AFTER,
        graph_of((WEB, STRIPE), (WEB, workload("192.0.2.1", "", "External"))),
        graph_of((WEB, workload("a.b")), (workload("c.d"), DB), (WEB, workload("kubernetes", "default", "Service"))),
        graph_of((WEB, API), (workload("web", kind="StatefulSet"), DB)),
    ],
)
def test_intents_that_were_exported_from_a_graph_fit_it(here, graph):
    (here / "intents.yaml").write_text(render_client_intents(graph))
    (here / "seen.yaml").write_text(render_yaml(graph))
    assert run("diff", "intents.yaml", "seen.yaml") == ("", 0)


def test_intents_without_kinds_mean_the_workload_of_that_name(here):
    (here / "intents.yaml").write_text(
        "apiVersion: k8s.otterize.com/v2beta1\nkind: ClientIntents\nmetadata: {name: api, namespace: shop}\n"
        "spec: {workload: {name: api}, targets: [{kubernetes: {name: db.data}}, {sql: {name: x}},\n"
        "  {kafka: {name: log.data, topics: [{name: t, operations: [consume]}]}}]}\n"
    )
    (here / "seen.yaml").write_text(render_yaml(graph_of((API, DB), (API, workload("log", "data", "StatefulSet")))))
    result = CliRunner().invoke(whocalls, ["diff", "intents.yaml", "seen.yaml"], standalone_mode=False)
    assert (result.stdout, result.return_value) == ("", 0)
    assert result.stderr == "1 targets of the intents are no workload and are not compared\n"


def test_intents_may_be_the_baseline_of_a_gate(here):
    (here / "intents.yaml").write_text(render_client_intents(BEFORE))
    (here / "seen.yaml").write_text(render_yaml(AFTER))
    assert run("gate", "--baseline", "intents.yaml", "--input", "seen.yaml") == ("shop/api -> data/db\n", 3)


def policy_file(folder, *peers):
    rule = {"from": [{"podSelector": {"matchLabels": {"app": peer}}} for peer in peers]}
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [rule] if peers else []},
    }
    folder.mkdir()
    (folder / "api.json").write_text(json.dumps(document))


@pytest.fixture
def objects(here):
    (here / "objects.json").write_text(json.dumps({"items": [deployment("web"), deployment("api"), deployment("job")]}))
    (here / "seen.yaml").write_text(render_yaml(build_graph([call(WEB, API)])))
    return ("--kube", "objects.json")


def test_policies_are_compared_with_calls_in_either_order(here, objects):
    policy_file(here / "policies", "job")
    told = (
        "blocked: shop/web -> shop/api (80/TCP): ingress by shop/api\n"
        "never seen: shop/job -> shop/api: allowed by shop/api\n"
    )
    assert run("diff", "policies", "seen.yaml", *objects) == (told, 3)
    assert run("diff", "seen.yaml", "policies", *objects) == (told, 3)
    assert run("diff", "policies", "seen.yaml", "--from", "web", *objects)[0] == told.splitlines(keepends=True)[0]


def test_policies_that_fit_return_0(here, objects):
    policy_file(here / "policies", "web")
    assert run("diff", "policies", "seen.yaml", *objects) == ("", 0)


@pytest.mark.usefixtures("objects")
def test_policies_without_objects_are_a_usage_error_that_names_the_remedy(here):
    policy_file(here / "policies", "web")
    _, error = run("diff", "policies", "seen.yaml")
    assert isinstance(error, ConfigurationError)
    assert "--kube" in str(error)


def test_policies_are_not_compared_with_policies(here, objects):
    policy_file(here / "policies", "web")
    assert isinstance(run("diff", "policies", "policies", *objects)[1], ConfigurationError)
    assert isinstance(run("gate", "--baseline", "policies", "--input", "seen.yaml")[1], ConfigurationError)


@pytest.mark.usefixtures("objects")
def test_a_folder_of_two_sorts_is_refused(here):
    policy_file(here / "mixed", "web")
    (here / "mixed" / "intents.yaml").write_text(render_client_intents(BEFORE))
    _, error = run("diff", "mixed", "seen.yaml")
    assert str(error) == "'mixed' holds ClientIntents and NetworkPolicy (compare one at a time: name a folder of it)"


def test_a_filter_keeps_its_part_of_a_difference(here):
    (here / "before.yaml").write_text(render_yaml(BEFORE))
    (here / "after.yaml").write_text(render_yaml(graph_of((WEB, API), (API, DB), (WEB, STRIPE))))
    assert run("diff", "before.yaml", "after.yaml", "--no-external") == (ADDED, 3)
    assert run("diff", "before.yaml", "after.yaml", "-n", "elsewhere") == ("", 0)


@pytest.mark.parametrize("form", ["json", "markdown"])
def test_a_difference_has_other_forms(here, form):
    (here / "before.yaml").write_text(render_yaml(BEFORE))
    (here / "after.yaml").write_text(render_yaml(build_graph([edge_of(WEB, API), edge_of(API, DB)])))
    text, code = run("diff", "before.yaml", "after.yaml", "-o", form)
    assert code == 3
    assert "db" in text
