"""The kernel filter, run by the kernel and held against libpcap's compiler."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import pytest

from benchmarks.dns_traffic import write_traffic
from capture_agent.bpf import Instruction, assemble, pack
from capture_agent.filters import MAX_RESOLVER_PORTS, SYN_EXPRESSION, build_filter, dns_expression
from tests.kernel_filter import KernelFilter
from tests.unit.test_conformance_packets import CASES

DLT_RAW = 12
ANSWER = bytes.fromhex("000181800001000100000000") + b"\1a\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\5\0\4\1\2\3\4"
SYN, ACK, ECE, CWR = 0x02, 0x10, 0x40, 0x80


def udp(message: bytes, *, source: int = 53, destination: int = 40000) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(message), 0) + message


def tcp(payload: bytes = b"", *, flags: int = ACK, source: int = 53, options: bytes = b"") -> bytes:
    words = 5 + len(options) // 4
    return struct.pack("!HHIIBBHHH", source, 8080, 1, 1, words << 4, flags, 512, 0, 0) + options + payload


def ipv4(segment: bytes, *, protocol: int = 17, fragment: int = 0, options: bytes = b"") -> bytes:
    size = 20 + len(options)
    ends = bytes((10, 96, 0, 10, 10, 244, 1, 2))
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(segment), 7, fragment, 64, protocol, 0)
    return head + ends + options + segment


def ipv6(segment: bytes, *, protocol: int = 17) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + bytes(32) + segment


def with_flags(first: int, second: int, *, answers: int = 1) -> bytes:
    return ANSWER[:2] + bytes((first, second)) + ANSWER[4:6] + struct.pack("!H", answers) + ANSWER[8:]


def load_cases():
    if not CASES.exists():
        return []
    return [case for case in json.loads(CASES.read_text())["cases"] if "kernel_filter_should_pass" in case]


ACCEPTED = {
    "answer": ipv4(udp(ANSWER)),
    "answer behind IP options": ipv4(udp(ANSWER), options=bytes(8)),
    "authoritative answer with AD": ipv4(udp(with_flags(0x85, 0xA0))),
    "truncated answer": ipv4(udp(with_flags(0x82, 0))),
    "answer in IPv6": ipv6(udp(ANSWER)),
    "first fragment": ipv4(udp(ANSWER), fragment=0x2000),
    "first fragment in IPv6": ipv6(struct.pack("!BBHI", 17, 0, 0x0001, 5) + udp(ANSWER), protocol=44),
    "answer over TCP": ipv4(tcp(b"\0\x21" + ANSWER), protocol=6),
    "answer over TCP with options": ipv4(tcp(b"\0\x21" + ANSWER, options=bytes(12)), protocol=6),
    "answer over TCP in IPv6": ipv6(tcp(b"\0\x21" + ANSWER), protocol=6),
    "SYN": ipv4(tcp(flags=SYN, source=40000), protocol=6),
    "SYN with ECN": ipv4(tcp(flags=SYN | ECE | CWR, source=40000), protocol=6),
    "SYN in IPv6": ipv6(tcp(flags=SYN, source=40000), protocol=6),
}
DROPPED = {
    "query": ipv4(udp(with_flags(0x01, 0x00, answers=0), source=40000, destination=53)),
    "query from port 53": ipv4(udp(with_flags(0x01, 0x00))),
    "NXDOMAIN": ipv4(udp(with_flags(0x81, 0x83, answers=0))),
    "NXDOMAIN behind a CNAME": ipv4(udp(with_flags(0x81, 0x83))),
    "answer without records": ipv4(udp(with_flags(0x81, 0x80, answers=0))),
    "notification": ipv4(udp(with_flags(0xA0, 0x00))),
    "answer from another port": ipv4(udp(ANSWER, source=5353)),
    "tail of a fragment": ipv4(udp(ANSWER), fragment=0x0010),
    "tail of a fragment in IPv6": ipv6(struct.pack("!BBHI", 17, 0, 0x0010, 5) + udp(ANSWER), protocol=44),
    "NXDOMAIN in IPv6": ipv6(udp(with_flags(0x81, 0x83, answers=0))),
    "acknowledgement over TCP": ipv4(tcp(), protocol=6),
    "acknowledgement over TCP in IPv6": ipv6(tcp(), protocol=6),
    "SYN-ACK": ipv4(tcp(flags=SYN | ACK, source=80), protocol=6),
    "SYN-ACK in IPv6": ipv6(tcp(flags=SYN | ACK, source=80), protocol=6),
    "RST": ipv4(tcp(flags=0x04, source=80), protocol=6),
    "ICMP": ipv4(b"\x08\0" + bytes(6), protocol=1),
    "ARP": bytes.fromhex("0001080006040001") + bytes(20),
    "nothing": b"",
    "one byte": b"\x45",
    "header alone": ipv4(b""),
}


@pytest.fixture(scope="module")
def verdict():
    with KernelFilter(pack(build_filter(resolver_ports=(53,), syn=True))) as kernel:
        yield kernel.accepts


@pytest.mark.parametrize("name", ACCEPTED)
def test_answers_and_syns_reach_the_agent(verdict, name):
    assert verdict(ACCEPTED[name])


@pytest.mark.parametrize("name", DROPPED)
def test_everything_else_ends_in_the_kernel(verdict, name):
    assert not verdict(DROPPED[name])


@pytest.mark.parametrize(("ports", "accepted"), [((53, 5353), True), ((5353,), True), ((53, 5300), False), ((), False)])
def test_resolver_ports_are_those_of_the_settings(ports, accepted):
    packets = [
        ipv4(udp(ANSWER, source=5353)),
        ipv6(udp(ANSWER, source=5353)),
        ipv4(tcp(b"xx", source=5353), protocol=6),
    ]
    with KernelFilter(pack(build_filter(resolver_ports=ports, syn=True))) as kernel:
        assert [kernel.accepts(packet) for packet in packets] == [accepted] * 3


def test_as_many_resolver_ports_fit_as_promised():
    ports = tuple(range(5000, 5000 + MAX_RESOLVER_PORTS))
    with KernelFilter(pack(build_filter(resolver_ports=ports, syn=True))) as kernel:
        assert all(kernel.accepts(ipv4(udp(ANSWER, source=port))) for port in ports)
    with pytest.raises(ValueError, match="at most"):
        build_filter(resolver_ports=(*ports, 53), syn=True)


def test_syns_are_not_captured_when_not_asked_for():
    with KernelFilter(pack(build_filter(resolver_ports=(53,), syn=False))) as kernel:
        assert not kernel.accepts(ACCEPTED["SYN"])
        assert not kernel.accepts(ACCEPTED["SYN in IPv6"])
        assert kernel.accepts(ACCEPTED["answer"])


def test_dns_is_not_captured_when_not_asked_for():
    with KernelFilter(pack(build_filter(resolver_ports=(), syn=True))) as kernel:
        assert [name for name in ACCEPTED if kernel.accepts(ACCEPTED[name])] == ["SYN", "SYN with ECN", "SYN in IPv6"]


def test_the_filter_and_libpcap_agree_on_every_packet(verdict, tmp_path):
    packets = [*ACCEPTED.values(), *DROPPED.values(), *_traffic(tmp_path), *_mutants(random.Random(7))]
    with KernelFilter(_compile_with_libpcap(f"({dns_expression()}) or ({SYN_EXPRESSION})")) as libpcap:
        disagreements = [packet.hex() for packet in packets if verdict(packet) != libpcap.accepts(packet)]
    assert disagreements == []
    assert len(packets) > 10_000


@pytest.mark.skipif(not CASES.exists(), reason=f"the conformance cases are not at {CASES}")
@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case["id"])
def test_the_kernel_passes_what_the_conformance_case_says(verdict, case):
    frame = bytes.fromhex(case["input"]["hex"])
    assert (
        verdict(frame[14:] if case["input"]["link_type"] == "ethernet" else frame) is case["kernel_filter_should_pass"]
    )


def test_a_jump_out_of_reach_is_refused():
    far = "jeq #1, end, next\n" + "ld [0]\n" * 256 + "end:\nret #0"
    with pytest.raises(ValueError, match="out of reach"):
        assemble(far)


def test_a_line_that_is_no_instruction_is_refused():
    with pytest.raises(ValueError, match="no instruction"):
        assemble("mov #1")


def test_the_assembler_writes_what_the_kernel_documents():
    """The example of Documentation/networking/filter.rst: let ARP through."""
    program = "ldh [12]\njeq #0x806, next, drop\nret #0xffffffff\ndrop:\nret #0"
    assert assemble(program) == (
        Instruction(0x28, 0, 0, 0x0000000C),
        Instruction(0x15, 0, 1, 0x00000806),
        Instruction(0x06, 0, 0, 0xFFFFFFFF),
        Instruction(0x06, 0, 0, 0x00000000),
    )


def _compile_with_libpcap(expression: str) -> bytes:
    """Compile with libpcap through scapy, as root or not."""
    common = pytest.importorskip("scapy.arch.common")
    try:
        compiled = common.compile_filter(expression, linktype=DLT_RAW)
    except (ImportError, OSError) as error:
        pytest.skip(f"libpcap is not here: {error}")
    code = [compiled.bf_insns[at] for at in range(compiled.bf_len)]
    return b"".join(struct.pack("=HBBI", each.code, each.jt, each.jf, each.k) for each in code)


def _traffic(folder: Path) -> list[bytes]:
    """Return the IP packets of mixed traffic."""
    path = folder / "mixed.pcap"
    write_traffic(path, kind="mixed", frames=4000)
    data, at, packets = path.read_bytes(), 24, []
    while at < len(data):
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        frame = data[at + 16 : at + 16 + length]
        packets.append(frame[18:] if frame[12:14] == b"\x81\0" else frame[14:])
        at += 16 + length
    return packets


def _mutants(rng: random.Random) -> list[bytes]:
    """Return packets with a few bytes changed or cut off, mostly where the filter looks."""
    seeds = [*ACCEPTED.values(), *DROPPED.values()]
    mutants = []
    for _ in range(8000):
        packet = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            if packet:
                packet[rng.randrange(min(len(packet), 72))] = rng.choice(
                    (0, 1, 2, 6, 17, 44, 53, 0x45, 0x60, rng.randrange(256))
                )
        mutants.append(bytes(packet[: rng.randint(64, 80)] if rng.random() < 0.2 else packet))
    return mutants
