"""`whocalls export --git`: from the command line into a bare repository."""

import json

import pytest
from click.testing import CliRunner

from callgraph.errors import ConfigurationError, WhocallsError
from sink_exporter.graph import build_graph
from sink_exporter.layout import lay_out
from tests.git_remote import git, make_remote
from tests.graphs import SHOP_NAMESPACE, SHOP_TEXT, edge_of, shop_edges, workload
from whocalls.command import whocalls


@pytest.fixture
def remote(tmp_path):
    return make_remote(tmp_path / "remote.git")


@pytest.fixture
def shop(tmp_path):
    """A graph of two namespaces in a file."""
    other = edge_of(workload("api", "other"), workload("db", "other"))
    (tmp_path / "shop.yaml").write_text(lay_one(build_graph([*shop_edges(), other])))
    return str(tmp_path / "shop.yaml")


def lay_one(graph):
    return "---\n".join(content.decode() for content in lay_out(graph, ["yaml"]).values())


def export(*arguments):
    """Run the command in this process; an error of ours is raised."""
    result = CliRunner().invoke(whocalls, ["export", *arguments], standalone_mode=False)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_file_goes_to_the_branch_and_folder_that_were_named(remote, shop):
    export("--git", str(remote), "--branch", "maps", "--path", "prod/eu", "--input", shop, "-n", SHOP_NAMESPACE)
    assert git(remote, "show", "maps:prod/eu/callgraph.txt") == SHOP_TEXT
    export("--git", str(remote), "--branch", "maps", "--path", "prod/eu", "--input", shop, "-n", SHOP_NAMESPACE)
    assert len(git(remote, "log", "--format=%h", "maps").splitlines()) == 1


def test_a_format_that_was_named_is_written_beside_the_canonical_one(remote, shop):
    export("mermaid", "--git", str(remote), "--input", shop)
    names = git(remote, "ls-tree", "-r", "--name-only", "main:callgraph").splitlines()
    assert names == [
        ".whocalls/manifest.json",
        "callgraph.mmd",
        "namespaces/other.yaml",
        f"namespaces/{SHOP_NAMESPACE}.yaml",
    ]


def test_a_relative_path_is_one_from_where_the_command_runs(remote, shop, monkeypatch):
    monkeypatch.chdir(remote.parent)
    export("--git", remote.name, "--input", shop)
    assert git(remote, "log", "--format=%s", "main").startswith("chore(callgraph): +17 calls")


def test_calls_that_were_excluded_are_not_committed(remote, shop):
    export("--git", str(remote), "--input", shop, "--exclude", "loadgenerator", "--exclude", "other/*")
    assert "loadgenerator" not in git(remote, "show", "main:callgraph/callgraph.txt")
    assert "other" not in git(remote, "ls-tree", "-r", "--name-only", "main")


def test_a_graph_that_shrinks_is_refused_until_it_is_allowed(remote, shop, tmp_path):
    (tmp_path / "half.yaml").write_text(lay_one(build_graph(shop_edges()[:8])))
    export("--git", str(remote), "--input", shop)
    half = ["--git", str(remote), "--input", str(tmp_path / "half.yaml")]
    with pytest.raises(WhocallsError, match="9 of 17 calls would vanish"):
        export(*half)
    export(*half, "--allow-shrink")
    assert git(remote, "log", "--format=%s", "-1", "main").startswith("chore(callgraph): -9 calls")


def test_the_rest_of_the_settings_come_from_the_file(remote, shop, tmp_path):
    settings = {"exporter": {"formats": ["yaml", "csv"], "git": {"author_name": "maps", "path": "from-file"}}}
    (tmp_path / "whocalls.yaml").write_text(json.dumps(settings))
    export("--git", str(remote), "--input", shop, "--config", str(tmp_path / "whocalls.yaml"))
    assert git(remote, "log", "--format=%an", "main").strip() == "maps"
    assert git(remote, "show", "main:from-file/callgraph.csv").startswith("client_namespace,")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--branch", "b", "yaml"], "go with --git"),
        (["--once", "yaml"], "go with --git"),
        ([], "Missing argument"),
        (["--git", "x", "-O", "f"], "-O, --output-file does not go|--output-file does not go"),
        (["--git", "x", "--from", "a"], "--from does not go"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, told):
    with pytest.raises(Exception, match=told):
        export(*arguments)


@pytest.mark.parametrize("span", ["5", "5 m", "0s", "m"])
def test_an_interval_that_is_none_is_refused(remote, span):
    with pytest.raises(ConfigurationError, match="no length of time"):
        export("--git", str(remote), "--interval", span)
