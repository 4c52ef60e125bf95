"""Socket diagnosis says what the socket tables say."""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture_agent.malformed import MalformedSocketError
from capture_agent.sock_diag import AF_INET, AF_INET6, TCP, UDP, build_request, parse_dump
from capture_agent.sockets import NamespaceSockets
from tests.wire_bytes import address

POD, SERVER = "10.244.0.9", "10.96.0.10"


def diag(local, local_port, remote, remote_port, *, state=1):
    family = AF_INET6 if ":" in local else AF_INET
    body = struct.pack("!BBxxHH16s16s", family, state, local_port, remote_port, address(local), address(remote))
    return netlink(20, body + bytes(12 + 20))


def netlink(kind, body):
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + bytes(-len(body) % 4)


DONE = netlink(3, bytes(4))


def observe(*datagrams):
    sockets = NamespaceSockets(byte_order="big")
    for datagram in datagrams:
        sockets.read_table(parse_dump(datagram).lines, "tcp")
    return [
        (each.client_address, each.client_port, each.server_address, each.server_port) for each in sockets.observe(5)
    ]


def test_sockets_of_a_dump_are_observed_as_those_of_a_table():
    dump = diag(POD, 40000, SERVER, 80) + diag("fd00::9", 40001, "fd00::a", 443)
    assert observe(dump) == [(POD, 40000, SERVER, 80), ("fd00::9", 40001, "fd00::a", 443)]


def test_listeners_and_mapped_addresses_mean_what_they_mean_in_a_table():
    dump = diag("::", 8080, "::", 0, state=10) + diag(f"::ffff:{POD}", 8080, f"::ffff:{SERVER}", 51720)
    assert observe(dump) == []
    assert observe(diag(f"::ffff:{POD}", 40000, f"::ffff:{SERVER}", 80)) == [(POD, 40000, SERVER, 80)]


def test_dump_ends_with_its_last_message():
    assert parse_dump(diag(POD, 1, SERVER, 2)).done is False
    assert parse_dump(diag(POD, 1, SERVER, 2) + DONE).done is True


def test_refusal_of_the_kernel_is_told():
    dump = parse_dump(netlink(2, struct.pack("=i", -1) + bytes(16)))
    assert (dump.done, dump.error) == (True, 1)


@pytest.mark.parametrize(
    "datagram", [netlink(20, b"x" * 8), diag(POD, 1, SERVER, 2)[:-8], struct.pack("=IHHII", 4, 20, 0, 0, 0)]
)
def test_broken_datagram_is_the_one_error(datagram):
    with pytest.raises(MalformedSocketError):
        parse_dump(datagram)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_datagram_is_read_or_the_one_error(octets):
    try:
        parse_dump(octets)
    except MalformedSocketError:
        return


def test_request_asks_for_the_states_that_matter():
    request = build_request(AF_INET, TCP, 7)
    assert (len(request), request[16:18], struct.unpack_from("=I", request, 20)[0]) == (
        72,
        bytes((AF_INET, TCP)),
        0b10000000110,
    )
    assert struct.unpack_from("=I", build_request(AF_INET6, UDP, 7), 20)[0] == 0b10000010


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root")
def test_live_dump_and_live_table_agree():
    from capture_agent.diag_socket import read_sockets  # noqa: PLC0415

    own = Path("/proc/self/ns/net").readlink()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        dumped, read = read_sockets("/proc", str(os.getpid())), NamespaceSockets()
        for table in ("tcp", "tcp6"):
            with Path("/proc/self/net", table).open("rb") as lines:
                read.read_table(lines, "tcp")
        port = server.getsockname()[1]
    assert read.is_listened_on("tcp", b"0100007F:%04X" % port)
    assert dumped.is_listened_on("tcp", b"7f000001:%04X" % port)
    dumped.observe(0)
    assert dumped.dropped["silent_address"] > 0
    assert Path("/proc/self/ns/net").readlink() == own


LISTENER = """
import socket, sys
with socket.create_server(("0.0.0.0", 47808)):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="making a network namespace needs root")
def test_sockets_of_another_namespace_are_its_own():
    from capture_agent.diag_socket import read_sockets  # noqa: PLC0415

    command = ["unshare", "--net", sys.executable, "-c", LISTENER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert read_sockets("/proc", str(process.pid)).is_listened_on("tcp", b"0a000001:BAC0")
        assert not read_sockets("/proc", str(os.getpid())).is_listened_on("tcp", b"0a000001:BAC0")
        process.stdin.close()
