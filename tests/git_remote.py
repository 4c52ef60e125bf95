"""A git remote for the tests: a bare repository, a person who commits to it, a server that asks for a token."""

import base64
import itertools
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger
from sink_exporter.publishers import GitPublisher
from sink_exporter.settings import ExporterSettings, GitSettings
from tests.loopback_server import serve_on_loopback

PERSON = {
    "GIT_AUTHOR_NAME": "person",
    "GIT_AUTHOR_EMAIL": "p@x",
    "GIT_COMMITTER_NAME": "person",
    "GIT_COMMITTER_EMAIL": "p@x",
}
ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | PERSON


def git(folder, *arguments, check=True):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def make_remote(folder: Path) -> Path:
    folder.mkdir()
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    return folder


class Person:
    """Somebody with a clone, who commits a file and pushes until it is through."""

    def __init__(self, folder: Path, remote: Path, branch: str = "main"):
        git(folder.parent, "clone", "--quiet", str(remote), str(folder))
        self.folder = folder
        self._branch = branch

    def push(self, name: str, content: str) -> None:
        while True:
            git(self.folder, "fetch", "--quiet", "origin")
            if git(self.folder, "ls-remote", "origin", f"refs/heads/{self._branch}"):
                git(self.folder, "reset", "--quiet", "--hard", f"origin/{self._branch}")
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            git(self.folder, "add", "--", name)
            git(self.folder, "commit", "--quiet", "-m", f"person: {name}")
            done = subprocess.run(
                ["git", "push", "--quiet", "origin", f"HEAD:refs/heads/{self._branch}"],
                cwd=self.folder,
                env=ENVIRONMENT,
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                return


class PublisherMaker:
    """Makes exporters into one remote, each with a clone of its own; all log into `lines`."""

    def __init__(self, folder: Path, url: Path, lines, **defaults):
        self._folder = folder
        self._lines = lines
        self._defaults = {"url": str(url)} | defaults
        self._numbers = itertools.count()

    def __call__(self, **settings) -> GitPublisher:
        exporter = ExporterSettings(git=GitSettings(**(self._defaults | settings)))
        log = LeanLogger(LogSettings(format="json"), self._lines)
        return GitPublisher(exporter, log, self._folder / f"clone-{next(self._numbers)}")


def both_at_once(rounds, one, other):
    """Call both with the number of each round, `one` on a thread, and let both set out at the same moment."""
    start = threading.Barrier(2, timeout=600)
    failures = []

    def repeat():
        try:
            for number in range(rounds):
                start.wait()
                one(number)
        except BaseException as error:  # noqa: BLE001  (a thread's failure must reach the test)
            failures.append(error)
            start.abort()

    thread = threading.Thread(target=repeat)
    thread.start()
    for number in range(rounds):
        start.wait()
        other(number)
    thread.join(600)
    assert failures == []


def empty_commits(remote, branch):
    """Return the commits of a branch that change nothing."""
    changed = git(remote, "log", "--format=%x00%h", "--name-only", branch).split("\0")[1:]
    return [entry.strip() for entry in changed if len(entry.splitlines()) < 2]


@contextmanager
def serve_with_token(folder: Path, token: str):
    """Serve the repositories below a folder over HTTP to whoever shows the token; yields the address."""
    wanted = "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()
    backend = Path(git(folder, "--exec-path").strip(), "git-http-backend")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._serve()

        def do_POST(self):
            self._serve()

        def _serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                [backend], input=body, env=self._cgi(path, query), capture_output=True, check=True, timeout=60
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _cgi(self, path, query):
            return ENVIRONMENT | {
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "REMOTE_USER": "whocalls",
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }

        def log_message(self, *_):
            pass

    with serve_on_loopback(Handler) as address:
        yield address
