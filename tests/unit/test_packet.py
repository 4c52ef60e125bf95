"""Frames to packets: every link layer, and nothing but the one error."""

import ipaddress
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callgraph.addresses import canonical_address
from capture_agent.malformed import PACKET_REASONS, MalformedPacketError
from capture_agent.packet import (
    LINK_ETHERNET,
    LINK_IPV4,
    LINK_IPV6,
    LINK_LOOP,
    LINK_NULL,
    LINK_RAW,
    LINK_SLL,
    LINK_SLL2,
    LINK_TYPES,
    address_text,
    parse_packet,
)
from tests.wire_bytes import (
    CLIENT,
    CLIENT6,
    RESOLVER,
    RESOLVER6,
    answer,
    dns_frame,
    ethernet,
    geneve,
    ipv4,
    ipv6,
    tcp,
    udp,
    vxlan,
)

ANSWER = answer()
IPV4, IPV6 = ipv4(udp(ANSWER)), ipv6(udp(ANSWER))
FROM_RESOLVER = (RESOLVER, 53, CLIENT, 40000, "udp", ANSWER)
FROM_RESOLVER6 = (RESOLVER6, 53, CLIENT6, 40000, "udp", ANSWER)


def ends(packet):
    return (
        packet.source_address,
        packet.source_port,
        packet.destination_address,
        packet.destination_port,
        packet.transport,
        bytes(packet.payload),
    )


def outcome_of(frame, link_type=LINK_ETHERNET):
    try:
        return parse_packet(frame, link_type).transport
    except MalformedPacketError as error:
        return error.reason


OUTCOMES = PACKET_REASONS | {"udp", "tcp"}


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (LINK_ETHERNET, ethernet(b"")),
        (LINK_RAW, b""),
        (12, b""),
        (14, b""),
        (LINK_IPV4, b""),
        (LINK_NULL, struct.pack("<I", 2)),
        (LINK_LOOP, struct.pack(">I", 2)),
        (LINK_SLL, struct.pack("!HHH8sH", 4, 1, 6, b"\2\0\0\0\0\1\0\0", 0x0800)),
        (LINK_SLL2, struct.pack("!HHIHBB8s", 0x0800, 0, 7, 1, 4, 6, b"\2\0\0\0\0\1\0\0")),
    ],
)
def test_ipv4_is_found_behind_every_link_layer(link_type, head):
    assert ends(parse_packet(head + IPV4, link_type)) == FROM_RESOLVER


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (LINK_ETHERNET, ethernet(b"", kind=0x86DD)),
        (LINK_RAW, b""),
        (LINK_IPV6, b""),
        (LINK_NULL, struct.pack("<I", 30)),
        (LINK_SLL, struct.pack("!HHH8sH", 4, 1, 6, b"\2\0\0\0\0\1\0\0", 0x86DD)),
        (LINK_SLL2, struct.pack("!HHIHBB8s", 0x86DD, 0, 7, 1, 4, 6, b"\2\0\0\0\0\1\0\0")),
    ],
)
def test_ipv6_is_found_behind_every_link_layer(link_type, head):
    assert ends(parse_packet(head + IPV6, link_type)) == FROM_RESOLVER6


@pytest.mark.parametrize("tags", [(0x8100,), (0x88A8, 0x8100), (0x9100, 0x8100), (0x8100,) * 4])
def test_vlan_tags_are_skipped_up_to_four(tags):
    assert ends(parse_packet(ethernet(IPV4, tags=tags), LINK_ETHERNET)) == FROM_RESOLVER


def test_fifth_vlan_tag_is_too_many():
    assert outcome_of(ethernet(IPV4, tags=(0x8100,) * 5)) == "not_ip"


def test_vlan_tag_behind_a_cooked_header_is_skipped():
    head = struct.pack("!HHIHBB8s", 0x8100, 0, 7, 1, 4, 6, b"\2\0\0\0\0\1\0\0") + struct.pack("!HH", 100, 0x0800)
    assert ends(parse_packet(head + IPV4, LINK_SLL2)) == FROM_RESOLVER


def test_ethernet_padding_is_not_payload():
    frame = ethernet(ipv4(udp(b"ab"))) + bytes(16)
    assert parse_packet(frame, LINK_ETHERNET).payload == b"ab"


def test_ip_options_are_skipped():
    assert parse_packet(ethernet(ipv4(udp(ANSWER), options=bytes(12))), LINK_ETHERNET).payload == ANSWER


