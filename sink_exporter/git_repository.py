"""A clone of the repository that holds the map. Shell: the `git` binary.

The clone is disposable: it is reset to the remote before each export, so there is nothing to merge and no conflict.
A token is read by git's credential protocol from its file when git asks: it is never in an argument, the environment,
the URL, a log or the clone's configuration.

A proposal is a second branch. It is continued where it stands, and begun anew from the branch that it is meant for only
when nobody else has committed to it, or when all that it says has arrived there. Source: git-config(1), git-push(1)
"--porcelain" and "--force-with-lease", gitcredentials(7).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path, PurePosixPath

from callgraph.errors import ConfigurationError, UnreachableError, WhocallsError
from sink_exporter.git_token import LentToken, has_token
from sink_exporter.settings import GitSettings

_GIT_SECONDS = 120.0
_PASSED_ON = (
    "PATH",
    "HOME",
    "SSL_CERT_FILE",
    "TMPDIR",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "no_proxy",
    "NO_PROXY",
)
_CREDENTIALS_IN_URL = re.compile(r"[a-z+]+://[^/@]*:[^/@]*@")
_CREDENTIAL_HELPER = (
    '!f() { test "$1" = get && echo "username=$WHOCALLS_GIT_USER" '
    '&& echo "password=$(cat "$WHOCALLS_GIT_TOKEN_FILE")"; }; f'
)
_MOVED_ON = re.compile(
    r"\[rejected\]|cannot lock ref|failed to update ref|incorrect old value|reference already exists"
)
_UNREACHABLE = re.compile(r"Could not resolve host|unable to access|Connection refused|timed out|Could not read from")


class GitError(WhocallsError):
    """Git refuses what it was asked to do."""


class RejectedPushError(Exception):
    """Somebody else has pushed in the meantime."""


class GitRepository:
    """One branch of a remote, perhaps another that is proposed for it, and the clone that follows them."""

    def __init__(self, folder: Path, settings: GitSettings) -> None:
        check_remote(settings)
        self.folder = folder
        self._settings = settings
        self._token = LentToken(settings) if has_token(settings) else None
        self._environment = _environment(settings, self._token.path if self._token else "")
        self._proposal = "" if settings.mode == "direct" else settings.proposal.branch
        self._known: dict[str, str] = {}

    def reset(self) -> None:
        """Make the clone what the remote's branch is now; a branch that is not there yet begins empty.

        Raises UnreachableError and GitError.
        """
        if not (self.folder / ".git").is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", f"--initial-branch={self._settings.branch}")
            local = Path(self._settings.url)  # git runs elsewhere, so a relative path would mean another place
            self._git("remote", "add", "origin", str(local.resolve()) if local.is_dir() else self._settings.url)
        self._known = self._ask_heads()
        if self._known.get(self._settings.branch):
            self._stand_on(self._fetch(self._settings.branch))
        elif self._proposal:
            raise GitError(
                f"{self._settings.url!r} has no branch {self._settings.branch!r} that a proposal could be made for "
                "(push a first commit to it, or set exporter.git.mode to direct)"
            )
        else:
            self._git("clean", "--quiet", "-ffdx")

    def resume_proposal(self) -> bool:
        """Stand on the tip of the proposal, after `reset`; False where there is none, or it is to begin anew."""
        if not self._known.get(self._proposal):
            return False
        base, tip = self.head(), self._fetch(self._proposal)
        fork = self._run("merge-base", base, tip).stdout.strip()
        if not fork:
            raise GitError(
                f"the branch {self._proposal!r} has no history in common with {self._settings.branch!r} "
                "(is it somebody's? set exporter.git.proposal.branch to another name)"
            )
        if self._is_superseded(base, fork, tip):
            return False
        self._stand_on(tip)
        return True

    def commit(self, path: str, message: str) -> bool:
        """Commit what changed below a path; returns whether anything did."""
        self._git("add", "--all", "--", path)
        if self._run("diff", "--cached", "--quiet").returncode == 0:
            return False
        self._git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--file=-", text=message)
        return True

    def push(self) -> None:
        """Push the commit. Raises RejectedPushError when the remote has moved on.

        What a proposal said before is replaced only if it is still what was looked at.
        """
        branch = self._proposal or self._settings.branch
        lease = (f"--force-with-lease=refs/heads/{branch}:{self._known.get(branch, '')}",) if self._proposal else ()
        done = self._run("push", "--porcelain", *lease, "origin", f"HEAD:refs/heads/{branch}")
        if done.returncode and _MOVED_ON.search(done.stdout):
            raise RejectedPushError(_reason(done))
        _check(done, "push")
        self._known[branch] = self.head()

    def try_push(self) -> None:
        """See whether the remote would take a commit, without giving it one. Hooks of the remote are not asked.

        Raises UnreachableError and GitError.
        """
        self._git("commit", "--quiet", "--allow-empty", "--no-verify", "--no-gpg-sign", "--message=a try")
        self._git("push", "--dry-run", "--porcelain", "origin", f"HEAD:refs/heads/{self._settings.branch}")

    def head(self) -> str:
        """Return the commit of the clone, empty before the first one."""
        done = self._run("rev-parse", "--verify", "--quiet", "HEAD")
        return done.stdout.strip()

    def has_moved(self) -> bool:
        """Ask whether somebody has pushed since the last reset or push. Raises UnreachableError."""
        return self._ask_heads() != self._known

    def _is_superseded(self, base: str, fork: str, tip: str) -> bool:
        """Tell whether the proposal may begin anew: it has arrived, or it is all ours and would not merge cleanly."""
        proposed = self._changed_files(fork, tip)
        if not proposed & self._changed_files(base, tip):
            return True
        committers = self._git("log", "--format=%ce", f"{fork}..{tip}").split("\n")
        ours = all(email == self._settings.author_email for email in committers if email)
        return ours and bool(proposed & self._changed_files(fork, base))

    def _changed_files(self, before: str, after: str) -> set[str]:
        return set(self._git("diff", "--name-only", "--no-renames", "-z", before, after).split("\0")) - {""}

    def _ask_heads(self) -> dict[str, str]:
        """Return the commits of the branches that are there. Raises UnreachableError."""
        branches = [f"refs/heads/{name}" for name in (self._settings.branch, self._proposal) if name]
        lines = self._git("ls-remote", "origin", *branches).splitlines()
        return {
            name.removeprefix("refs/heads/"): commit for commit, _, name in (line.partition("\t") for line in lines)
        }

    def _fetch(self, branch: str) -> str:
        """Fetch a branch, with its history only where two branches are compared; return its commit."""
        depth = () if self._proposal else ("--depth=1",)
        self._git("fetch", "--quiet", *depth, "--no-tags", "origin", f"+refs/heads/{branch}")
        self._known[branch] = self._git("rev-parse", "--verify", "FETCH_HEAD").strip()
        return self._known[branch]

    def _stand_on(self, commit: str) -> None:
        self._git("reset", "--quiet", "--hard", commit)
        self._git("clean", "--quiet", "-ffdx")

    def _git(self, *arguments: str, text: str | None = None) -> str:
        done = self._run(*arguments, text=text)
        _check(done, arguments[0])
        return done.stdout

    def _run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603  (fixed words; the URL and the branch are checked)
                ["git", *arguments],  # noqa: S607  (wherever the image has it)
                cwd=self.folder,
                env=self._environment,
                input=text or "",
                capture_output=True,
                text=True,
                errors="backslashreplace",
                timeout=_GIT_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise GitError("there is no git to be run (install git where the exporter runs)") from error
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"git {arguments[0]} took longer than {_GIT_SECONDS:g} s (does {self._settings.url!r} answer?)"
            ) from error


def check_remote(settings: GitSettings) -> None:
    """Refuse a URL that holds a secret or is no URL, and a branch that is an option. Raises ConfigurationError."""
    if _CREDENTIALS_IN_URL.match(settings.url):
        raise ConfigurationError("exporter.git.url holds a password (put it into a file: exporter.git.token_file)")
    if not settings.url or settings.url.startswith("-") or "::" in settings.url:
        raise ConfigurationError(f"exporter.git.url is {settings.url!r}, not the URL or path of a repository")
    for key, branch in (("branch", settings.branch), ("proposal.branch", settings.proposal.branch)):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]*", branch):
            raise ConfigurationError(f"exporter.git.{key} is {branch!r}, not the name of a branch")
    if settings.mode != "direct" and settings.branch == settings.proposal.branch:
        raise ConfigurationError(f"exporter.git.proposal.branch is {settings.branch!r}, as exporter.git.branch is")
    folder = PurePosixPath(settings.path)
    if folder.is_absolute() or ".." in folder.parts or not folder.parts or folder.parts[0] in (".git", "-"):
        raise ConfigurationError(f"exporter.git.path is {settings.path!r}, not a folder below the repository's root")


def _environment(settings: GitSettings, token_file: str) -> dict[str, str]:
    """Build git's whole environment: nobody's configuration, no prompt, and the files with the secrets by name."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
    }
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": settings.author_name, f"GIT_{role}_EMAIL": settings.author_email}
    if settings.ssh_key_file:
        environment["GIT_SSH_COMMAND"] = _ssh_command(settings)
    if token_file:
        environment |= {
            "WHOCALLS_GIT_USER": settings.user,
            "WHOCALLS_GIT_TOKEN_FILE": token_file,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": _CREDENTIAL_HELPER,
        }
    return environment


def _ssh_command(settings: GitSettings) -> str:
    known = f" -o UserKnownHostsFile={shlex.quote(settings.known_hosts_file)}" if settings.known_hosts_file else ""
    return (
        f"ssh -i {shlex.quote(settings.ssh_key_file)} -o IdentitiesOnly=yes -o BatchMode=yes "
        f"-o StrictHostKeyChecking=yes{known}"
    )


def _check(done: subprocess.CompletedProcess[str], command: str) -> None:
    if done.returncode == 0:
        return
    reason = _reason(done)
    if _UNREACHABLE.search(done.stderr):
        raise UnreachableError(f"git {command} does not reach the repository: {reason} (check exporter.git.url)")
    raise GitError(f"git {command} failed: {reason} (check exporter.git and the rights of its key or token)")


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says most: the refusal of a reference, else the first error."""
    lines = [" ".join(line.split()) for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    for sign in ("!", "fatal:", "error:", ""):
        if told := [line for line in lines if line.startswith(sign)]:
            return told[0]
    return "it said nothing"
