"""Exports on a disk: whole or not at all, and nobody else's files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from callgraph.errors import InputError, WhocallsError
from sink_exporter.files import EDITED, MANIFEST, read_manifest, replace_files, write_atomically

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


def test_killed_at_any_step_the_folder_is_never_a_mixture_called_complete(tmp_path):
    """Dies before each operation that changes the disk in turn; afterwards the next export makes it whole."""
    script = Path(__file__).parent / "dying_export.py"
    new = FILES | {"namespaces/a.yaml": b"new\n", "namespaces/c.yaml": b"c\n"}
    del new["namespaces/b.yaml"]
    for step in range(1, 200):
        out = tmp_path / str(step)
        replace_files(out, FILES)
        code = subprocess.run([sys.executable, script, str(out), str(step)], check=False).returncode
        manifest = read_manifest(out)
        if manifest.complete:
            assert contents_without_rests(out) in (FILES, new)
        else:
            assert set(manifest.files) >= set(contents_without_rests(out))
        replace_files(out, new)
        assert contents(out) == new
        if code == 0:
            break
    assert code == 0
    assert step > 10


def contents_without_rests(out):
    return {name: content for name, content in contents(out).items() if not name.endswith(".tmp")}
