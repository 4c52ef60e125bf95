"""A captured frame to the UDP or TCP packet in it. Pure.

In: the bytes of a frame and its link type. Out: a Packet, or MalformedPacketError. A packet in a tunnel (VXLAN, Geneve,
IP in IP) comes out as the inner packet. No input costs more than a bounded number of steps: four VLAN tags, eight IPv6
extension headers, two tunnels.

Source: https://www.tcpdump.org/linktypes.html, RFC 791, RFC 8200, RFC 768, RFC 9293, RFC 2003 (IP in IP), RFC 7348
(VXLAN), RFC 8926 (Geneve), IEEE 802.1Q.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv6Address
from struct import Struct as Wire
from typing import Literal, NamedTuple

from msgspec import Struct

from capture_agent.malformed import MalformedPacketError

LINK_NULL = 0
LINK_ETHERNET = 1
LINK_RAW = 101
LINK_LOOP = 108
LINK_SLL = 113
LINK_IPV4 = 228
LINK_IPV6 = 229
LINK_SLL2 = 276
# LINKTYPE_RAW is 101 in files; the DLT numbers of Linux and OpenBSD reach us from sockets and old files.
_RAW_IP = frozenset({LINK_RAW, LINK_IPV4, LINK_IPV6, 12, 14})
LINK_TYPES = _RAW_IP | {LINK_NULL, LINK_ETHERNET, LINK_LOOP, LINK_SLL, LINK_SLL2}

SYN = 0x02
ACK = 0x10

_ETHER_IPV4 = 0x0800
_ETHER_IPV6 = 0x86DD
_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_MAX_VLAN_TAGS = 4
_MAX_EXTENSIONS = 8
_MAX_TUNNELS = 2

_TCP = 6
_UDP = 17
# IPv4 and IPv6 in IP: Calico's default between nodes.
_IP_IN_IP = frozenset({4, 41})
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION_OPTIONS = 0, 43, 44, 51, 60

# VXLAN goes to 4789 (IANA) or 8472 (what Linux took before; flannel still does).
_GENEVE_PORT = 6081
_TUNNEL_PORTS = frozenset({4789, 8472, _GENEVE_PORT})
_ETHERNET_IN_GENEVE = 0x6558

_U16 = Wire("!H")
_IPV4 = Wire("!BxHxxHxBxx4s4s")
_IPV6 = Wire("!BxxxHBx16s16s")
_UDP_HEADER = Wire("!HHH")
_TCP_HEADER = Wire("!HHI4xBB")
_TUNNEL_HEADER = Wire("!HH")

Octets = bytes | memoryview


class Frame(NamedTuple):
    """One captured frame."""

    captured_at: int
    """Nanoseconds since the Unix epoch."""
    link_type: int
    data: Octets
    cut: bool = False
    """The file ends within this frame; `data` is what is left of it."""


class Packet(Struct, frozen=True, gc=False):
    """One UDP datagram or TCP segment."""

    source_address: str
    source_port: int
    destination_address: str
    destination_port: int
    transport: Literal["udp", "tcp"]
    payload: Octets
    """What the transport carries; shorter than what was sent if `truncated`."""
    truncated: bool
    """The capture kept less of the packet than was sent."""
    tcp_flags: int = 0
    tcp_sequence: int = 0


def parse_packet(frame: Octets, link_type: int) -> Packet:
    """Read the innermost UDP or TCP packet of a frame. Raises MalformedPacketError."""
    return _parse_ip(frame, _find_ip(frame, link_type), _MAX_TUNNELS)


ipv4_text = socket.inet_ntoa


@lru_cache(maxsize=4_096)
def address_text(octets: bytes) -> str:
    """Spell an address of 4 or 16 bytes as `callgraph.addresses` does: IPv4-mapped as IPv4."""
    if len(octets) == 4:
        return ipv4_text(octets)
    if octets[:10] == bytes(10):
        # inet_ntop writes ::1.2.3.4 where RFC 5952 implementations in Python write ::102:304.
        address = IPv6Address(octets)
        return str(address.ipv4_mapped or address)
    return socket.inet_ntop(socket.AF_INET6, octets)


# -- Link layer -------------------------------------------------------------------------------------------------------


def _find_ip(frame: Octets, link_type: int) -> int:
    """Return where the IP header begins."""
    if link_type in _RAW_IP:
        return 0
    if link_type == LINK_ETHERNET:
        return _skip_ether_types(frame, 12)
    if link_type == LINK_SLL:
        return _skip_ether_types(frame, 14)
    if link_type == LINK_SLL2:
        # The protocol comes first, the address after it; a VLAN tag stands behind the header of 20 bytes.
        return _skip_vlan_tags(frame, _u16(frame, 0), 20)
    if link_type in (LINK_NULL, LINK_LOOP):
        # The address family, in the byte order of whoever captured: the version of the IP header says the same.
        return 4
    raise MalformedPacketError("link_type")


def _skip_ether_types(frame: Octets, at: int) -> int:
    return _skip_vlan_tags(frame, _u16(frame, at), at + 2)


def _skip_vlan_tags(frame: Octets, ether_type: int, at: int) -> int:
    """Return where the payload begins, past 802.1Q and 802.1ad tags."""
    for _ in range(_MAX_VLAN_TAGS):
        if ether_type in (_ETHER_IPV4, _ETHER_IPV6):
            return at
        if ether_type not in _VLAN_TAGS:
            break
        ether_type = _u16(frame, at + 2)
        at += 4
    if ether_type in (_ETHER_IPV4, _ETHER_IPV6):
        return at
    raise MalformedPacketError("not_ip")


def _u16(frame: Octets, at: int) -> int:
    if at + 2 > len(frame):
        raise MalformedPacketError("link_header")
    value: int = _U16.unpack_from(frame, at)[0]
    return value


# -- Network layer ----------------------------------------------------------------------------------------------------


def _parse_ip(frame: Octets, at: int, tunnels: int) -> Packet:
    version = frame[at] >> 4 if at < len(frame) else 0
    if version == 4:
        return _parse_ipv4(frame, at, tunnels)
    if version == 6:
        return _parse_ipv6(frame, at, tunnels)
    raise MalformedPacketError("ip_header")


def _parse_ipv4(frame: Octets, at: int, tunnels: int) -> Packet:
    captured = len(frame)
    if at + 20 > captured:
        raise MalformedPacketError("ip_header")
    first, length, fragment, protocol, source, destination = _IPV4.unpack_from(frame, at)
    header = (first & 0x0F) * 4
    # A kernel that leaves the segmentation to the network card shows packets above 64 KiB with length 0.
    length = length or captured - at
    if header < 20 or length < header:
        raise MalformedPacketError("ip_header")
    if fragment & 0x3FFF:
        raise MalformedPacketError("fragment")
    addresses = address_text(source), address_text(destination)
    return _parse_transport(frame, (at + header, at + length), protocol, addresses, tunnels)


def _parse_ipv6(frame: Octets, at: int, tunnels: int) -> Packet:
    captured = len(frame)
    if at + 40 > captured:
        raise MalformedPacketError("ip_header")
    _, length, protocol, source, destination = _IPV6.unpack_from(frame, at)
    end = at + 40 + length if length else captured
    at += 40
    if protocol not in (_UDP, _TCP):
        protocol, at = _skip_extensions(frame, protocol, at)
        if at > end:
            raise MalformedPacketError("ip_extension")
    addresses = address_text(source), address_text(destination)
    return _parse_transport(frame, (at, end), protocol, addresses, tunnels)


def _skip_extensions(frame: Octets, protocol: int, at: int) -> tuple[int, int]:
    """Return the transport protocol behind the extension headers, and where it begins."""
    for _ in range(_MAX_EXTENSIONS):
        if protocol not in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION_OPTIONS):
            return protocol, at
        if at + 8 > len(frame):
            raise MalformedPacketError("ip_extension")
        following, units = frame[at], frame[at + 1]
        if protocol == _FRAGMENT:
            # A fragment header with offset 0 and no more to come stands on a whole packet (RFC 6946).
            if _u16(frame, at + 2) & 0xFFF9:
                raise MalformedPacketError("fragment")
            at += 8
        else:
            # The authentication header counts words of four bytes, the others words of eight.
            at += (units + 2) * 4 if protocol == _AUTHENTICATION else (units + 1) * 8
        protocol = following
    raise MalformedPacketError("ip_extension")


# -- Transport --------------------------------------------------------------------------------------------------------


def _parse_transport(
    frame: Octets, span: tuple[int, int], protocol: int, addresses: tuple[str, str], tunnels: int
) -> Packet:
    at, end = span
    if protocol == _UDP:
        return _parse_udp(frame, at, end, addresses, tunnels)
    if protocol == _TCP:
        return _parse_tcp(frame, at, end, addresses)
    if protocol in _IP_IN_IP:
        if not tunnels:
            raise MalformedPacketError("tunnel")
        return _parse_ip(frame, at, tunnels - 1)
    raise MalformedPacketError("other_transport")


def _parse_udp(frame: Octets, at: int, end: int, addresses: tuple[str, str], tunnels: int) -> Packet:
    captured = len(frame)
    if at + 8 > end:
        raise MalformedPacketError("udp_header")
    if at + 8 > captured:
        raise MalformedPacketError("truncated")
    source_port, destination_port, length = _UDP_HEADER.unpack_from(frame, at)
    if length < 8 or at + length > end:
        raise MalformedPacketError("udp_header")
    if destination_port in _TUNNEL_PORTS:
        inner = _find_tunnelled_ip(frame, at + 8, destination_port)
        if inner and not tunnels:
            raise MalformedPacketError("tunnel")
        if inner:
            return _parse_ip(frame, inner, tunnels - 1)
    end = at + length
    payload = frame[at + 8 : end]
    return Packet(addresses[0], source_port, addresses[1], destination_port, "udp", payload, end > captured)


def _parse_tcp(frame: Octets, at: int, end: int, addresses: tuple[str, str]) -> Packet:
    captured = len(frame)
    if at + 20 > end:
        raise MalformedPacketError("tcp_header")
    if at + 14 > captured:
        raise MalformedPacketError("truncated")
    source_port, destination_port, sequence, offset, flags = _TCP_HEADER.unpack_from(frame, at)
    header = (offset >> 4) * 4
    if header < 20 or at + header > end:
        raise MalformedPacketError("tcp_header")
    payload = frame[at + header : end]
    return Packet(
        addresses[0], source_port, addresses[1], destination_port, "tcp", payload, end > captured, flags, sequence
    )


def _find_tunnelled_ip(frame: Octets, at: int, port: int) -> int | None:
    """Return where the IP header inside a tunnel begins, or None where the packet is no tunnel's after all.

    A port proves nothing: clients may ask from it. The bytes that tell are the flags of a DNS answer, never zero and
    never an EtherType.
    """
    if at + 8 > len(frame):
        return None
    flags, protocol = _TUNNEL_HEADER.unpack_from(frame, at)
    if port == _GENEVE_PORT:
        if flags >> 14 or protocol not in (_ETHERNET_IN_GENEVE, _ETHER_IPV4, _ETHER_IPV6):
            return None
        inner = at + 8 + (flags >> 8 & 0x3F) * 4
        return inner if protocol != _ETHERNET_IN_GENEVE else _skip_ether_types(frame, inner + 12)
    return _skip_ether_types(frame, at + 8 + 12) if (flags, protocol) == (0x0800, 0) else None
