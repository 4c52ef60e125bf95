"""The sockets of a network namespace, from the kernel's socket diagnosis. Shell: netlink, setns.

Needs CAP_SYS_ADMIN, and CAP_SYS_PTRACE to open `/proc/PID/ns/net`: an agent has neither by default. A netlink socket
belongs to the namespace that it was made in: the thread enters a namespace for that long, and comes back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from capture_agent.sock_diag import AF_INET, AF_INET6, TCP, UDP, build_request, parse_dump
from capture_agent.sockets import NamespaceSockets, Transport

_NETLINK_SOCK_DIAG = 4
_CLONE_NEWNET = 0x40000000
_RECEIVE_BYTES = 65_536
_TIMEOUT_SECONDS = 5.0
_TABLES: tuple[tuple[int, int, Transport], ...] = (
    (AF_INET, TCP, "tcp"),
    (AF_INET6, TCP, "tcp"),
    (AF_INET, UDP, "udp"),
    (AF_INET6, UDP, "udp"),
)
# The module for a protocol may be absent: then there is no socket of it.
_NO_SUCH_PROTOCOL = frozenset({errno.ENOENT, errno.EPROTONOSUPPORT})


def read_sockets(proc_root: str, pid: str) -> NamespaceSockets:
    """Read the sockets of the namespace of a process. Raises OSError."""
    sockets = NamespaceSockets(byte_order="big")
    with _open_in_namespace(f"{proc_root}/{pid}/ns/net") as netlink:
        for sequence, (family, protocol, transport) in enumerate(_TABLES, 1):
            netlink.send(build_request(family, protocol, sequence))
            sockets.read_table(_receive_lines(netlink), transport)
    return sockets


def _receive_lines(netlink: socket.socket) -> Iterator[bytes]:
    """Yield the lines of one dump, a datagram at a time."""
    while True:
        dump = parse_dump(netlink.recv(_RECEIVE_BYTES))
        yield from dump.lines
        if dump.error and dump.error not in _NO_SUCH_PROTOCOL:
            raise OSError(dump.error, os.strerror(dump.error))
        if dump.done:
            return


@contextmanager
def _open_in_namespace(path: str) -> Iterator[socket.socket]:
    """Open a socket in the network namespace that a file stands for."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        other = os.open(path, os.O_RDONLY)
        try:
            _enter(other)
        finally:
            os.close(other)
        try:
            netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        finally:
            _enter(own)
    finally:
        os.close(own)
    with netlink:
        netlink.settimeout(_TIMEOUT_SECONDS)
        yield netlink


def _enter(namespace: int) -> None:
    """Move this thread to a network namespace (os.setns came with Python 3.12)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter a network namespace: {os.strerror(code)} (it takes CAP_SYS_ADMIN)")
