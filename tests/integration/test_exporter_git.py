"""The map in a repository: a commit for each change and none without, nobody's work lost, no secret in sight."""

import io
import subprocess
import sys

import pytest

from callgraph.errors import ConfigurationError, InputError, UnreachableError, WhocallsError
from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger
from sink_exporter.git_repository import GitError, GitRepository, RejectedPushError
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.publication import ShrinkError
from sink_exporter.publishers import GitPublisher
from sink_exporter.settings import ExporterSettings, GitSettings
from tests.git_remote import Person, PublisherMaker, both_at_once, empty_commits, git, make_remote, serve_with_token
from tests.graphs import SHOP_NAMESPACE, SHOP_TEXT, edge_of, shop_edges, workload

SHOP = build_graph(shop_edges())
MORE = edge_of(workload("zz", SHOP_NAMESPACE), workload("frontend", SHOP_NAMESPACE))
AND_MORE_TEXT = f"{SHOP_TEXT}zz in namespace {SHOP_NAMESPACE} calls:\n  - frontend\n"


@pytest.fixture
def remote(tmp_path):
    return make_remote(tmp_path / "remote.git")


@pytest.fixture
def log_lines():
    return io.StringIO()


@pytest.fixture
def make_publisher(remote, log_lines, tmp_path):
    return PublisherMaker(tmp_path, remote, log_lines)


def commits(remote):
    return git(remote, "log", "--format=%s", "main").splitlines()


def show(remote, path):
    return git(remote, "show", f"main:{path}")


def test_the_first_export_begins_the_branch(remote, make_publisher):
    make_publisher().publish(SHOP)
    assert show(remote, "callgraph/callgraph.txt") == SHOP_TEXT
    assert commits(remote) == [f"chore(callgraph): +16 calls in {SHOP_NAMESPACE}"]


def test_without_a_change_there_is_no_commit(remote, make_publisher):
    publisher = make_publisher()
    publisher.publish(SHOP)
    publisher.publish(SHOP)
    make_publisher().publish(SHOP)
    assert len(commits(remote)) == 1


def test_a_change_is_one_commit_that_says_what_changed(remote, make_publisher):
    publisher = make_publisher()
    publisher.publish(SHOP)
    publisher.publish(build_graph([*shop_edges(), MORE]))
    assert git(remote, "log", "-1", "--format=%an <%ae>%n%B", "main") == (
        "whocalls <whocalls@localhost>\n"
        f"chore(callgraph): +1 calls in {SHOP_NAMESPACE}\n\n"
        f"+ {SHOP_NAMESPACE}/zz -> {SHOP_NAMESPACE}/frontend (dns)\n\n"
        "Whocalls-Cluster: c\n\n"
    )
    changes = git(remote, "show", "--format=", "--unified=0", "main", "--", "callgraph/namespaces").splitlines()
    assert [line for line in changes if line.startswith("-") and not line.startswith("---")] == []


def test_other_files_of_the_repository_stay(remote, make_publisher, tmp_path):
    person = Person(tmp_path / "person", remote)
    person.push("README.md", "mine\n")
    person.push("callgraph/CODEOWNERS", "mine too\n")
    make_publisher().publish(SHOP)
    assert (show(remote, "README.md"), show(remote, "callgraph/CODEOWNERS")) == ("mine\n", "mine too\n")


def test_a_push_that_came_too_late_is_told_apart(remote, tmp_path):
    repository = GitRepository(tmp_path / "clone", GitSettings(url=str(remote)))
    repository.reset()
    (tmp_path / "clone/f").write_text("x")
    assert repository.commit("f", "late")
    Person(tmp_path / "person", remote).push("README.md", "first\n")
    with pytest.raises(RejectedPushError):
        repository.push()


def test_two_who_commit_at_once_lose_nothing(remote, make_publisher, tmp_path):
    """Fifty rounds: both set out at the same moment, and one of them comes too late."""
    rounds = 50
    publisher, person = make_publisher(), Person(tmp_path / "person", remote)
    publisher.publish(SHOP)
    edges = shop_edges()

    def publish_one_more(number):
        edges.append(edge_of(workload(f"new-{number:02}", SHOP_NAMESPACE), workload("frontend", SHOP_NAMESPACE)))
        publisher.publish(build_graph(edges))

    both_at_once(rounds, lambda number: person.push(f"notes/{number}.md", f"note {number}\n"), publish_one_more)
    subjects = commits(remote)
    assert sum(subject.startswith("chore(callgraph)") for subject in subjects) == rounds + 1
    assert sum(subject.startswith("person: notes/") for subject in subjects) == rounds
    assert len(git(remote, "ls-tree", "--name-only", "main:notes").splitlines()) == rounds
    assert f"new-{rounds - 1} in namespace" in show(remote, "callgraph/callgraph.txt")
    assert empty_commits(remote, "main") == []


