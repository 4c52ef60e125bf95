"""Sockets from /proc: namespaces, pods, and processes that are gone. Made-up trees, and this machine's own /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capture_agent.proc import Namespace, ProcReader, find_pod_uid
from capture_agent.reading_turns import ReadingTurns

UID = "0b1d4d66-3c5f-4a86-9ad6-0a64a1a6f6cd"
OTHER_UID = "7c2f9a10-58be-4c1d-8f3e-6f0d2b9e4a71"
SYSTEMD_UID = UID.replace("-", "_")
TABLE = (
    "  sl  local_address rem_address   st\n"
    "   0: 0700F40A:9C40 0100600A:01BB 01 00000000:00000000 00:00000000 00000000 0 0 1\n"
    "   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 2\n"
    "   2: 0700F40A:1F90 0800F40A:C350 01 00000000:00000000 00:00000000 00000000 0 0 3\n"
)


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/kubelet.slice/kubelet-kubepods.slice/kubepods-burstable-pod{SYSTEMD_UID}.slice/cri-containerd-5f2e.scope",
        f"0::/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-9c1d.scope",
        f"12:memory:/kubepods/besteffort/pod{UID}/4d0a7f\n11:cpu:/kubepods/besteffort/pod{UID}/4d0a7f",
        f"1:name=systemd:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SYSTEMD_UID}.slice/docker-77.scope",
        f"0::/kubepods/pod{UID}/7ef1",
        f"0::/kubepods/pod{UID}",
        f"0::/../../pod{UID}/7ef1",
    ],
)
def test_the_pod_is_found_whatever_runs_the_containers(cgroup):
    assert find_pod_uid(cgroup) == UID


def test_a_static_pod_has_a_hash_for_a_uid():
    hash_uid = "9f3a1e0c5b7d4c2a8e6f0d1b3c5a7e9f"
    assert find_pod_uid(f"0::/kubepods/burstable/pod{hash_uid}/7ef1") == hash_uid


@pytest.mark.parametrize("cgroup", ["0::/", "0::/system.slice/sshd.service", "0::/user.slice/podman-1.scope", ""])
def test_a_process_of_no_pod_has_no_pod(cgroup):
    assert find_pod_uid(cgroup) is None


def make_process(
    root: Path, pid: int, *, cgroup: str = f"0::/kubepods/pod{UID}/1", in_use: int = 3, table: str = TABLE
):
    net = root / str(pid) / "net"
    net.mkdir(parents=True)
    (net / "tcp").write_text(table)
    (net / "sockstat").write_text(f"sockets: used 9\nTCP: inuse {in_use} orphan 0\nUDP: inuse 0 mem 0\n")
    (net / "sockstat6").write_text("TCP6: inuse 0\nUDP6: inuse 0\n")
    (root / str(pid) / "cgroup").write_text(cgroup)


def read(root: Path, *pids: str):
    return ProcReader(str(root)).read_namespace(Namespace(1, pids), observed_at=5)


def test_clients_are_seen_with_their_pod_and_servers_are_left_to_their_clients(tmp_path):
    make_process(tmp_path, 10)
    reading = read(tmp_path, "10")
    [seen] = reading.observations
    assert (seen.client_address, seen.server_address, seen.server_port) == ("10.244.0.7", "10.96.0.1", 443)
    assert (seen.pod_uid, seen.observed_at, seen.evidence) == (UID, 5, "socket")
    assert reading.received == sum(each.count for each in reading.observations) + sum(reading.dropped.values())


def test_a_namespace_without_sockets_is_not_read(tmp_path):
    make_process(tmp_path, 10, in_use=0, table="not to be read")
    assert read(tmp_path, "10") == ([], 0, {})


def test_another_process_speaks_for_one_that_is_gone(tmp_path):
    make_process(tmp_path, 11)
    reader = ProcReader(str(tmp_path))
    assert len(reader.read_namespace(Namespace(1, ("10", "11")), observed_at=5).observations) == 1
    assert reader.gone > 0


def test_a_namespace_whose_processes_are_all_gone_gives_nothing(tmp_path):
    assert read(tmp_path, "10", "11") == ([], 0, {})


@pytest.mark.parametrize("other", ["0::/system.slice/kubelet.service", f"0::/kubepods/pod{OTHER_UID}/1"])
def test_processes_of_different_pods_leave_the_pod_open(tmp_path, other):
    make_process(tmp_path, 10)
    make_process(tmp_path, 11, cgroup=other)
    [seen] = read(tmp_path, "10", "11").observations
    assert seen.pod_uid is None


def test_a_proc_that_is_not_there_gives_nothing(tmp_path):
    reader = ProcReader(str(tmp_path / "absent"))
    assert reader.list_namespaces() == []
    assert reader.gone == 1


def test_processes_of_one_namespace_are_found_together():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        own = Path("/proc/self/net/tcp").stat().st_ino
        found = {each.inode: each for each in ProcReader("/proc").list_namespaces()}
        assert own in found
        assert len({each.inode for each in found.values()}) == len(found)
        child.communicate(b"\n")


@pytest.mark.root
def test_processes_in_thirty_namespaces_are_read_thirty_times():
    """beat-op-007: the predecessor reads the tables of every process."""
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    code = "import os\nfor _ in range(9):\n if os.fork() == 0: break\nelse:\n print(flush=True)\nos.read(0, 1)"
    pods = [
        subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(30)
    ]
    try:
        for pod in pods:
            pod.stdout.readline()
        inodes = {Path(f"/proc/{pod.pid}/net/tcp").stat().st_ino for pod in pods}
        found = [each.inode for each in ProcReader("/proc").list_namespaces()]
        assert len(inodes) == 30
        assert sum(inode in inodes for inode in found) == 30
    finally:
        for pod in pods:
            pod.communicate()


def test_every_namespace_is_read_at_once_after_the_start_and_then_in_its_turn():
    namespaces = [Namespace(inode, ("1",)) for inode in range(4)]
    turns = ReadingTurns(interval_ns=300)
    now, read = 1000, []
    while now < 1600:
        now = max(now + 1, turns.due_at(now))
        if namespace := turns.take(now, lambda: namespaces):
            read.append((now, namespace.inode))
    assert read[:4] == [(1001, 0), (1002, 1), (1003, 2), (1004, 3)]
    assert read[4:8] == [(1301, 0), (1361, 1), (1421, 2), (1481, 3)]


def test_a_node_without_processes_waits_for_the_next_round():
    turns = ReadingTurns(interval_ns=300)
    assert turns.take(1000, list) is None
    assert turns.due_at(1001) == 1300


def test_a_connection_of_this_machine_is_found():
    """Loopback addresses are left out, so the table is read up to the point where they are."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        inode = Path("/proc/self/net/tcp").stat().st_ino
        reading = ProcReader("/proc").read_namespace(Namespace(inode, (str(os.getpid()),)), observed_at=time.time_ns())
    assert reading.dropped["silent_address"] >= 1
    assert reading.dropped["listener"] >= 1
