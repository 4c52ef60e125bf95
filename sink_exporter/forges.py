"""What the APIs of GitHub, GitLab and Gitea are asked, and what they answer, about the proposal of one branch. Pure.

In: where the repository is, and a title and a text. Out: requests as values, and the proposals in an answer. A proposal
is GitHub's and Gitea's pull request and GitLab's merge request. Sources: docs.github.com/rest/pulls/pulls,
docs.gitlab.com/api/merge_requests, Gitea's swagger (`repoListPullRequests`, `repoCreatePullRequest`,
`repoEditPullRequest`).
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from callgraph.errors import ConfigurationError
from sink_exporter.settings import GitSettings

State = Literal["open", "closed", "merged"]

_URL = re.compile(r"(?P<scheme>https?|ssh)://(?:[^/@]*@)?(?P<host>\[[^\]]+\]|[^/:]+)(?P<port>:\d+)?/(?P<path>.+)")
_SCP = re.compile(r"(?:[^/@]*@)?(?P<host>[^/:]+):(?P<path>[^/].*)")


class Place(Struct, frozen=True, kw_only=True):
    """One branch that is proposed for another, in a repository behind an API."""

    api_url: str
    repository: str
    base: str
    branch: str


class ApiRequest(NamedTuple):
    """One request: `path` follows the API's URL, `body` is sent as JSON."""

    method: Literal["GET", "POST", "PATCH", "PUT"]
    path: str
    body: dict[str, str] | None = None


class Proposal(Struct, frozen=True, kw_only=True):
    """A proposal as the API tells of it; `head` is the commit that it proposes."""

    number: int
    url: str
    state: State
    head: str


class Forge(Protocol):
    """One kind of API."""

    page_rows: int
    """A page with fewer rows is the last one."""

    def headers(self, token: str) -> dict[str, str]:
        """Return what every request bears."""

    def find(self, place: Place, page: int) -> ApiRequest:
        """Ask for the proposals of the branch, open or not, newest first; others may be among them."""

    def create(self, place: Place, title: str, text: str) -> ApiRequest:
        """Propose the branch."""

    def update(self, place: Place, number: int, *, title: str, text: str) -> ApiRequest:
        """Give a proposal a new title and text."""

    def read(self, answer: bytes, place: Place) -> tuple[int, list[Proposal]]:
        """Return how many rows an answer has, and the proposals of this branch. Raises msgspec.DecodeError."""

    def read_one(self, answer: bytes) -> Proposal:
        """Read a proposal that was just made or changed. Raises msgspec.DecodeError."""


class _Head(Struct, frozen=True):
    ref: str
    sha: str


class _Base(Struct, frozen=True):
    ref: str


class _PullRequest(Struct, frozen=True, kw_only=True):
    number: int
    html_url: str
    state: str
    head: _Head
    base: _Base
    merged_at: str | None = None

    @property
    def branches(self) -> tuple[str, str]:
        return self.head.ref, self.base.ref

    def proposal(self) -> Proposal:
        state: State = "open" if self.state == "open" else "merged" if self.merged_at else "closed"
        return Proposal(number=self.number, url=self.html_url, state=state, head=self.head.sha)