def test_a_graph_that_lost_a_fifth_of_its_calls_is_not_published(remote, make_publisher):
    make_publisher().publish(SHOP)
    with pytest.raises(ShrinkError, match="16 of 16 calls would vanish"):
        make_publisher().publish(CallGraph())
    half = build_graph(shop_edges()[:8])
    with pytest.raises(ShrinkError, match="8 of 16"):
        make_publisher().publish(half)
    make_publisher().publish(build_graph(shop_edges()[:13]))
    make_publisher(allow_shrink=True).publish(half)
    assert commits(remote)[0] == f"chore(callgraph): -5 calls in {SHOP_NAMESPACE}"


def test_an_edit_of_a_generated_file_is_said_and_stays_in_the_history(remote, make_publisher, tmp_path, log_lines):
    make_publisher().publish(SHOP)
    path = f"callgraph/namespaces/{SHOP_NAMESPACE}.yaml"
    Person(tmp_path / "person", remote).push(path, "by hand\n")
    make_publisher().publish(SHOP)
    assert "edited_file_replaced" in log_lines.getvalue()
    assert show(remote, path).startswith("# Generated")
    assert git(remote, "show", f"main~1:{path}") == "by hand\n"
    assert ".whocalls/edited" not in git(remote, "ls-tree", "-r", "--name-only", "main")


def test_a_symbolic_link_in_the_repository_leads_nowhere(remote, make_publisher, tmp_path):
    person = Person(tmp_path / "person", remote)
    (person.folder / "callgraph").symlink_to(tmp_path)
    git(person.folder, "add", "callgraph")
    git(person.folder, "commit", "-m", "link")
    git(person.folder, "push", "origin", "HEAD:refs/heads/main")
    with pytest.raises(WhocallsError, match="outside the folder"):
        make_publisher().publish(SHOP)
    assert not (tmp_path / "callgraph.txt").exists()


@pytest.mark.parametrize("source", ["file", "variable"])
def test_a_token_is_nowhere_but_where_it_came_from(make_publisher, remote, tmp_path, log_lines, monkeypatch, source):
    """A hook of the remote looks at every process while the push is under way."""
    token = "whocalls-secret-token"
    (tmp_path / "token").write_text(token + "\n")
    monkeypatch.setenv("MAP_TOKEN", token)
    given = {"token_file": str(tmp_path / "token")} if source == "file" else {"token_variable": "MAP_TOKEN"}
    seen = tmp_path / "seen"
    hook = remote / "hooks/post-receive"
    hook.write_text(f"#!/bin/sh\ncat /proc/[0-9]*/cmdline /proc/[0-9]*/environ > {seen} 2>/dev/null\nexit 0\n")
    hook.chmod(0o755)
    git(remote, "config", "http.receivepack", "true")
    with serve_with_token(tmp_path, token) as address:
        make_publisher(url=f"{address}/remote.git", **given).publish(SHOP)
        assert show(remote, "callgraph/callgraph.txt") == SHOP_TEXT
        assert b"push" in seen.read_bytes()
        assert token.encode() not in seen.read_bytes()
        kept = [path for path in (tmp_path / "clone-0").rglob("*") if path.is_file()]
        assert all(token.encode() not in path.read_bytes() for path in kept)
        assert token not in log_lines.getvalue()
        (tmp_path / "token").write_text("wrong-one\n")
        monkeypatch.setenv("MAP_TOKEN", "wrong-one")
        with pytest.raises(GitError, match="Authentication failed") as refused:
            make_publisher(url=f"{address}/remote.git", **given).publish(SHOP)
        assert "wrong-one" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "https://me:secret@host/r.git"}, "holds a password"),
        ({"url": "--upload-pack=touch /tmp/x"}, "not the URL"),
        ({"url": "ext::sh -c id"}, "not the URL"),
        ({"branch": "--force"}, "not the name of a branch"),
        ({"path": "../x"}, "not a folder below"),
        ({"path": "/x"}, "not a folder below"),
        ({"path": ".git/hooks"}, "not a folder below"),
    ],
)
def test_settings_that_could_do_harm_are_refused(make_publisher, settings, told):
    with pytest.raises(ConfigurationError, match=told) as refused:
        make_publisher(**settings)
    assert "secret" not in str(refused.value)


