"""The pull-request APIs of three forges, as far as they are used: a server that takes no request it does not expect.

What is wrong with a request is remembered in `complaints` and answered with 400; a test asserts that there are none.
"""

import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback_server import serve_on_loopback

TOKEN = "forge-secret-token"
REPOSITORY = "platform/maps"
JSON = "application/json"


class GitHubApi:
    """Rows and rules of GitHub's REST API, version 2022-11-28."""

    kind = "github"
    search: ClassVar = {
        "state": ["all"],
        "head": ["platform:whocalls/callgraph"],
        "base": ["main"],
        "per_page": ["100"],
    }
    rows_path = "/repos/platform/maps/pulls"
    change = "PATCH"
    created = 201

    def headers(self):
        return {
            "Authorization": f"Bearer {TOKEN}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "whocalls",
        }

    def read(self, body):
        return {"title": body["title"], "text": body["body"]} | (
            {"branch": body["head"], "base": body["base"]} if "head" in body else {}
        )

    def row(self, pull):
        return {
            "number": pull["number"],
            "html_url": f"https://forge/{REPOSITORY}/pull/{pull['number']}",
            "state": "open" if pull["state"] == "open" else "closed",
            "merged_at": "2026-01-01T00:00:00Z" if pull["state"] == "merged" else None,
            "title": pull["title"],
            "head": {"ref": pull["branch"], "sha": pull["sha"]},
            "base": {"ref": pull["base"], "sha": "0" * 40},
        }

    def find(self, pulls, query):
        return [pull for pull in pulls if f"platform:{pull['branch']}" == query["head"][0]]


class GiteaApi(GitHubApi):
    """Gitea: all pull requests of the repository, a page at a time."""

    kind = "gitea"
    change = "PATCH"
    search: ClassVar = {"state": ["all"], "sort": ["recentupdate"], "limit": ["50"]}

    def headers(self):
        return {"Authorization": f"token {TOKEN}", "Accept": JSON, "User-Agent": "whocalls"}

    def find(self, pulls, query):
        first = (int(query["page"][0]) - 1) * 50
        return pulls[first : first + 50]


class GitLabApi(GitHubApi):
    """GitLab, version 4 of its API: a project is its whole path, in one segment."""

    kind = "gitlab"
    rows_path = "/projects/platform%2Fmaps/merge_requests"
    change = "PUT"
    search: ClassVar = {
        "state": ["all"],
        "source_branch": ["whocalls/callgraph"],
        "target_branch": ["main"],
        "per_page": ["100"],
    }

    def headers(self):
        return {"PRIVATE-TOKEN": TOKEN, "Accept": JSON, "User-Agent": "whocalls"}

    def read(self, body):
        return {"title": body["title"], "text": body["description"]} | (
            {"branch": body["source_branch"], "base": body["target_branch"]} if "source_branch" in body else {}
        )

    def row(self, pull):
        return {
            "id": 1000 + pull["number"],
            "iid": pull["number"],
            "web_url": f"https://forge/{REPOSITORY}/-/merge_requests/{pull['number']}",
            "state": {"open": "opened"}.get(pull["state"], pull["state"]),
            "title": pull["title"],
            "sha": pull["sha"],
            "source_branch": pull["branch"],
            "target_branch": pull["base"],
        }

    def find(self, pulls, query):
        return [pull for pull in pulls if pull["branch"] == query["source_branch"][0]]


APIS = {api.kind: api for api in (GitHubApi(), GiteaApi(), GitLabApi())}


class ForgeServer:
    """One repository's proposals. `sha_of` tells which commit a branch is at; `answer` replaces the next answers."""

    def __init__(self, api, sha_of):
        self.api = api
        self.pulls = []
        self.requests = []
        self.complaints = []
        self.answer = None
        self._sha_of = sha_of

    def add(self, **fields):
        number = len(self.pulls) + 1
        self.pulls.insert(0, {"number": number, "state": "open", "title": "t", "text": "x", "base": "main"} | fields)

    def take(self, method, path, headers, body):
        """Check a request and answer it: a status and what is sent as JSON."""
        self.requests.append((method, path))
        if self.answer is not None:
            return self.answer
        parts = urlsplit(path)
        for name, value in self.api.headers().items():
            if headers.get(name) != value:
                self.complaints.append(f"{method} {path}: {name} is {headers.get(name)!r}, not {value!r}")
                return 401, {"message": "Bad credentials"}
        if body is not None and headers.get("Content-Type") != JSON:
            self.complaints.append(f"{method} {path}: the body is {headers.get('Content-Type')!r}")
        return self._route(method, parts, body)

    def _route(self, method, parts, body):
        number = re.fullmatch(re.escape(self.api.rows_path) + r"/(\d+)", parts.path)
        query = parse_qs(parts.query)
        if method == "GET" and parts.path == self.api.rows_path and body is None:
            wanted = {name: value for name, value in query.items() if name != "page"}
            if wanted != self.api.search:
                self.complaints.append(f"it searches for {wanted}, not {self.api.search}")
            return 200, [self._row(pull) for pull in self.api.find(self.pulls, query)]
        if method == "POST" and parts.path == self.api.rows_path:
            asked = self.api.read(json.loads(body))
            if any(pull["state"] == "open" and pull["branch"] == asked["branch"] for pull in self.pulls):
                return 409 if self.api.kind != "github" else 422, {"message": "it already exists"}
            self.add(**asked)
            return self.api.created, self._row(self.pulls[0])
        if method == self.api.change and number:
            pull = next(pull for pull in self.pulls if pull["number"] == int(number[1]))
            pull |= self.api.read(json.loads(body))
            return 200, self._row(pull)
        self.complaints.append(f"{method} {unquote(parts.path)} is nothing that this API has")
        return 404, {"message": "Not Found"}

    def _row(self, pull):
        return self.api.row({"sha": self._sha_of(pull["branch"])} | pull)


@contextmanager
def serve_forge(server):
    """Serve it on loopback; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self):
            length = self.headers.get("Content-Length")
            body = self.rfile.read(int(length)) if length else None
            status, value = server.take(self.command, self.path, self.headers, body)
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    for method in ("GET", "POST", "PATCH", "PUT"):
        setattr(Handler, f"do_{method}", Handler._serve)
    with serve_on_loopback(Handler) as address:
        yield address