class GitHub:
    """GitHub, and GitHub Enterprise under `/api/v3`."""

    page_rows = 100

    def headers(self, token: str) -> dict[str, str]:
        """Return what every request bears."""
        return {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def find(self, place: Place, page: int) -> ApiRequest:
        """Ask for the pull requests of the branch, which the API can sort out by itself."""
        owner = place.repository.partition("/")[0]
        wanted = {"state": "all", "head": f"{owner}:{place.branch}", "base": place.base}
        return ApiRequest("GET", _query(f"/repos/{place.repository}/pulls", wanted, self.page_rows, page))

    def create(self, place: Place, title: str, text: str) -> ApiRequest:
        """Propose the branch."""
        body = {"title": title, "head": place.branch, "base": place.base, "body": text}
        return ApiRequest("POST", f"/repos/{place.repository}/pulls", body)

    def update(self, place: Place, number: int, *, title: str, text: str) -> ApiRequest:
        """Give a pull request a new title and text."""
        return ApiRequest("PATCH", f"/repos/{place.repository}/pulls/{number}", {"title": title, "body": text})

    def read(self, answer: bytes, place: Place) -> tuple[int, list[Proposal]]:
        """Return the number of rows, and the pull requests of this branch."""
        return _read_rows(answer, _PullRequest, place)

    def read_one(self, answer: bytes) -> Proposal:
        """Read one pull request."""
        return msgspec.json.decode(answer, type=_PullRequest).proposal()


class Gitea(GitHub):
    """Gitea and Forgejo: GitHub's shapes under other names, and no search by branch."""

    page_rows = 50

    def headers(self, token: str) -> dict[str, str]:
        """Return what every request bears."""
        return {"Authorization": f"token {token}", "Accept": "application/json"}

    def find(self, place: Place, page: int) -> ApiRequest:
        """Ask for all pull requests, those that changed last before the others."""
        path, wanted = f"/repos/{place.repository}/pulls", {"state": "all", "sort": "recentupdate"}
        return ApiRequest("GET", f"{path}?{urlencode({**wanted, 'limit': self.page_rows, 'page': page})}")


class _MergeRequest(Struct, frozen=True, kw_only=True):
    iid: int
    web_url: str
    state: str
    source_branch: str
    target_branch: str
    sha: str | None = None

    @property
    def branches(self) -> tuple[str, str]:
        return self.source_branch, self.target_branch

    def proposal(self) -> Proposal:
        states: dict[str, State] = {"opened": "open", "locked": "open", "merged": "merged"}
        return Proposal(number=self.iid, url=self.web_url, state=states.get(self.state, "closed"), head=self.sha or "")


class GitLab:
    """GitLab, of any host."""

    page_rows = 100

    def headers(self, token: str) -> dict[str, str]:
        """Return what every request bears."""
        return {"PRIVATE-TOKEN": token, "Accept": "application/json"}

    def find(self, place: Place, page: int) -> ApiRequest:
        """Ask for the merge requests of the branch."""
        wanted = {"state": "all", "source_branch": place.branch, "target_branch": place.base}
        return ApiRequest("GET", _query(_merge_requests(place), wanted, self.page_rows, page))

    def create(self, place: Place, title: str, text: str) -> ApiRequest:
        """Propose the branch."""
        branches = {"source_branch": place.branch, "target_branch": place.base}
        return ApiRequest("POST", _merge_requests(place), branches | {"title": title, "description": text})

    def update(self, place: Place, number: int, *, title: str, text: str) -> ApiRequest:
        """Give a merge request a new title and text."""
        return ApiRequest("PUT", f"{_merge_requests(place)}/{number}", {"title": title, "description": text})

    def read(self, answer: bytes, place: Place) -> tuple[int, list[Proposal]]:
        """Return the number of rows, and the merge requests of this branch."""
        return _read_rows(answer, _MergeRequest, place)

    def read_one(self, answer: bytes) -> Proposal:
        """Read one merge request."""
        return msgspec.json.decode(answer, type=_MergeRequest).proposal()


FORGES: dict[str, Forge] = {"github": GitHub(), "gitlab": GitLab(), "gitea": Gitea()}
_API_PATHS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
_SIGNS = {"github": ("github.",), "gitlab": ("gitlab.",), "gitea": ("gitea.", "forgejo.", "codeberg.org")}


def locate(settings: GitSettings) -> tuple[Forge, Place]:
    """Tell which API has the repository, and where. Raises ConfigurationError where the URL does not say."""
    proposal = settings.proposal
    match = _URL.fullmatch(settings.url) or _SCP.fullmatch(settings.url)
    parts: dict[str, Any] = match.groupdict() if match else {}
    host = str(parts.get("host") or "")
    kind = proposal.forge if proposal.forge != "auto" else _guess_forge(host)
    repository = proposal.repository or str(parts.get("path") or "").rstrip("/").removesuffix(".git")
    api_url = proposal.api_url or _guess_api_url(kind, host, parts)
    if not api_url.startswith(("https://", "http://")) or "@" in api_url:
        raise ConfigurationError(
            f"exporter.git.proposal.api_url is {api_url!r}, not the URL of an API (https://HOST{_API_PATHS[kind]})"
        )
    if not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)+", repository):
        raise ConfigurationError(f"exporter.git.proposal.repository is {repository!r}, not OWNER/NAME")
    place = Place(api_url=api_url.rstrip("/"), repository=repository, base=settings.branch, branch=proposal.branch)
    return FORGES[kind], place


def _guess_forge(host: str) -> str:
    for kind, signs in _SIGNS.items():
        if any(f"{host}.".startswith(sign) or f".{sign}" in f".{host}." for sign in signs):
            return kind
    raise ConfigurationError(
        f"whether {host!r} is a GitHub, a GitLab or a Gitea cannot be told (set exporter.git.proposal.forge)"
    )


def _guess_api_url(kind: str, host: str, parts: dict[str, Any]) -> str:
    if host == "github.com":
        return "https://api.github.com"
    if not host:
        return ""
    web = parts.get("scheme") in ("http", "https")
    return f"{parts['scheme'] if web else 'https'}://{host}{(parts.get('port') or '') if web else ''}{_API_PATHS[kind]}"


def _read_rows(answer: bytes, row: type[_PullRequest | _MergeRequest], place: Place) -> tuple[int, list[Proposal]]:
    rows: list[_PullRequest | _MergeRequest] = msgspec.json.decode(answer, type=list[row])  # type: ignore[valid-type]
    return len(rows), [each.proposal() for each in rows if each.branches == (place.branch, place.base)]


def _query(path: str, wanted: dict[str, str], rows: int, page: int) -> str:
    return f"{path}?{urlencode({**wanted, 'per_page': rows, 'page': page})}"


def _merge_requests(place: Place) -> str:
    return f"/projects/{quote(place.repository, safe='')}/merge_requests"
