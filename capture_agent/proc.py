"""The sockets of this node, from /proc: one reading for each network namespace. Shell: reads /proc.

Namespaces are told apart by the inode of `/proc/PID/net/tcp`, which needs no privilege (`ns/net` would). Each reading
of a socket table costs the kernel about 5 ms, because it walks a table of the whole machine: so one reading for each
namespace and not for each process, one namespace at a time, and none where `sockstat` shows no socket in use.

A process may be gone at any moment: then another one of the same namespace is asked, and what is gone is counted.

Source: Documentation/filesystems/proc.rst, proc_pid_net(5), net/ipv4/tcp_ipv4.c of the Linux kernel.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from callgraph.records import ConnectionObservation
from capture_agent.diag_socket import read_sockets
from capture_agent.sockets import NamespaceSockets, Transport

TABLES: tuple[tuple[str, Transport], ...] = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))

_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EINVAL, errno.EPERM})
_WITNESSES = 4
"""Processes of a namespace that are asked for their pod, and for the tables when one of them is gone."""

_IN_USE = re.compile(rb"^(TCP|TCP6|UDP|UDP6): inuse (\d+)", re.MULTILINE)
_POD_UID = re.compile(
    r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./]|$)",
    re.MULTILINE,
)


class Namespace(NamedTuple):
    """A network namespace and processes in it."""

    inode: int
    pids: tuple[str, ...]


class Reading(NamedTuple):
    """What a reading of one namespace gave; received = counts of the observations + sum of dropped."""

    observations: list[ConnectionObservation]
    received: int
    dropped: dict[str, int]


NOTHING = Reading([], 0, {})


class ProcReader:
    """Reads a /proc."""

    def __init__(self, root: str, *, diagnosis: bool = False) -> None:
        """`diagnosis`: ask for sockets by netlink instead of reading tables."""
        self._root = root
        self._read_sockets = self._diagnose if diagnosis else self._read_tables
        self.gone = 0
        """Processes that vanished, or refused to be read."""

    def list_namespaces(self) -> list[Namespace]:
        """Find the network namespaces that processes live in."""
        members: dict[int, list[str]] = {}
        for pid in self._list_pids():
            try:
                inode = os.stat(f"{self._root}/{pid}/net/tcp").st_ino  # noqa: PTH116  (five times as fast, for every process)
            except OSError as error:
                self._excuse(error)
                continue
            pids = members.setdefault(inode, [])
            if len(pids) < _WITNESSES:
                pids.append(pid)
        return [Namespace(inode, tuple(pids)) for inode, pids in members.items()]

    def read_namespace(self, namespace: Namespace, *, observed_at: int) -> Reading:
        """Read the sockets of one namespace through the first of its processes that is still there."""
        for pid in namespace.pids:
            try:
                if not self._has_sockets(pid):
                    return NOTHING
                sockets = self._read_sockets(pid)
            except OSError as error:
                self._excuse(error)
                continue
            observations = sockets.observe(observed_at, pod_uid=self.find_pod(namespace))
            return Reading(observations, sockets.received, dict(sockets.dropped))
        return NOTHING

    def find_pod(self, namespace: Namespace) -> str | None:
        """Return the UID of the pod that all asked processes of a namespace belong to."""
        uids = set()
        for pid in namespace.pids:
            try:
                uids.add(find_pod_uid(self._read(f"{pid}/cgroup").decode("ascii", "replace")))
            except OSError as error:
                self._excuse(error)
        return uids.pop() if len(uids) == 1 else None

    def _list_pids(self) -> Iterator[str]:
        try:
            names = os.listdir(self._root)  # noqa: PTH208  (text, not paths)
        except OSError as error:
            self._excuse(error)
            return
        yield from (name for name in names if name.isdecimal())

    def _has_sockets(self, pid: str) -> bool:
        """Ask sockstat, a hundred times cheaper than a table."""
        try:
            text = self._read(f"{pid}/net/sockstat") + self._read(f"{pid}/net/sockstat6")
        except FileNotFoundError:
            Path(f"{self._root}/{pid}/net/tcp").stat()
            return True
        return any(int(count) for _, count in _IN_USE.findall(text))

    def _diagnose(self, pid: str) -> NamespaceSockets:
        return read_sockets(self._root, pid)

    def _read_tables(self, pid: str) -> NamespaceSockets:
        sockets = NamespaceSockets()
        for table, transport in TABLES:
            try:
                with Path(f"{self._root}/{pid}/net/{table}").open("rb", buffering=65536) as lines:
                    sockets.read_table(lines, transport)
            except FileNotFoundError:
                # No tcp6 and udp6 where IPv6 is off; no tcp means that the process is gone.
                if table == "tcp":
                    raise
        return sockets

    def _read(self, path: str) -> bytes:
        with Path(f"{self._root}/{path}").open("rb", buffering=0) as file:
            return file.read()

    def _excuse(self, error: OSError) -> None:
        if error.errno not in _GONE:
            raise error
        self.gone += 1


def find_pod_uid(cgroup: str) -> str | None:
    """Find the UID of the pod in the text of `/proc/PID/cgroup`.

    cgroupfs writes `/kubepods/burstable/podUID/…`, systemd `/kubepods-burstable-podUID.slice/…` with underscores in the
    UID; static pods have a hash of 32 digits instead. Version 1 has a line for each controller, version 2 one.
    """
    match = _POD_UID.search(cgroup)
    return match[1].replace("_", "-") if match else None
