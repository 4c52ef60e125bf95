"""The kernel filter: which packets are worth waking the agent for. Pure.

In: what to capture. Out: a program of classic BPF for a packet socket of type SOCK_DGRAM, where the data begins at
the IP header whatever the link (DLT_RAW). It passes DNS answers (QR set, opcode QUERY, RCODE 0, ANCOUNT > 0) that
come from a resolver's port over UDP, in IPv6 behind one fragment header too; segments with payload from that port
over TCP; and TCP SYNs without ACK, with or without the bits of ECN. Search-path NXDOMAIN, four answers of five, ends
in the kernel.

`DNS_EXPRESSION` and `SYN_EXPRESSION` say the same to libpcap; the tests hold the two against each other.

Source: RFC 1035 section 4.1.1, RFC 768, RFC 9293, RFC 8200, RFC 3168 section 6.1.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from capture_agent.bpf import Instruction, assemble

ACCEPT_BYTES = 262_144
"""How much of a packet is captured: more than any packet has."""

MAX_RESOLVER_PORTS = 32
"""A conditional jump reaches 255 instructions; each port takes one in four places."""


def build_filter(*, resolver_ports: Sequence[int], syn: bool) -> tuple[Instruction, ...]:
    """Build the program. No ports: no DNS."""
    if len(resolver_ports) > MAX_RESOLVER_PORTS:
        raise ValueError(f"at most {MAX_RESOLVER_PORTS} resolver ports fit into a filter")
    return assemble("".join((_DISPATCH, _ipv4(resolver_ports, syn=syn), _ipv6(resolver_ports, syn=syn), _VERDICTS)))


def dns_expression(port: int = 53) -> str:
    """Spell the DNS part for libpcap, which compiles it for DLT_RAW."""
    return (
        f"(udp src port {port} and udp[10] & 0xf8 = 0x80 and udp[11] & 0x0f = 0 and udp[14:2] != 0)"
        f" or (ip6[6] = 17 and ip6[40:2] = {port} and ip6[50] & 0xf8 = 0x80 and ip6[51] & 0x0f = 0"
        " and ip6[54:2] != 0)"
        f" or (ip6[6] = 44 and ip6[40] = 17 and ip6[42:2] & 0xfff8 = 0 and ip6[48:2] = {port}"
        " and ip6[58] & 0xf8 = 0x80 and ip6[59] & 0x0f = 0 and ip6[62:2] != 0)"
        f" or (tcp src port {port} and (ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2)) != 0)"
        f" or (ip6[6] = 6 and ip6[40:2] = {port} and (ip6[4:2] - ((ip6[52] & 0xf0) >> 2)) != 0)"
    )


SYN_EXPRESSION = "(tcp[13] & 0x12 = 0x02) or (ip6 and ip6[6] = 6 and ip6[53] & 0x12 = 0x02)"


_DISPATCH = """
    ldb [0]
    and #0xf0
    jeq #0x60, ipv6, next
    jeq #0x40, next, drop
"""

_VERDICTS = f"""
accept:
    ret #{ACCEPT_BYTES}
drop:
    ret #0
"""


def _ipv4(ports: Sequence[int], *, syn: bool) -> str:
    return f"""
    ldh [6]
    jset #0x1fff, drop, next    ; the tail of a fragmented packet has no ports
    ldxb 4*([0]&0xf)
    ldb [9]
    jeq #6, ipv4_tcp, next
    jeq #17, next, drop
    {_from_ports(ports, "ldh [x + 0]", "ipv4_udp_port")}
    {_answer(ports, "x + ", 0)}
ipv4_tcp:
    {_syn("ldb [x + 13]") if syn else ""}
    {_from_ports(ports, "ldh [x + 0]", "ipv4_tcp_port")}
    ldb [x + 12]
    and #0xf0
    rsh #2                      ; the length of the TCP header
    add x
    tax
    ldh [2]
    sub x
    jeq #0, drop, accept        ; no payload
"""


def _ipv6(ports: Sequence[int], *, syn: bool) -> str:
    return f"""
ipv6:
    ldb [6]
    jeq #6, ipv6_tcp, next
    jeq #44, ipv6_fragment, next
    jeq #17, next, drop
    {_from_ports(ports, "ldh [40]", "ipv6_udp_port")}
    {_answer(ports, "", 40)}
ipv6_fragment:
    ldb [40]
    jeq #17, next, drop
    ldh [42]
    jset #0xfff8, drop, next    ; not the first fragment
    {_from_ports(ports, "ldh [48]", "ipv6_fragment_port")}
    {_answer(ports, "", 48)}
ipv6_tcp:
    {_syn("ldb [53]") if syn else ""}
    {_from_ports(ports, "ldh [40]", "ipv6_tcp_port")}
    ldb [52]
    and #0xf0
    rsh #2
    tax
    ldh [4]
    sub x
    jeq #0, drop, accept
"""


def _answer(ports: Sequence[int], index: str, udp_at: int) -> str:
    """Accept a DNS answer in the datagram at `udp_at`, drop everything else."""
    if not ports:
        return ""
    return f"""
    ldb [{index}{udp_at + 10}]
    and #0xf8                   ; QR and opcode
    jeq #0x80, next, drop
    ldb [{index}{udp_at + 11}]
    and #0x0f                   ; RCODE
    jeq #0, next, drop
    ldh [{index}{udp_at + 14}]
    jeq #0, drop, accept
"""


def _syn(load_flags: str) -> str:
    """Accept a segment with SYN and without ACK, go on with any other."""
    return f"""
    {load_flags}
    and #0x12
    jeq #0x02, accept, next
"""


def _from_ports(ports: Sequence[int], load: str, label: str) -> str:
    """Go on if the source port is a resolver's, else drop."""
    if not ports:
        return "    jeq #0, drop, drop"
    tests = "".join(f"    jeq #{port}, {label}, next\n" for port in ports[:-1])
    return f"{load}\n{tests}    jeq #{ports[-1]}, next, drop\n{label}:"
