"""The map as a proposal: one branch, one pull request, nobody's commit lost, on three kinds of forge."""

import io
import json

import pytest

from callgraph.errors import ConfigurationError, UnreachableError
from sink_exporter.forge_client import ForgeError
from sink_exporter.forges import locate
from sink_exporter.git_repository import GitError
from sink_exporter.graph import build_graph
from sink_exporter.settings import GitSettings, ProposalSettings
from tests.forge_server import APIS, REPOSITORY, TOKEN, ForgeServer, serve_forge
from tests.git_remote import Person, PublisherMaker, both_at_once, empty_commits, git, make_remote
from tests.graphs import SHOP_NAMESPACE, SHOP_TEXT, edge_of, shop_edges, workload

BRANCH = "whocalls/callgraph"
SHOP = build_graph(shop_edges())
TEXT = "callgraph/callgraph.txt"


def grown(*names):
    more = (edge_of(workload(name, SHOP_NAMESPACE), workload("frontend", SHOP_NAMESPACE)) for name in names)
    return build_graph([*shop_edges(), *more])


@pytest.fixture
def remote(tmp_path):
    remote = make_remote(tmp_path / "remote.git")
    Person(tmp_path / "first", remote).push("README.md", "maps\n")
    return remote


@pytest.fixture
def person(remote, tmp_path):
    return Person(tmp_path / "person", remote)


@pytest.fixture
def log_lines():
    return io.StringIO()


@pytest.fixture
def make_publisher(remote, log_lines, tmp_path):
    return PublisherMaker(tmp_path, remote, log_lines, mode="branch")


@pytest.fixture(params=sorted(APIS))
def forge(request, remote):
    return ForgeServer(APIS[request.param], lambda branch: tip(remote, branch))


@pytest.fixture
def make_proposer(forge, make_publisher, tmp_path):
    """Make publishers in mode pr whose forge is the local server."""
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    with serve_forge(forge) as address:

        def make(**settings):
            proposal = ProposalSettings(forge=forge.api.kind, api_url=address, repository=REPOSITORY)
            fields = {"mode": "pr", "token_file": str(token), "proposal": proposal}
            return make_publisher(**(fields | settings))

        yield make
        assert forge.complaints == []


def tip(remote, branch):
    return git(remote, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False).strip()


def show(remote, branch, path):
    return git(remote, "show", f"{branch}:{path}")


def subjects(remote, what=BRANCH):
    return git(remote, "log", "--format=%s", what).splitlines()


def events(log_lines):
    return [json.loads(line)["event"] for line in log_lines.getvalue().splitlines()]


def test_a_proposal_is_a_branch_of_its_own(remote, make_publisher):
    before = tip(remote, "main")
    make_publisher().publish(SHOP)
    assert show(remote, BRANCH, TEXT) == SHOP_TEXT
    assert tip(remote, "main") == before
    assert subjects(remote) == [f"chore(callgraph): +16 calls in {SHOP_NAMESPACE}", "person: README.md"]


def test_a_proposal_that_stands_is_continued_and_not_touched_without_a_change(remote, make_publisher):
    publisher = make_publisher()
    publisher.publish(SHOP)
    first = tip(remote, BRANCH)
    publisher.publish(SHOP)
    make_publisher().publish(SHOP)
    assert tip(remote, BRANCH) == first
    assert not publisher.is_outdated()
    publisher.publish(grown("zz"))
    assert subjects(remote, f"{first}..{BRANCH}") == [f"chore(callgraph): +1 calls in {SHOP_NAMESPACE}"]


def test_a_merged_proposal_is_followed_by_a_new_one(remote, make_publisher, person):
    publisher = make_publisher()
    publisher.publish(SHOP)
    git(person.folder, "fetch", "origin")
    git(person.folder, "checkout", "-q", "-B", "main", "origin/main")
    git(person.folder, "merge", "--squash", f"origin/{BRANCH}")
    git(person.folder, "commit", "-m", "merged")
    git(person.folder, "push", "origin", "main")
    old = tip(remote, BRANCH)
    assert publisher.is_outdated()
    publisher.publish(SHOP)
    assert tip(remote, BRANCH) == old
    publisher.publish(grown("zz"))
    assert subjects(remote, f"main..{BRANCH}") == [f"chore(callgraph): +1 calls in {SHOP_NAMESPACE}"]


def test_a_proposal_that_would_conflict_begins_anew(remote, make_publisher):
    make_publisher().publish(grown("zz"))
    make_publisher(mode="direct").publish(SHOP)
    make_publisher().publish(grown("zz"))
    assert subjects(remote, f"main..{BRANCH}") == [f"chore(callgraph): +1 calls in {SHOP_NAMESPACE}"]
    assert git(remote, "merge-base", "main", BRANCH).strip() == tip(remote, "main")


