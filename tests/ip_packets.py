"""IP packets for tests, from the IP header on. Pure."""

from __future__ import annotations

import ipaddress
import struct

SYN, ACK, ECE, CWR = 0x02, 0x10, 0x40, 0x80


def udp(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    segment = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    return _ip(source[0], destination[0], 17, segment)


def tcp(
    source: tuple[str, int], destination: tuple[str, int], *, flags: int, sequence: int = 1, payload: bytes = b""
) -> bytes:
    segment = struct.pack("!HHIIBBHHH", source[1], destination[1], sequence, 0, 5 << 4, flags, 512, 0, 0) + payload
    return _ip(source[0], destination[0], 6, segment)


def _ip(source: str, destination: str, protocol: int, segment: bytes) -> bytes:
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    if len(ends) == 32:
        return struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + ends + segment
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, protocol, 0) + ends + segment