def test_buffer_of_a_ring_is_read_without_a_copy():
    payload = parse_packet(memoryview(bytearray(dns_frame())), LINK_ETHERNET).payload
    assert isinstance(payload, memoryview)
    assert payload == ANSWER


@pytest.mark.parametrize("frame", [vxlan(ethernet(IPV4)), vxlan(ethernet(IPV4, tags=(0x8100,)), port=8472)])
def test_vxlan_gives_the_inner_packet(frame):
    assert ends(parse_packet(frame, LINK_ETHERNET)) == FROM_RESOLVER


@pytest.mark.parametrize(
    "frame",
    [geneve(ethernet(IPV4)), geneve(ethernet(IPV4), options=bytes(8)), geneve(IPV4, protocol=0x0800)],
)
def test_geneve_gives_the_inner_packet(frame):
    assert ends(parse_packet(frame, LINK_ETHERNET)) == FROM_RESOLVER


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (ipv4(IPV4, protocol=4, source="192.168.1.10", destination="192.168.1.11"), FROM_RESOLVER),
        (ipv4(IPV6, protocol=41, source="192.168.1.10", destination="192.168.1.11"), FROM_RESOLVER6),
        (ipv6(IPV4, following=4), FROM_RESOLVER),
    ],
)
def test_ip_in_ip_gives_the_inner_packet(frame, expected):
    assert ends(parse_packet(frame, LINK_RAW)) == expected


def test_tunnels_in_tunnels_end():
    frame = ethernet(IPV4)
    for _ in range(2):
        frame = vxlan(frame)
    assert ends(parse_packet(frame, LINK_ETHERNET)) == FROM_RESOLVER
    assert outcome_of(vxlan(frame)) == "tunnel"


@pytest.mark.parametrize("port", [4789, 8472, 6081])
def test_answer_to_a_client_that_asks_from_a_tunnel_port_is_an_answer(port):
    assert parse_packet(dns_frame(destination=port), LINK_ETHERNET).payload == ANSWER


@pytest.mark.parametrize(
    "extensions",
    [
        ((0, bytes(6)),),
        ((60, bytes(14)), (43, bytes(6))),
        ((51, b"\0" * 10),),
        ((44, struct.pack("!HI", 0, 9)),),
    ],
    ids=["hop by hop", "options and routing", "authentication", "atomic fragment"],
)
def test_ipv6_extension_headers_are_skipped(extensions):
    chain, following = udp(ANSWER), 17
    for kind, data in reversed(extensions):
        size = len(data) + 2
        units = {51: size // 4 - 2, 44: 0}.get(kind, size // 8 - 1)
        chain, following = bytes([following, units]) + data + chain, kind
    assert ends(parse_packet(ipv6(chain, following=following), LINK_RAW)) == FROM_RESOLVER6


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(udp(ANSWER), fragment=0x2000),
        ipv4(ANSWER, fragment=0x0010),
        ipv6(struct.pack("!BBHI", 17, 0, 1, 9) + udp(ANSWER), following=44),
        ipv6(struct.pack("!BBHI", 17, 0, 8, 9) + ANSWER, following=44),
    ],
    ids=["first of ipv4", "later of ipv4", "first of ipv6", "later of ipv6"],
)
def test_fragments_are_named_as_such(packet):
    assert outcome_of(packet, LINK_RAW) == "fragment"


def test_do_not_fragment_is_no_fragment():
    assert parse_packet(ipv4(udp(ANSWER), fragment=0x4000), LINK_RAW).payload == ANSWER


def test_packet_that_the_capture_cut_is_truncated():
    packet = parse_packet(dns_frame()[:-5], LINK_ETHERNET)
    assert packet.truncated
    assert packet.payload == ANSWER[:-5]


def test_syn_of_a_capture_that_kept_54_bytes_is_whole_enough():
    frame = ethernet(ipv4(tcp(flags=0x02, options=bytes(20)), protocol=6))
    packet = parse_packet(frame[:54], LINK_ETHERNET)
    assert (packet.tcp_flags, packet.truncated) == (0x02, True)


def test_length_zero_of_segmentation_offload_reaches_to_the_end_of_the_frame():
    packet = parse_packet(ipv4(tcp(b"x" * 3000), protocol=6, length=0), LINK_RAW)
    assert len(packet.payload) == 3000


