"""Clones on a disk that outlives their exporters."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from sink_exporter.clone_folder import make_clone_folder

LIVES = """
from sink_exporter.clone_folder import make_clone_folder
with make_clone_folder() as folder:
    (folder / "f").write_text("x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A place for temporary files of this test alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def start():
    process = subprocess.Popen([sys.executable, "-c", LIVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_what_a_killed_exporter_left_is_removed_and_a_living_one_is_left_alone(place):
    dead, left = start()
    dead.send_signal(signal.SIGKILL)
    dead.communicate(timeout=30)
    assert os.path.exists(left)  # noqa: PTH110  (the text that the process wrote)
    alive, used = start()
    try:
        with make_clone_folder() as folder:
            assert {str(path) for path in place.iterdir()} == {used, str(folder)}
    finally:
        alive.communicate("\n", timeout=30)
    assert list(place.iterdir()) == []


def test_what_only_looks_like_a_clone_is_left_alone(place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "f").write_text("x")
    (place / "whocalls-git-link").symlink_to(elsewhere)
    (place / "whocalls-git-file").write_text("x")
    with make_clone_folder() as folder:
        assert folder.is_dir()
    assert (elsewhere / "f").exists()
    assert sorted(path.name for path in place.iterdir()) == ["whocalls-git-file", "whocalls-git-link"]
