"""The kernel's binary listing of sockets, as lines of a socket table. Pure.

In: what a NETLINK_SOCK_DIAG socket sends. Out: lines as `capture_agent.sockets` reads them, addresses in network byte
order. A dump of one namespace asks only for the states that matter, and costs the kernel 0.3 ms where reading
`/proc/PID/net/tcp` costs 5.

Source: sock_diag(7), include/uapi/linux/inet_diag.h, include/uapi/linux/netlink.h.
"""

from __future__ import annotations

from struct import Struct as Wire
from typing import NamedTuple

from capture_agent.malformed import MalformedSocketError

AF_INET, AF_INET6 = 2, 10
TCP, UDP = 6, 17

_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x001, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3

# ESTABLISHED, SYN_SENT and LISTEN of TCP; ESTABLISHED and CLOSE (unconnected) of UDP.
_STATES = {TCP: 1 << 1 | 1 << 2 | 1 << 10, UDP: 1 << 1 | 1 << 7}

_HEADER = Wire("=IHHII")
_REQUEST = Wire("=IHHIIBBBxI48x")
# After the header: family, state, timer, retransmissions; the ports in network byte order, then the addresses.
_SOCKET = Wire("!BBxxHH16s16s")
_ERROR = Wire("=i")


class Dump(NamedTuple):
    """What one datagram holds."""

    lines: list[bytes]
    done: bool
    error: int = 0
    """An errno of the kernel: 0 where all is well."""


def build_request(family: int, protocol: int, sequence: int) -> bytes:
    """Ask for all sockets of a family and protocol in the states that matter."""
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _REQUEST.pack(
        _REQUEST.size, _SOCK_DIAG_BY_FAMILY, flags, sequence, 0, family, protocol, 0, _STATES[protocol]
    )


def parse_dump(datagram: bytes) -> Dump:
    """Read the messages of one datagram. Raises MalformedSocketError."""
    lines: list[bytes] = []
    at = 0
    while at + _HEADER.size <= len(datagram):
        size, kind, _, _, _ = _HEADER.unpack_from(datagram, at)
        if size < _HEADER.size or at + size > len(datagram):
            raise MalformedSocketError("socket_row")
        if kind == _NLMSG_DONE:
            return Dump(lines, done=True)
        if kind == _NLMSG_ERROR and size >= _HEADER.size + _ERROR.size:
            return Dump(lines, done=True, error=-_ERROR.unpack_from(datagram, at + _HEADER.size)[0])
        if kind == _SOCK_DIAG_BY_FAMILY:
            if size < _HEADER.size + _SOCKET.size:
                raise MalformedSocketError("socket_row")
            lines.append(_make_line(datagram, at + _HEADER.size))
        at += size + 3 & ~3
    return Dump(lines, done=False)


def _make_line(datagram: bytes, at: int) -> bytes:
    family, state, local_port, remote_port, local, remote = _SOCKET.unpack_from(datagram, at)
    size = 8 if family == AF_INET else 32
    return f"0: {local.hex()[:size]}:{local_port:04X} {remote.hex()[:size]}:{remote_port:04X} {state:02X}".encode()
