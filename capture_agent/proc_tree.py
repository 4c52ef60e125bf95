"""A saved tree of `/proc/*/net` files to observations. Shell: reads files.

In: a folder with `PID/net/tcp` and its kin, as `cp` or `tar` leave it. Out: connections, at the time of the files. A
saved tree does not tell which processes share a network namespace, so what several of them show counts once: pods do
not share addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from callgraph.errors import InputError
from callgraph.records import ConnectionObservation
from capture_agent.observe import Refusal
from capture_agent.proc import TABLES, find_pod_uid
from capture_agent.sockets import ByteOrder, NamespaceSockets

# PID/net below the folder itself, below a folder for each node, or below NODE/proc.
_PATTERNS = ("net", "*/net", "*/*/net", "*/proc/*/net")
_FAULTS = ("malformed_socket_row", "overflow")

_Ends = tuple[str, str, str, int]


def observe_proc_tree(
    folder: Path, *, observed_at: int | None = None, byte_order: ByteOrder = "little"
) -> Iterator[ConnectionObservation | Refusal]:
    """Read a saved tree; `observed_at` overrides the time of the files. Raises InputError.

    Rows that cannot be read are Refusals. The byte order is the node's, which a tree does not tell: of the
    platforms of Kubernetes, only s390x is big-endian.
    """
    found: dict[_Ends, ConnectionObservation] = {}
    for net in _find_tables(folder):
        sockets = NamespaceSockets(byte_order=byte_order)
        read_at = _read_tables(net, sockets)
        at = read_at if observed_at is None else observed_at
        for seen in sockets.observe(at, pod_uid=_find_pod(net.parent)):
            ends = (seen.network_transport, seen.client_address, seen.server_address, seen.server_port)
            if ends not in found or found[ends].count < seen.count:
                found[ends] = seen
        for reason in _FAULTS:
            yield from [Refusal(reason)] * sockets.dropped[reason]
    yield from found.values()


def _find_tables(folder: Path) -> list[Path]:
    """List the folders that hold socket tables."""
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder (expected one that holds PID/net/tcp)")
    candidates = {net for pattern in _PATTERNS for net in folder.glob(pattern)}
    found = [net for net in candidates if any((net / name).is_file() for name, _ in TABLES)]
    if not found:
        raise InputError(f"no socket table below {str(folder)!r} (expected PID/net/tcp, as in /proc)")
    return sorted(found)


def _read_tables(net: Path, sockets: NamespaceSockets) -> int:
    """Read all tables of a folder; return the time of the newest."""
    newest = 0
    for name, transport in TABLES:
        table = net / name
        if not table.is_file():
            continue
        try:
            with table.open("rb") as lines:
                newest = max(newest, table.stat().st_mtime_ns)
                sockets.read_table(lines, transport)
        except OSError as error:
            raise InputError(f"cannot read the socket table {str(table)!r}: {error.strerror}") from error
    return newest


def _find_pod(process: Path) -> str | None:
    """Find the pod of a process, where its cgroup file was saved too."""
    try:
        return find_pod_uid((process / "cgroup").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
