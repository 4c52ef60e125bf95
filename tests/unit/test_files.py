"""Exports on a disk: whole or not at all, and nobody else's files."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from callgraph.errors import InputError, WhocallsError
from sink_exporter.files import EDITED, MANIFEST, read_manifest, replace_files, write_atomically
from tests.unit.dying_export import NEW, OLD

FILES = {"namespaces/a.yaml": b"a\n", "namespaces/b.yaml": b"b\n", "callgraph.txt": b"text\n"}


def contents(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and ".whocalls" not in path.parts
    }


def test_an_export_writes_its_files_and_says_which(tmp_path):
    result = replace_files(tmp_path / "out", FILES)
    assert result.written == ("callgraph.txt", "namespaces/a.yaml", "namespaces/b.yaml")
    assert contents(tmp_path / "out") == FILES
    assert set(read_manifest(tmp_path / "out").files) == set(FILES)


def test_files_have_the_permissions_of_ordinary_files(tmp_path):
    before = os.umask(0o022)
    try:
        replace_files(tmp_path, FILES)
    finally:
        os.umask(before)
    assert (tmp_path / "callgraph.txt").stat().st_mode & 0o777 == 0o644


def test_the_same_export_again_touches_nothing(tmp_path):
    replace_files(tmp_path, FILES)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")}
    assert not replace_files(tmp_path, FILES).changed
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")} == before


def test_only_the_changed_file_is_written(tmp_path):
    replace_files(tmp_path, FILES)
    before = (tmp_path / "namespaces/b.yaml").stat().st_ino
    assert replace_files(tmp_path, FILES | {"namespaces/a.yaml": b"new\n"}).written == ("namespaces/a.yaml",)
    assert (tmp_path / "namespaces/b.yaml").stat().st_ino == before


def test_a_vanished_namespace_takes_its_file_along(tmp_path):
    replace_files(tmp_path, FILES)
    rest = {name: content for name, content in FILES.items() if name != "namespaces/b.yaml"}
    assert replace_files(tmp_path, rest).removed == ("namespaces/b.yaml",)
    assert contents(tmp_path) == rest


def test_files_of_other_people_stay(tmp_path):
    replace_files(tmp_path, FILES)
    (tmp_path / "namespaces/human.yaml").write_bytes(b"mine\n")
    replace_files(tmp_path, {})
    assert contents(tmp_path) == {"namespaces/human.yaml": b"mine\n"}


def test_an_edited_file_is_kept_aside_before_it_is_replaced(tmp_path):
    replace_files(tmp_path, FILES)
    (tmp_path / "namespaces/a.yaml").write_bytes(b"by hand\n")
    result = replace_files(tmp_path, FILES)
    assert (result.edited, result.written) == (("namespaces/a.yaml",), ("namespaces/a.yaml",))
    assert (tmp_path / EDITED / "namespaces/a.yaml").read_bytes() == b"by hand\n"
    assert contents(tmp_path) == FILES


def test_a_file_that_someone_removed_comes_back(tmp_path):
    replace_files(tmp_path, FILES)
    (tmp_path / "callgraph.txt").unlink()
    assert replace_files(tmp_path, FILES).written == ("callgraph.txt",)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "..", "a/.."])
def test_no_path_leaves_the_folder(tmp_path, name):
    with pytest.raises(WhocallsError, match="outside the folder"):
        replace_files(tmp_path / "out", {name: b"x"})


def test_a_forged_manifest_removes_nothing_outside(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"x")
    out = tmp_path / "out"
    (out / ".whocalls").mkdir(parents=True)
    (out / MANIFEST).write_text('{"version":1,"complete":true,"files":{"../victim":"00"}}')
    with pytest.raises(WhocallsError, match="outside the folder"):
        replace_files(out, FILES)
    assert victim.exists()


def test_a_symbolic_link_does_not_lead_outside(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/namespaces").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WhocallsError, match="outside the folder"):
        replace_files(tmp_path / "out", FILES)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_broken_manifest_is_named(tmp_path):
    (tmp_path / ".whocalls").mkdir()
    (tmp_path / MANIFEST).write_bytes(b"{")
    with pytest.raises(InputError, match=r"manifest\.json"):
        replace_files(tmp_path, FILES)


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(WhocallsError, match="cannot write"):
        replace_files(tmp_path / "out", FILES)


def test_a_folder_where_a_file_should_be_is_one_sentence(tmp_path):
    (tmp_path / "callgraph.txt").mkdir()
    with pytest.raises(WhocallsError, match=r"cannot write .*callgraph\.txt"):
        replace_files(tmp_path, FILES)


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path):
    """/dev/full stands for the disk: a limit on the size of files gives the same failed write."""
    write_atomically(tmp_path / "f", b"old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from sink_exporter.files import write_atomically;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "write_atomically(Path(sys.argv[1]), b'x' * 1000)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "f")], capture_output=True, check=False)
    assert b"OutputError: cannot write" in run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"f"}
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_read_only_folder_is_one_sentence(tmp_path):
    if os.geteuid() == 0:
        folder = Path("/proc/whocalls")
    else:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
    with pytest.raises(WhocallsError, match="cannot write"):
        replace_files(folder, FILES)


@pytest.fixture(scope="module")
def killed_exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, Path(__file__).parent / "dying_export.py", root], check=True, timeout=300)
    return root


@pytest.fixture
def killed(killed_exports, tmp_path):
    """Folders of exports that were killed (signal 9), each at the next write, rename or sync; the last one lived."""
    shutil.copytree(killed_exports, tmp_path / "killed")
    return sorted((tmp_path / "killed").iterdir(), key=lambda folder: int(folder.name))


def test_killed_at_any_step_the_folder_is_the_old_or_the_new_export_or_is_not_called_complete(killed):
    whole = []
    for out in killed:
        manifest, found = read_manifest(out), contents_without_rests(out)
        if manifest.complete:
            assert found in (OLD, NEW)
            assert manifest.files == {name: sha256(content).hexdigest() for name, content in found.items()}
        else:
            assert set(manifest.files) >= set(found)
        assert all(content in (OLD.get(name), NEW.get(name)) for name, content in found.items())
        whole.append((manifest.complete, found == OLD, found == NEW))
    assert len(killed) > 60
    assert whole[0] == (True, True, False)
    assert whole[-1] == (True, False, True)
    assert (False, False, False) in whole  # there were mixtures to be had


def test_after_a_kill_the_next_export_is_whole_and_leaves_no_rest(killed):
    for out in killed:
        replace_files(out, NEW)
        assert contents(out) == NEW
        assert read_manifest(out).complete
        assert not (out / EDITED).exists()
        replace_files(out, OLD)
        assert not list(out.rglob("*.tmp"))


def test_an_edit_is_told_from_what_an_export_left_that_was_killed(killed):
    mixed = [out for out in killed if not read_manifest(out).complete]
    assert mixed
    for out in mixed:
        (out / "namespaces/a.yaml").write_bytes(b"by hand\n")
        assert replace_files(out, NEW).edited == ("namespaces/a.yaml",)
        assert (out / EDITED / "namespaces/a.yaml").read_bytes() == b"by hand\n"


def contents_without_rests(out):
    return {name: content for name, content in contents(out).items() if not name.endswith(".tmp")}
