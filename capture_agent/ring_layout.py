"""Where things stand in the memory of a TPACKET_V3 ring. Pure.

Numbers of the kernel are in the byte order of the machine. Those of the packet are in the byte order of the network and
read as they lie; `as_it_lies` brings a number to compare them with into the same order.

Source: include/uapi/linux/if_packet.h (tpacket_block_desc, tpacket3_hdr, sockaddr_ll), net/packet/af_packet.c
(tpacket_rcv) of the Linux kernel; RFC 791, RFC 8200, RFC 768.
"""

from __future__ import annotations

import sys
from struct import Struct as Wire
from typing import Protocol

BLOCK_HEADER = Wire("=8xIII")
"""struct tpacket_block_desc from block_status on: status, number of packets, offset of the first."""

BLOCK_STATUS_AT = 8

DATA_AT = 96
"""Where the IP header begins: the kernel leaves room for tpacket3_hdr, sockaddr_ll and 16 bytes more."""

PACKET_IPV4 = Wire("=IIII36xQ36xB5xHxBxx4x4sH")
"""next offset, seconds, nanoseconds, captured bytes, tap; version, fragment, protocol, destination and source port.

The tap is ifindex, hatype, pkttype and halen as one number.
"""

IPV6 = Wire("=6xB17x16sH")
"""next header, destination and source port."""


class Memory(Protocol):
    """What blocks are read from: a mapped ring."""

    def __getitem__(self, span: slice, /) -> bytes:
        """Copy a span."""

    def __buffer__(self, flags: int, /) -> memoryview:
        """Let structures be read in place."""


def as_it_lies(number: int) -> int:
    """Return what 16 bits of the network's order are when they are read in the machine's."""
    return int.from_bytes(number.to_bytes(2), sys.byteorder)
