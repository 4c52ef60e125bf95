"""The socket tables of a network namespace to observations. Pure.

In: the lines of `/proc/PID/net/tcp`, `tcp6`, `udp` and `udp6` of one namespace, read in any order. Out: one
ConnectionObservation for each client, server and port, counted. The client's side is the socket whose local port nobody
in the namespace listens on; a socket on a port that is listened on is the server's side, and its client is seen where
the client lives.

Source: Documentation/networking/proc_net_tcp.rst and net/ipv4/tcp_ipv4.c (get_tcp4_sock), net/ipv6/tcp_ipv6.c,
net/ipv4/udp.c (udp4_format_sock), include/net/tcp_states.h. Addresses are words of 32 bits in the host's byte order.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable
from functools import lru_cache
from struct import Struct as Wire
from typing import Literal, NamedTuple

from msgspec import Struct

from callgraph.addresses import is_silent
from callgraph.records import ConnectionObservation
from capture_agent.malformed import MalformedSocketError
from capture_agent.packet import address_text

ByteOrder = Literal["little", "big"]
Transport = Literal["tcp", "udp"]

HOST_BYTE_ORDER: ByteOrder = sys.byteorder

EPHEMERAL_PORTS = range(32768, 61000)
"""The default of net.ipv4.ip_local_port_range."""

MAX_SOCKETS = 262_144
"""Sockets of one namespace that are kept; beyond it they are counted as `overflow`. About 100 bytes each."""

STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
    8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "NEW_SYN_RECV",
}  # fmt: skip

_ESTABLISHED, _SYN_SENT, _LISTEN, _UNCONNECTED = b"01", b"02", b"0A", b"07"
_OPEN = {"tcp": frozenset({_ESTABLISHED, _SYN_SENT}), "udp": frozenset({_ESTABLISHED})}
# A UDP socket that is bound and not connected takes datagrams from anybody: the counterpart of a listener.
_LISTENING = {"tcp": _LISTEN, "udp": _UNCONNECTED}
_STATE_CODES = frozenset(b"%02X" % state for state in STATES)
_MALFORMED = "malformed_socket_row"
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, never bound to)
_ENDPOINT_BYTES = frozenset({13, 37})

_LITTLE = {8: Wire("<I"), 32: Wire("<4I")}
_NETWORK = {8: Wire(">I"), 32: Wire(">4I")}


class SocketRow(NamedTuple):
    """One line of a table."""

    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    state: str


def parse_row(line: bytes, *, byte_order: ByteOrder = HOST_BYTE_ORDER) -> SocketRow:
    """Read one line of a table. Raises MalformedSocketError."""
    fields = line.split(None, 4)
    if len(fields) < 4:
        raise MalformedSocketError("socket_row")
    try:
        state = STATES[int(fields[3], 16)]
        return SocketRow(*parse_endpoint(fields[1], byte_order), *parse_endpoint(fields[2], byte_order), state)
    except (KeyError, ValueError) as error:
        raise MalformedSocketError("socket_row") from error


@lru_cache(maxsize=4096)
def parse_endpoint(field: bytes, byte_order: ByteOrder) -> tuple[str, int]:
    """Read `0100007F:0050`. Raises ValueError."""
    if len(field) not in _ENDPOINT_BYTES or field[-5:-4] != b":":
        raise ValueError(f"expected hexadecimal ADDRESS:PORT, got {field!r}")
    text = field.decode("ascii")
    octets = bytes.fromhex(text[:-5])
    if byte_order == "little":
        size = len(field) - 5
        octets = _NETWORK[size].pack(*_LITTLE[size].unpack(octets))
    return address_text(octets), int(text[-4:], 16)


class _Group(Struct):
    """Sockets with the same ends but for the client's port."""

    client_port: bytes
    known: bool
    count: int = 0


