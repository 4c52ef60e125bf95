"""Files as they stand in a revision of a git repository. Shell: the `git` binary, read only.

`REVISION:PATH` is git's own way to name a file or folder: `HEAD~1:callgraph`, `origin/main:callgraph`; the repository
is that of the working folder. Source: gitrevisions(7), git-archive(1).
"""

from __future__ import annotations

import io
import subprocess
import tarfile

from callgraph.errors import InputError, WhocallsError

_LONGEST_SECONDS = 60.0


def read_revision(spec: str) -> dict[str, bytes]:
    """Return the files that a revision holds below a path, by their paths below it: `""` for a file itself.

    Raises InputError.
    """
    if spec.startswith("-") or ":" not in spec:
        raise InputError(f"{spec!r} is no REVISION:PATH of git (HEAD~1:callgraph)")
    kind = _git(spec, "cat-file", "-t", spec).strip()
    if kind == b"blob":
        return {"": _git(spec, "cat-file", "blob", spec)}
    if kind != b"tree":
        raise InputError(f"{spec!r} is a {kind.decode()} of git, not a file or folder")
    with tarfile.open(fileobj=io.BytesIO(_git(spec, "archive", "--format=tar", spec))) as archive:
        files = ((member.name, archive.extractfile(member)) for member in archive if member.isfile())
        return {name: content.read() for name, content in files if content}


def _git(spec: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, timeout=_LONGEST_SECONDS, check=False)  # noqa: S603, S607  (no shell; the user's git)
    except FileNotFoundError as error:
        raise WhocallsError("comparing revisions needs the program git, which is not in PATH") from error
    except subprocess.TimeoutExpired as error:
        raise WhocallsError(f"git did not answer within {_LONGEST_SECONDS:g} s about {spec!r}") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise InputError(f"git has nothing at {spec!r}: {reason} (expected REVISION:PATH, as HEAD~1:callgraph)")
    return done.stdout
