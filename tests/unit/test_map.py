"""`whocalls map` from files to the graph: names that a capture teaches, and whom they name."""

from __future__ import annotations

import json
import os
import struct

import pytest
from click.testing import CliRunner

from tests.dns_messages import A, message, record
from tests.ip_packets import SYN, tcp, udp
from tests.small_cluster import BASE, FRONTEND, NODES
from tests.socket_tables import HEADER, row
from whocalls.command import whocalls

CLIENT, SERVER, NAME = FRONTEND["status"]["podIP"], "203.0.113.9", "api.example.org"
LINK_RAW = 101


@pytest.fixture
def run(tmp_path):
    """Return the outside servers that a run names, with the evidence."""
    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps({"kind": "List", "items": [*NODES, FRONTEND]}), encoding="utf-8")

    def run(*sources: str) -> list[tuple[str, list[str]]]:
        found = CliRunner().invoke(whocalls, ["map", *sources, "--kube", str(objects), "-o", "json"])
        assert found.exit_code == 0, found.output
        return [(each["server"]["name"], each["via"]) for each in json.loads(found.stdout)["external"]]

    return run


@pytest.fixture
def capture(tmp_path):
    said = message(NAME, A, [record(b"\xc0\x0c", A, bytes((203, 0, 113, 9)))])
    answer = udp(("10.96.0.10", 53), (CLIENT, 40000), said)
    syn = tcp((CLIENT, 40001), (SERVER, 443), flags=SYN, sequence=0x5EED0001)
    file = tmp_path / "capture.pcap"
    packets = [
        struct.pack("<IIII", BASE + seconds, 0, len(packet), len(packet)) + packet
        for seconds, packet in ((10, answer), (11, syn))
    ]
    file.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, LINK_RAW) + b"".join(packets))
    return str(file)


@pytest.fixture
def tree(tmp_path):
    def save(*, seconds: int) -> str:
        table = tmp_path / "proc" / "7" / "net" / "tcp"
        table.parent.mkdir(parents=True)
        table.write_bytes(HEADER + row(CLIENT, 40002, SERVER, 443))
        os.utime(table, (BASE + seconds, BASE + seconds))
        return f"proc:{tmp_path / 'proc'}"

    return save


def test_answer_and_connection_after_it_are_one_server(run, capture):
    assert run(capture) == [(NAME, ["dns", "syn"])]


def test_saved_sockets_are_named_by_what_the_capture_taught(run, capture, tree):
    assert run(capture, tree(seconds=60)) == [(NAME, ["dns", "socket", "syn"])]


def test_saved_sockets_from_before_the_capture_are_not(run, capture, tree):
    assert run(capture, tree(seconds=5)) == [(SERVER, ["socket"]), (NAME, ["dns", "syn"])]
