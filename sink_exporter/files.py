"""Files that are either the old or the new version, never half of one. Shell: the file system.

Each file is written under a temporary name in its own folder, fsynced and renamed; only when its bytes change. What an
export has written stands in its manifest, `.whocalls/manifest.json`: first as intended (`complete: false`), then, when
all of it is on the disk, with the digests of all files (`complete: true`). Only files of the manifest are ever removed.
Source: rename(2), fsync(2), open(2).
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import UNSET, Struct, UnsetType

from callgraph.errors import InputError, WhocallsError

MANIFEST = ".whocalls/manifest.json"
EDITED = ".whocalls/edited"
_TEMPORARY_PREFIX = ".whocalls-"
_TEMPORARY = re.compile(r"\.whocalls-[0-9a-f]{16}\.tmp")


class OutputError(WhocallsError):
    """The disk does not take what was to be written."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What an export has written: path below the folder to SHA-256 (hexadecimal).

    `before` stands there while it is not complete: what else we may have left in a file, so that edits are told apart.
    """

    version: int = 1
    complete: bool = False
    files: dict[str, str] = {}
    before: dict[str, tuple[str, ...]] | UnsetType = UNSET

    def ours(self, name: str) -> set[str]:
        """Return the digests of everything that we may have written to a file."""
        earlier = () if self.before is UNSET else self.before.get(name, ())
        return {*earlier, *((self.files[name],) if name in self.files else ())}


class ExportResult(Struct, frozen=True, kw_only=True):
    """What an export did, as paths below the folder; `edited` were changed by someone else and are kept aside."""

    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Tell whether anything on the disk is different now."""
        return bool(self.written or self.removed)


def write_atomically(path: Path, content: bytes) -> bool:
    """Write a file unless it holds these bytes already. Returns whether it was written. Raises OutputError."""
    try:
        if _read(path) == content:
            return False
        _write_all({path: content})
    except OSError as error:
        raise _output_error(path, error) from error
    return True


def replace_files(out: Path, files: Mapping[str, bytes], *, keep_edited: bool = True) -> ExportResult:
    """Make the files of an export exactly these, in a folder that may hold other people's files too.

    What somebody wrote into generated files is kept aside, unless something else remembers it (a repository).
    Raises OutputError: a full disk, a folder that may not be written, a file where a folder should be.
    """
    try:
        with _locked(out / MANIFEST):
            return _replace_files(out, read_manifest(out), files, keep_edited=keep_edited)
    except OSError as error:
        raise _output_error(out, error) from error


def read_manifest(out: Path) -> Manifest:
    """Read the manifest of a folder; an empty one where there is none. Raises InputError."""
    path = out / MANIFEST
    try:
        content = _read(path)
        return Manifest() if content is None else msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise _output_error(path, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{str(path)!r} is not a manifest of whocalls: {error} (remove it to start anew; other files stay)"
        ) from error


def read_file(path: Path) -> bytes | None:
    """Read a file; None where there is none. Raises InputError."""
    try:
        return _read(path)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error


def read_export(out: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Read the files of the last export, and those of these names that are there besides. Raises OutputError."""
    listed = sorted({*read_manifest(out).files, *names})
    for name in listed:
        check_inside(out, name)
    try:
        found = ((name, _read(out / name)) for name in listed)
        return {name: content for name, content in found if content is not None}
    except OSError as error:
        raise _output_error(out, error) from error


def _replace_files(out: Path, known: Manifest, files: Mapping[str, bytes], *, keep_edited: bool) -> ExportResult:
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    stale = tuple(sorted(name for name in known.files if name not in files))
    for name in (*files, *stale):
        check_inside(out, name)
    found = {name: _digest(out / name) for name in (*files, *stale)}
    changed = sorted(name for name in files if found[name] != digests[name])
    if known.complete and known.files == digests and not changed:
        return ExportResult()
    edited = tuple(name for name in (*changed, *stale) if _is_edited(known.ours(name), found[name]))
    _clear_rests({(out / name).parent for name in (MANIFEST, *files, *stale)})
    _keep_aside(out, edited if keep_edited else ())
    before = {name: tuple(sorted(known.ours(name))) for name in known.files}
    _write_manifest(out, Manifest(complete=False, files=known.files | digests, before=before))
    _write_all({out / name: files[name] for name in changed})
    _remove_all(out / name for name in stale)
    _write_manifest(out, Manifest(complete=True, files=digests))
    return ExportResult(
        written=tuple(changed), removed=tuple(name for name in stale if found[name] is not None), edited=edited
    )


def _is_edited(ours: set[str], found: str | None) -> bool:
    """Tell whether somebody else wrote what a file holds; of a file that we never wrote, nobody asks."""
    return bool(ours) and found is not None and found not in ours


@contextmanager
def _locked(manifest: Path) -> Iterator[None]:
    """Wait for another export into the same folder: flock(2), freed by any end of the process."""
    manifest.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(manifest.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear_rests(folders: Iterable[Path]) -> None:
    """Remove what an export that was killed left under temporary names."""
    for folder in folders:
        _remove_all(path for path in folder.glob(f"{_TEMPORARY_PREFIX}*.tmp") if _TEMPORARY.fullmatch(path.name))


def _write_manifest(out: Path, manifest: Manifest) -> None:
    ordered = msgspec.structs.replace(manifest, files=dict(sorted(manifest.files.items())))
    _write_all({out / MANIFEST: msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n"})


def _write_all(files: Mapping[Path, bytes]) -> None:
    """Put all new versions on the disk before the first one takes its place; then sync each folder once."""
    temporary: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary[path] = path.with_name(f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp")
            _write_new(temporary[path], content)
        for path, new in temporary.items():
            new.replace(path)
    finally:
        for new in temporary.values():
            new.unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        _sync_folder(folder)


def _write_new(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _keep_aside(out: Path, names: Iterable[str]) -> None:
    """Keep what somebody wrote into generated files, so that nothing of it is lost."""
    _write_all({out / EDITED / name: (out / name).read_bytes() for name in names})


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _digest(path: Path) -> str | None:
    content = _read(path)
    return None if content is None else sha256(content).hexdigest()


def check_inside(out: Path, name: str) -> None:
    """Refuse a path that leaves the folder, be it by its text or by a symbolic link on its way. Raises OutputError."""
    relative = PurePosixPath(name)
    inside = not relative.is_absolute() and ".." not in relative.parts and relative.parts
    if not inside or not (out / name).parent.resolve().is_relative_to(out.resolve()):
        raise OutputError(f"will not touch {str(out / name)!r}: it lies outside the folder {str(out)!r}")


def _output_error(path: Path, error: OSError) -> OutputError:
    where = str(error.filename) if error.filename else str(path)
    return OutputError(f"cannot write {where!r}: {error.strerror} (the export needs a folder it may write, with room)")