class NamespaceSockets:
    """The sockets of one network namespace, as far as its tables have been read.

    Listeners of `tcp` and `tcp6` count together: a wildcard listener of `tcp6` takes IPv4 too.
    """

    def __init__(self, *, byte_order: ByteOrder = HOST_BYTE_ORDER) -> None:
        self.received = 0
        """Rows read; once observed: the counts of the observations and the sum of `dropped`."""
        self.dropped: Counter[str] = Counter()
        self._byte_order: ByteOrder = byte_order
        self._sockets: dict[Transport, list[bytes]] = {"tcp": [], "udp": []}
        self._listeners: dict[Transport, dict[bytes, set[str]]] = {"tcp": {}, "udp": {}}

    def read_table(self, lines: Iterable[bytes], transport: Transport) -> None:
        """Take in one table, such as an open file; a malformed row costs that row and no other."""
        open_states, listening = _OPEN[transport], _LISTENING[transport]
        for line in lines:
            fields = line.split(None, 4)
            if not fields or fields[0] == b"sl":
                continue
            self.received += 1
            state = fields[3] if len(fields) > 3 else b""
            if state in open_states:
                self._keep(transport, b" ".join(fields[1:4]).upper())
            elif state == listening:
                self._listen(transport, fields[1].upper())
            else:
                self.dropped["not_connected" if state in _STATE_CODES else _MALFORMED] += 1

    def observe(
        self,
        observed_at: int,
        *,
        ephemeral_ports: Collection[int] = EPHEMERAL_PORTS,
        pod_uid: str | None = None,
        server_side: bool = False,
    ) -> list[ConnectionObservation]:
        """Return each client, server and port once; with `server_side`, what sockets of servers show as well.

        Call it once, after all tables of the namespace: the listeners of one speak for the sockets of another.
        """
        observations = []
        for (transport, client, server), group in self._fold(server_side=server_side).items():
            try:
                client_address, client_port = parse_endpoint(client + b":" + group.client_port, self._byte_order)
                server_address, server_port = parse_endpoint(server, self._byte_order)
            except ValueError:
                self.dropped[_MALFORMED] += group.count
                continue
            if is_silent(client_address) or is_silent(server_address):
                self.dropped["silent_address"] += group.count
                continue
            observations.append(
                ConnectionObservation(
                    observed_at=observed_at,
                    network_transport=transport,
                    client_address=client_address,
                    client_port=client_port if group.count == 1 else None,
                    server_address=server_address,
                    server_port=server_port,
                    evidence="socket",
                    client_side=_judge_side(group, client_port, server_port, ephemeral_ports),
                    pod_uid=pod_uid,
                    count=group.count,
                )
            )
        return observations

    def is_listened_on(self, transport: Transport, local: bytes) -> bool:
        """Tell whether a socket of the namespace listens on an endpoint, written as in the tables."""
        addresses = self._listeners[transport].get(local[-4:])
        if addresses is None:
            return False
        return not addresses.isdisjoint(_WILDCARDS) or parse_endpoint(local, self._byte_order)[0] in addresses

    def _keep(self, transport: Transport, socket: bytes) -> None:
        if len(self._sockets[transport]) < MAX_SOCKETS:
            self._sockets[transport].append(socket)
        else:
            self.dropped["overflow"] += 1

    def _listen(self, transport: Transport, local: bytes) -> None:
        try:
            address, _ = parse_endpoint(local, self._byte_order)
        except ValueError:
            self.dropped[_MALFORMED] += 1
            return
        self._listeners[transport].setdefault(local[-4:], set()).add(address)
        self.dropped["listener"] += 1

    def _fold(self, *, server_side: bool) -> dict[tuple[Transport, bytes, bytes], _Group]:
        """Group sockets by transport, client address and server endpoint."""
        groups: dict[tuple[Transport, bytes, bytes], _Group] = {}
        for transport, sockets in self._sockets.items():
            for socket in sockets:
                client, server, state = socket.split(b" ")
                known = state == _SYN_SENT
                if self.is_listened_on(transport, client):
                    if not server_side:
                        self.dropped["server_side"] += 1
                        continue
                    client, server, known = server, client, True
                group = groups.get(key := (transport, client[:-5], server))
                if group is None:
                    group = groups[key] = _Group(client[-4:], known)
                group.count += 1
                group.known = group.known or known
        return groups


def _judge_side(
    group: _Group, client_port: int, server_port: int, ephemeral_ports: Collection[int]
) -> Literal["known", "inferred", "unknown"]:
    """Say how sure it is that the client is the client.

    Nobody listens on its port, but a listener may have closed before its connections did. A port that the kernel gives
    out by itself is a client's, and so is the higher of two where the range was changed; any other could be either's.
    """
    if group.known:
        return "known"
    return "inferred" if client_port in ephemeral_ports or client_port > server_port else "unknown"
