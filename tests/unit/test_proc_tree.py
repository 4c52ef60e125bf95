"""Saved trees of /proc files."""

import os

import pytest

from callgraph.errors import InputError
from capture_agent.observe import Refusal
from capture_agent.proc_tree import observe_proc_tree
from tests.socket_tables import HEADER, row

POD, SERVER = "10.244.0.9", "10.96.0.10"
UID = "0a1b2c3d-0000-4000-8000-00000000beef"


def save(folder, files):
    for name, lines in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines if isinstance(lines, bytes) else b"".join((HEADER, *lines)))
    return folder


@pytest.mark.parametrize("place", ["net/tcp", "7/net/tcp", "node-1/7/net/tcp", "node-1/proc/7/net/tcp"])
def test_tables_are_found_where_tools_leave_them(tmp_path, place):
    (seen,) = observe_proc_tree(save(tmp_path, {place: [row(POD, 40000, SERVER, 80)]}))
    assert (seen.client_address, seen.server_address, seen.server_port) == (POD, SERVER, 80)


def test_all_tables_of_a_process_speak_together(tmp_path):
    files = {
        "7/net/tcp": [row(POD, 8080, SERVER, 51000)],
        "7/net/tcp6": [row("::", 8080, "::", 0, state=10), row("fd00::9", 40000, "fd00::a", 443)],
        "7/net/udp": [row(POD, 40001, SERVER, 53)],
    }
    seen = {(each.network_transport, each.server_port) for each in observe_proc_tree(save(tmp_path, files))}
    assert seen == {("tcp", 443), ("udp", 53)}


def test_processes_that_show_the_same_sockets_count_once(tmp_path):
    rows = [row(POD, port, SERVER, 80) for port in (40000, 40001)]
    files = {"7/net/tcp": rows[:1], "8/net/tcp": rows, "9/net/tcp": rows}
    (seen,) = observe_proc_tree(save(tmp_path, files))
    assert seen.count == 2


def test_time_of_the_files_is_the_time_of_what_they_show(tmp_path):
    save(tmp_path, {"7/net/tcp": [row(POD, 40000, SERVER, 80)]})
    os.utime(tmp_path / "7/net/tcp", ns=(5, 1_700_000_000_000_000_000))
    assert next(observe_proc_tree(tmp_path)).observed_at == 1_700_000_000_000_000_000
    assert next(observe_proc_tree(tmp_path, observed_at=9)).observed_at == 9


def test_pod_is_told_by_the_saved_cgroup(tmp_path):
    cgroup = f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-1.scope\n".encode()
    (seen,) = observe_proc_tree(save(tmp_path, {"7/net/tcp": [row(POD, 40000, SERVER, 80)], "7/cgroup": cgroup}))
    assert seen.pod_uid == UID


def test_malformed_rows_are_counted_beside_the_others(tmp_path):
    refusal, seen = observe_proc_tree(save(tmp_path, {"7/net/tcp": [b"0: rubbish\n", row(POD, 40000, SERVER, 80)]}))
    assert refusal == Refusal("malformed_socket_row")
    assert seen.server_port == 80


def test_big_endian_tree_is_read_when_told(tmp_path):
    save(tmp_path, {"7/net/tcp": [row(POD, 40000, SERVER, 80, byte_order="big")]})
    assert next(observe_proc_tree(tmp_path, byte_order="big")).server_address == SERVER


def test_folder_without_tables_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no socket table below"):
        list(observe_proc_tree(tmp_path))
    with pytest.raises(InputError, match="is no folder"):
        list(observe_proc_tree(tmp_path / "none"))