def test_what_somebody_commits_to_the_proposal_stays(remote, make_publisher, person):
    publisher = make_publisher()
    publisher.publish(SHOP)
    git(person.folder, "fetch", "origin")
    git(person.folder, "checkout", "-q", "-B", "mine", f"origin/{BRANCH}")
    overrides = person.folder / "callgraph/overrides.yaml"
    overrides.write_text("ignore:\n  - {from: loadgenerator, to: '*', reason: a test}\n")
    git(person.folder, "add", ".")
    git(person.folder, "commit", "-m", "leave the load out")
    git(person.folder, "push", "origin", f"HEAD:refs/heads/{BRANCH}")
    make_publisher(mode="direct").publish(SHOP)  # the branch below moves on, and in the same files
    publisher.publish(grown("zz"))
    assert "leave the load out" in subjects(remote)
    assert "loadgenerator" not in show(remote, BRANCH, TEXT)
    assert "zz in namespace" in show(remote, BRANCH, TEXT)


def test_a_reviewer_who_commits_to_the_proposal_at_the_same_moment_loses_nothing(remote, make_publisher, tmp_path):
    """Fifty rounds, as for the branch itself."""
    publisher = make_publisher()
    publisher.publish(SHOP)
    reviewer = Person(tmp_path / "reviewer", remote, BRANCH)
    names = [f"new-{number:02}" for number in range(50)]
    both_at_once(
        50,
        lambda number: reviewer.push(f"notes/{number}.md", f"note {number}\n"),
        lambda number: publisher.publish(grown(*names[: number + 1])),
    )
    assert len(git(remote, "ls-tree", "--name-only", f"{BRANCH}:notes").splitlines()) == 50
    made = [subject for subject in subjects(remote) if subject.startswith("chore(callgraph): +1 calls")]
    assert len(made) == 50
    assert "new-49 in namespace" in show(remote, BRANCH, TEXT)
    assert empty_commits(remote, BRANCH) == []


def test_a_branch_of_that_name_that_is_somebody_elses_is_left_alone(make_publisher, person):
    git(person.folder, "checkout", "-q", "--orphan", "theirs")
    git(person.folder, "commit", "--allow-empty", "-m", "theirs")
    git(person.folder, "push", "origin", f"HEAD:refs/heads/{BRANCH}")
    with pytest.raises(GitError, match="no history in common"):
        make_publisher().publish(SHOP)


def test_a_repository_without_a_commit_has_nothing_to_propose_for(tmp_path, make_publisher):
    empty = make_remote(tmp_path / "empty.git")
    with pytest.raises(GitError, match="no branch 'main'"):
        make_publisher(url=str(empty)).publish(SHOP)


def test_the_branch_is_proposed_once_and_what_is_new_is_told_there(forge, make_proposer):
    publisher = make_proposer()
    publisher.publish(SHOP)
    publisher.publish(SHOP)
    (pull,) = forge.pulls
    assert (pull["branch"], pull["base"], pull["title"]) == (
        BRANCH,
        "main",
        f"chore(callgraph): +16 calls in {SHOP_NAMESPACE}",
    )
    assert pull["text"].startswith("**Calls: 16 new**\n\n```diff\n+ ")
    publisher.publish(grown("zz"))
    (pull,) = forge.pulls
    assert pull["title"] == f"chore(callgraph): +17 calls in {SHOP_NAMESPACE}"
    assert f"+ {SHOP_NAMESPACE}/zz -> {SHOP_NAMESPACE}/frontend" in pull["text"]
    assert [method for method, _ in forge.requests] == ["GET", "POST", "GET", forge.api.change]


def test_an_exporter_that_starts_anew_keeps_the_open_proposal_as_people_left_it(forge, make_proposer):
    make_proposer().publish(SHOP)
    forge.pulls[0]["title"] = "by a person"
    make_proposer().publish(SHOP)
    assert [pull["title"] for pull in forge.pulls] == ["by a person"]


def test_a_proposal_that_was_declined_is_not_made_again_until_there_is_news(forge, make_proposer, log_lines, remote):
    make_proposer().publish(SHOP)
    forge.pulls[0]["state"] = "closed"
    make_proposer().publish(SHOP)
    assert [pull["state"] for pull in forge.pulls] == ["closed"]
    assert events(log_lines)[-1] == "proposal_was_declined"
    forge.pulls[0]["sha"] = tip(remote, BRANCH)
    make_proposer().publish(grown("zz"))
    assert [pull["state"] for pull in forge.pulls] == ["open", "closed"]


def test_other_proposals_are_nobodys_business(forge, make_proposer):
    for number in range(120):
        forge.add(branch=f"feature-{number}", sha="1" * 40)
    before = [dict(pull) for pull in forge.pulls]
    make_proposer().publish(SHOP)
    assert forge.pulls[1:] == before
    forge.pulls.append(forge.pulls.pop(0))  # it is on the third page now
    make_proposer().publish(grown("zz"))
    assert [pull["branch"] for pull in forge.pulls].count(BRANCH) == 1