def test_a_repository_without_the_canonical_files_could_not_tell_changes(tmp_path):
    with pytest.raises(ConfigurationError, match="format yaml"):
        GitPublisher(
            ExporterSettings(formats=("text",), git=GitSettings(url="/x")), LeanLogger(LogSettings()), tmp_path
        )


def test_one_more_call_in_a_huge_graph_touches_its_namespace_alone(remote, make_publisher):
    """40,000 calls of 200 namespaces."""
    edges = [
        edge_of(
            workload(f"client-{n % 20}", f"team-{n % 200:03}"), workload(f"server-{n // 200}", f"team-{n % 199:03}")
        )
        for n in range(40_000)
    ]
    publisher = make_publisher()
    publisher.publish(build_graph(edges))
    publisher.publish(build_graph([*edges, edge_of(workload("zz", "team-007"), workload("server-1", "team-007"))]))
    changed = git(remote, "show", "--numstat", "--format=", "main").splitlines()
    assert [line.split("\t")[2] for line in changed] == [
        "callgraph/.whocalls/manifest.json",
        "callgraph/callgraph.txt",
        "callgraph/namespaces/team-007.yaml",
    ]
    assert changed[1].split("\t")[:2] == ["2", "0"]
    assert changed[2].split("\t")[1] == "0"


def test_killed_at_any_step_the_branch_is_the_old_or_the_new_map(remote, make_publisher, tmp_path):
    """Signal 9 at each git command, sync and rename; afterwards another exporter goes on from what it finds."""
    make_publisher().publish(SHOP)
    script = [sys.executable, "-m", "tests.integration.dying_push", str(remote), str(tmp_path / "clones")]
    lines = subprocess.run(script, check=True, timeout=600, capture_output=True, text=True).stdout.splitlines()
    heads = [line.split()[1] for line in lines]
    texts = {head: git(remote, "show", f"{head}:callgraph/callgraph.txt") for head in heads}
    assert [line.split()[0] for line in lines] == ["True"] * (len(lines) - 1) + ["False"]
    assert len(lines) > 20
    assert set(texts.values()) == {SHOP_TEXT, AND_MORE_TEXT}
    assert all(len(git(remote, "log", "--format=%h", head).splitlines()) <= 2 for head in heads)
    assert git(remote, "fsck", "--strict", "--no-dangling") == ""
    make_publisher().publish(build_graph([*shop_edges(), MORE]))
    assert show(remote, "callgraph/callgraph.txt") == AND_MORE_TEXT


def test_a_remote_that_has_gone_is_one_sentence(make_publisher, tmp_path):
    with pytest.raises(UnreachableError, match=r"exporter\.git\.url"):
        make_publisher(url=str(tmp_path / "nowhere.git")).publish(SHOP)


def test_a_push_that_a_hook_forbids_is_an_error_and_not_a_race(remote, make_publisher):
    hook = remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError, match="pre-receive hook declined"):
        make_publisher().publish(SHOP)


def test_what_people_add_and_ignore_survives_every_export(remote, make_publisher, tmp_path):
    publisher = make_publisher()
    publisher.publish(SHOP)
    assert not publisher.is_outdated()
    Person(tmp_path / "person", remote).push(
        "callgraph/overrides.yaml",
        f"add:\n  - {{from: {SHOP_NAMESPACE}/emailservice, to: smtp.example.com, reason: at month's end}}\n"
        f"ignore:\n  - {{from: loadgenerator, to: '*', reason: a test}}\n",
    )
    assert publisher.is_outdated()
    publisher.publish(SHOP)
    publisher.publish(build_graph([*shop_edges(), MORE]))
    text = show(remote, "callgraph/callgraph.txt")
    assert "loadgenerator" not in text
    assert "zz in namespace" in text
    assert text.endswith("calls outside the cluster:\n  - smtp.example.com (added by hand)\n")
    assert not publisher.is_outdated()


def test_a_link_for_overrides_is_not_followed(remote, make_publisher, tmp_path):
    person = Person(tmp_path / "person", remote)
    (person.folder / "callgraph").mkdir()
    (person.folder / "callgraph/overrides.yaml").symlink_to("/etc/passwd")
    git(person.folder, "add", "callgraph")
    git(person.folder, "commit", "-m", "link")
    git(person.folder, "push", "origin", "HEAD:refs/heads/main")
    with pytest.raises(InputError, match="symbolic link"):
        make_publisher().publish(SHOP)