def test_tcp_flags_and_sequence_are_read():
    packet = parse_packet(
        ipv6(tcp(b"x", flags=0xC2, sequence=2**32 - 1, source=9, destination=8), following=6), LINK_RAW
    )
    assert (packet.source_port, packet.destination_port) == (9, 8)
    assert (packet.tcp_flags, packet.tcp_sequence, packet.payload) == (0xC2, 2**32 - 1, b"x")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "link_header"),
        (b"\0", "link_header"),
        (ethernet(b"")[:13], "link_header"),
        (ethernet(b""), "ip_header"),
        (ethernet(b"", kind=0x0806), "not_ip"),
        (ethernet(IPV4, tags=(0x8100,))[:15], "link_header"),
        (ethernet(IPV4[:19]), "ip_header"),
        (ethernet(ipv4(b"", first=0x05)), "ip_header"),
        (ethernet(ipv4(b"", first=0xF5)), "ip_header"),
        (ethernet(ipv4(udp(b""), first=0x40)), "ip_header"),
        (ethernet(ipv4(udp(b""), first=0x4F)), "ip_header"),
        (ethernet(ipv4(udp(b""), length=19)), "ip_header"),
        (ethernet(ipv4(udp(b""), length=27)), "udp_header"),
        (ethernet(ipv4(udp(ANSWER, length=0))), "udp_header"),
        (ethernet(ipv4(udp(ANSWER, length=7))), "udp_header"),
        (ethernet(ipv4(udp(ANSWER, length=65535))), "udp_header"),
        (dns_frame()[: 14 + 20 + 7], "truncated"),
        (ethernet(ipv4(tcp(offset=4), protocol=6)), "tcp_header"),
        (ethernet(ipv4(tcp(offset=15), protocol=6)), "tcp_header"),
        (ethernet(ipv4(tcp()[:19], protocol=6)), "tcp_header"),
        (ethernet(ipv4(tcp(), protocol=6))[: 34 + 13], "truncated"),
        (ethernet(ipv4(b"\x08\0" + bytes(30), protocol=1)), "other_transport"),
        (ethernet(ipv6(b"", following=59), kind=0x86DD), "other_transport"),
        (ethernet(IPV6[:39], kind=0x86DD), "ip_header"),
        (ethernet(ipv6(b"\0\xff" + bytes(6), following=0), kind=0x86DD), "ip_extension"),
        (ethernet(ipv6(b"\0\0" + bytes(5), following=0), kind=0x86DD), "ip_extension"),
        (ethernet(ipv6(bytes(8 * 9), following=0), kind=0x86DD), "ip_extension"),
        (vxlan(b""), "link_header"),
        (vxlan(ethernet(b"\x45")), "ip_header"),
        (geneve(b"\x45", options=bytes(252)), "link_header"),
    ],
)
def test_what_cannot_be_read_has_a_reason(frame, reason):
    assert outcome_of(frame) == reason


def test_unknown_link_type_has_a_reason():
    assert outcome_of(IPV4, 127) == "link_type"


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::a", "::1", "::", "2001:db8:0:1::", "1:0:0:2::3", "::102:304"])
def test_addresses_are_spelt_as_everywhere(text):
    assert address_text(ipaddress.ip_address(text).packed) == canonical_address(text) == text


@settings(deadline=None)
@given(st.binary(min_size=16, max_size=16))
def test_any_ipv6_address_is_spelt_as_everywhere(octets):
    assert address_text(octets) == canonical_address(str(ipaddress.IPv6Address(octets)))


def test_ipv4_mapped_address_is_ipv4():
    assert address_text(bytes(10) + b"\xff\xff\x0a\0\0\1") == "10.0.0.1"


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(LINK_TYPES)))
def test_any_bytes_are_a_packet_or_the_one_error(frame, link_type):
    assert outcome_of(frame, link_type) in OUTCOMES


def test_any_damage_to_a_frame_gives_a_packet_or_the_one_error():
    chance = random.Random(53)
    frames = [dns_frame(), vxlan(ethernet(IPV4)), geneve(ethernet(IPV4)), ethernet(IPV6, kind=0x86DD)]
    for _ in range(20_000):
        frame = bytearray(chance.choice(frames))
        for _ in range(chance.randrange(1, 4)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        assert outcome_of(bytes(frame[: chance.randrange(1, len(frame) + 1)])) in OUTCOMES