def test_nothing_to_propose_is_not_proposed(forge, make_proposer, make_publisher):
    make_publisher(mode="direct").publish(SHOP)
    make_proposer().publish(SHOP)
    assert forge.requests == []


def test_an_api_that_is_down_is_asked_again_and_nothing_is_pushed_twice(forge, make_proposer, remote):
    publisher = make_proposer()
    forge.answer = (503, {"message": "maintenance"})
    with pytest.raises(UnreachableError, match=r"503 Service Unavailable: .*maintenance"):
        publisher.publish(SHOP)
    pushed = tip(remote, BRANCH)
    assert publisher.is_outdated()
    forge.answer = None
    publisher.publish(SHOP)
    assert tip(remote, BRANCH) == pushed
    assert len(forge.pulls) == 1


@pytest.mark.parametrize("answer", [(403, {"message": "no"}), (422, {"message": "no"}), (200, b"<html>"), (302, b"")])
def test_a_refusal_is_one_sentence_without_the_token(forge, make_proposer, answer, log_lines):
    forge.answer = answer
    with pytest.raises(ForgeError) as refused:
        make_proposer().publish(SHOP)
    assert TOKEN not in str(refused.value) + log_lines.getvalue()
    assert "\n" not in str(refused.value)
    assert len(forge.requests) == 1  # a redirect is not followed, and the token not taken along


def test_an_api_that_is_not_there_is_one_sentence(make_publisher, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    proposal = ProposalSettings(forge="gitea", api_url="http://127.0.0.1:1", repository=REPOSITORY)
    with pytest.raises(UnreachableError, match="gets no answer"):
        make_publisher(mode="pr", token_file=str(tmp_path / "token"), proposal=proposal).publish(SHOP)


def test_the_token_may_come_in_a_variable(forge, make_proposer, monkeypatch):
    monkeypatch.setenv("MAP_TOKEN", TOKEN)
    make_proposer(token_file="", token_variable="MAP_TOKEN").publish(SHOP)
    assert len(forge.pulls) == 1


@pytest.mark.parametrize("content", ["", "two words", "line\nbreak", "caf\u00e9"])
def test_what_is_no_token_is_not_sent(forge, make_proposer, tmp_path, content):
    (tmp_path / "other").write_text(content)
    with pytest.raises(ConfigurationError, match="token") as refused:
        make_proposer(token_file=str(tmp_path / "other")).publish(SHOP)
    assert not content or content not in str(refused.value)
    assert forge.requests == []


def test_a_pull_request_needs_a_token(make_publisher):
    with pytest.raises(ConfigurationError, match="needs a token"):
        make_publisher(mode="pr", url="https://github.com/a/b")


@pytest.mark.parametrize(
    ("url", "kind", "api_url", "repository"),
    [
        ("https://github.com/a/b.git", "GitHub", "https://api.github.com", "a/b"),
        ("git@github.com:a/b.git", "GitHub", "https://api.github.com", "a/b"),
        ("https://github.example.com/a/b", "GitHub", "https://github.example.com/api/v3", "a/b"),
        ("https://gitlab.com/group/below/b.git/", "GitLab", "https://gitlab.com/api/v4", "group/below/b"),
        ("ssh://git@gitlab.example.com:2222/a/b.git", "GitLab", "https://gitlab.example.com/api/v4", "a/b"),
        ("http://gitea.git.svc:3000/a/b.git", "Gitea", "http://gitea.git.svc:3000/api/v1", "a/b"),
        ("https://codeberg.org/a/b", "Gitea", "https://codeberg.org/api/v1", "a/b"),
    ],
)
def test_the_api_follows_from_the_url(url, kind, api_url, repository):
    forge, place = locate(GitSettings(url=url))
    assert (type(forge).__name__, place.api_url, place.repository) == (kind, api_url, repository)


@pytest.mark.parametrize("url", ["https://git.example.com/a/b", "/srv/maps.git", "https://notgithub.com.evil.org/a/b"])
def test_an_unknown_host_is_asked_for(url):
    with pytest.raises(ConfigurationError, match=r"exporter\.git\.proposal\.forge"):
        locate(GitSettings(url=url))


@pytest.mark.parametrize(
    "proposal",
    [{"api_url": "file:///etc"}, {"api_url": "https://user:pass@host"}, {"repository": "a"}, {"repository": "a/b?c"}],
)
def test_settings_that_lead_elsewhere_are_refused(proposal):
    with pytest.raises(ConfigurationError, match=r"exporter\.git\.proposal"):
        locate(GitSettings(url="https://github.com/a/b", proposal=ProposalSettings(**proposal)))
