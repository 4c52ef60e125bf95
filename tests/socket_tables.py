"""Lines of /proc/net/tcp, tcp6, udp and udp6, as the kernel prints them (net/ipv4/tcp_ipv4.c, get_tcp4_sock)."""

from __future__ import annotations

import ipaddress

HEADER = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    + b" " * 53
    + b"\n"
)


def row(local, local_port, remote, remote_port, *, state=1, byte_order="little", number=0):
    return (
        b"%4d: %b:%04X %b:%04X %02X 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 20\n"
        % (
            number,
            _words(local, byte_order),
            local_port,
            _words(remote, byte_order),
            remote_port,
            state,
        )
    )


def table(rows):
    """Yield a table line by line, as an open file does."""
    yield HEADER
    yield from rows


def _words(text, byte_order):
    octets = ipaddress.ip_address(text).packed
    words = [octets[at : at + 4] for at in range(0, len(octets), 4)]
    return b"".join((word[::-1] if byte_order == "little" else word).hex().upper().encode() for word in words)
