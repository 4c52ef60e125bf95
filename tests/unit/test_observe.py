"""Packets to observations: who asked, who connects, and each packet once."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callgraph.records import ConnectionObservation, DnsObservation
from capture_agent.dns import parse_dns
from capture_agent.observe import Refusal, observe_answer, observe_capture, observe_syn
from capture_agent.packet import LINK_ETHERNET, LINK_RAW, Frame, parse_packet
from capture_agent.tcp_dns import MAX_BYTES, MessageStreams
from tests.wire_bytes import (
    CLIENT,
    CLIENT6,
    NXDOMAIN,
    QUESTION_POINTER,
    RESOLVER,
    RESOLVER6,
    RESPONSE,
    a,
    answer,
    dns_frame,
    ethernet,
    ipv4,
    ipv6,
    message,
    prefixed,
    tcp,
    udp,
    vxlan,
)

AT = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
SYN_FRAME = ethernet(
    ipv4(tcp(flags=0x02, source=40000, destination=80), protocol=6, source=CLIENT, destination="10.0.0.1")
)


def observe(*frames, at=AT, **more):
    return list(observe_capture([Frame(at, LINK_ETHERNET, frame) for frame in frames], **more))


def syn(flags=0x02, sequence=7, source=CLIENT, destination="10.0.0.1"):
    segment = tcp(flags=flags, source=40000, destination=80, sequence=sequence)
    return ethernet(ipv4(segment, protocol=6, source=source, destination=destination))


def dns_segment(payload, sequence, **more):
    return ethernet(ipv4(tcp(payload, sequence=sequence, **more), protocol=6))


def test_client_of_an_answer_is_its_destination_and_the_resolver_goes_along():
    (seen,) = observe(dns_frame())
    assert isinstance(seen, DnsObservation)
    assert (seen.client_address, seen.server_address, seen.network_transport) == (CLIENT, RESOLVER, "udp")
    assert (seen.observed_at, seen.dns_question_name, seen.addresses) == (
        AT,
        "svc.ns.svc.cluster.local",
        ("10.96.0.20",),
    )


def test_answer_over_ipv6_is_observed():
    (seen,) = observe(ethernet(ipv6(udp(answer())), kind=0x86DD))
    assert (seen.client_address, seen.server_address) == (CLIENT6, RESOLVER6)


def test_question_is_not_for_us():
    assert observe(dns_frame(message(flags=0x0100), source=40000, destination=53)) == [Refusal("not_for_us")]


def test_answer_sent_to_port_53_proves_nothing():
    assert observe(dns_frame(source=40000, destination=53)) == [Refusal("not_for_us")]


def test_query_from_port_53_is_no_answer():
    assert observe(dns_frame(answer(flags=0))) == [Refusal("query")]


def test_nxdomain_is_counted_by_its_name():
    assert observe(dns_frame(message(flags=RESPONSE | NXDOMAIN))) == [Refusal("nxdomain")]


def test_resolver_ports_are_configurable():
    frame = dns_frame(source=5353)
    assert observe(frame) == [Refusal("not_for_us")]
    (seen,) = observe(frame, resolver_ports=(53, 5353))
    assert isinstance(seen, DnsObservation)


def test_observe_answer_asks_for_a_resolver_port_itself():
    packet = parse_packet(dns_frame(source=5353), LINK_ETHERNET)
    assert observe_answer(packet, parse_dns(packet.payload), AT) == Refusal("not_for_us")


def test_answer_to_loopback_is_silent():
    assert observe(ethernet(ipv4(udp(answer()), destination="127.0.0.1"))) == [Refusal("silent_address")]


def test_malformed_message_is_counted_by_reason():
    assert observe(dns_frame(message(counts=(2, 0, 0, 0)))) == [Refusal("malformed_question_count")]


def test_malformed_packet_is_counted_by_reason():
    assert observe(ethernet(ipv4(b"", first=0x40))) == [Refusal("malformed_ip_header")]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [(ethernet(b"", kind=0x0806), "not_ip"), (ethernet(ipv4(b"x" * 40, fragment=9)), "fragment")],
)
def test_what_is_merely_not_ours_is_not_called_malformed(frame, reason):
    assert observe(frame) == [Refusal(reason)]


def test_answer_that_the_capture_cut_is_counted():
    assert observe(dns_frame()[:-1]) == [Refusal("truncated")]


def test_frame_that_the_file_cuts_is_counted():
    assert list(observe_capture([Frame(AT, LINK_RAW, b"", cut=True)])) == [Refusal("truncated")]


@pytest.mark.parametrize("flags", [0x02, 0xC2, 0x42, 0x0A], ids=["plain", "ecn setup", "ece", "with push"])
def test_syn_without_ack_opens_a_connection(flags):
    (seen,) = observe(syn(flags))
    assert isinstance(seen, ConnectionObservation)
    assert (seen.client_address, seen.client_port, seen.server_address, seen.server_port) == (
        CLIENT,
        40000,
        "10.0.0.1",
        80,
    )
    assert (seen.evidence, seen.client_side, seen.network_transport) == ("syn", "known", "tcp")


@pytest.mark.parametrize("flags", [0x12, 0x10, 0x18, 0x04, 0x11, 0xD2])
def test_any_other_segment_opens_nothing(flags):
    packet = parse_packet(syn(flags), LINK_ETHERNET)
    assert observe_syn(packet, AT) == Refusal("not_for_us")
    assert observe(syn(flags)) == [Refusal("not_for_us")]


def test_syn_over_ipv6_is_observed():
    segment = tcp(flags=2, source=40000, destination=80)
    (seen,) = observe(ethernet(ipv6(segment, following=6, source=CLIENT6, destination="fd00::1"), kind=0x86DD))
    assert (seen.client_address, seen.server_address, seen.server_port) == (CLIENT6, "fd00::1", 80)


def test_syn_within_the_host_is_silent():
    assert observe(syn(source="127.0.0.1", destination="127.0.0.1")) == [Refusal("silent_address")]


# -- Once -------------------------------------------------------------------------------------------------------------


def test_answer_seen_at_two_taps_counts_once_though_nat_changes_its_source():
    from_pod = ethernet(ipv4(udp(answer()), source="10.244.0.2"))
    first, second = observe(from_pod, dns_frame())
    assert first.server_address == "10.244.0.2"
    assert second == Refusal("seen_before")


def test_answer_seen_in_its_tunnel_and_out_of_it_counts_once():
    _, second = observe(vxlan(dns_frame()), dns_frame())
    assert second == Refusal("seen_before")


def test_syn_seen_before_and_after_nat_counts_at_the_first_tap():
    first, second = observe(syn(destination="10.96.0.20"), syn(destination="10.244.1.7"))
    assert first.server_address == "10.96.0.20"
    assert second == Refusal("seen_before")


def test_second_connection_from_the_same_port_counts():
    first, second = observe(syn(sequence=7), syn(sequence=8))
    assert isinstance(first, ConnectionObservation)
    assert isinstance(second, ConnectionObservation)


@pytest.mark.parametrize(
    "other",
    [
        dns_frame(answer(message_id=9)),
        dns_frame(destination=40001),
        dns_frame(answer("other.ns.svc.cluster.local")),
        ethernet(ipv4(udp(answer()), destination="10.244.0.10")),
    ],
    ids=["another id", "another port", "another name", "another client"],
)
def test_another_question_counts(other):
    assert [type(each) for each in observe(dns_frame(), other)] == [DnsObservation, DnsObservation]


def test_same_answer_minutes_later_counts_again():
    frames = [Frame(AT + late * SECOND, LINK_ETHERNET, dns_frame()) for late in (0, 120)]
    assert [type(each) for each in observe_capture(frames)] == [DnsObservation, DnsObservation]


def test_capture_that_goes_back_in_time_is_read():
    frames = [Frame(AT - late * SECOND, LINK_ETHERNET, dns_frame()) for late in (0, 3600, 3600)]
    assert [type(each) for each in observe_capture(frames)] == [DnsObservation, DnsObservation, Refusal]


# -- DNS over TCP -----------------------------------------------------------------------------------------------------

ONE, TWO = answer("one.x", message_id=1), answer("two.x", message_id=2)


def names(observed):
    return [each.dns_question_name if isinstance(each, DnsObservation) else each.reason for each in observed]


def test_messages_that_share_a_segment_are_all_observed():
    assert names(observe(dns_segment(prefixed(ONE, TWO), 1))) == ["one.x", "two.x"]


def test_transport_of_an_answer_over_tcp_is_tcp():
    assert observe(dns_segment(prefixed(ONE), 1))[0].network_transport == "tcp"


@settings(deadline=None)
@given(st.lists(st.integers(1, 80), min_size=1, max_size=20))
def test_messages_are_put_together_however_they_are_cut(sizes):
    stream = prefixed(ONE, TWO, answer("three.x", message_id=3))
    frames, at = [], 0
    for size in sizes:
        frames.append(dns_segment(stream[at : at + size], 2**32 - 20 + at & 0xFFFFFFFF))
        at += size
    if at < len(stream):
        frames.append(dns_segment(stream[at:], 2**32 - 20 + at & 0xFFFFFFFF))
    seen = [each for each in names(observe(*frames)) if each.endswith(".x")]
    assert seen == ["one.x", "two.x", "three.x"]


def test_segment_sent_again_is_not_read_again():
    stream = prefixed(ONE)
    frames = [
        dns_segment(stream[:9], 1),
        dns_segment(stream[:9], 1),
        dns_segment(stream[9:], 10),
        dns_segment(stream[9:], 10),
    ]
    assert names(observe(*frames)) == ["tcp_part", "tcp_repeated", "one.x", "tcp_repeated"]


def test_segment_that_overlaps_gives_what_is_new():
    stream = prefixed(ONE)
    assert names(observe(dns_segment(stream[:20], 1), dns_segment(stream[10:], 11))) == ["tcp_part", "one.x"]


def test_hole_in_a_stream_is_counted_and_the_next_message_read():
    stream = prefixed(ONE)
    frames = [dns_segment(stream[:9], 1), dns_segment(stream[15:], 16), dns_segment(prefixed(TWO), 1 + len(stream))]
    assert names(observe(*frames)) == ["tcp_part", "tcp_gap", "two.x"]


def test_message_behind_a_hole_is_not_trusted():
    assert names(observe(dns_segment(prefixed(ONE)[:9], 1), dns_segment(prefixed(TWO), 16))) == ["tcp_part", "tcp_gap"]


def test_stream_from_its_middle_is_counted():
    assert names(observe(dns_segment(prefixed(ONE)[7:], 8))) == ["tcp_unaligned"]


def test_next_connection_of_the_same_ends_begins_anew():
    stream = prefixed(ONE)
    frames = [dns_segment(stream[:9], 1), dns_segment(stream[9:], 10), dns_segment(prefixed(TWO), 3_000_000_000)]
    assert names(observe(*frames)) == ["tcp_part", "one.x", "two.x"]


def test_acknowledgement_without_data_is_counted():
    assert names(observe(dns_segment(b"", 1, flags=0x10))) == ["tcp_empty"]


def test_unfinished_streams_are_bounded():
    stream = prefixed(ONE)
    frames = [
        ethernet(ipv4(tcp(part, sequence=at, destination=port), protocol=6))
        for part, at in ((stream[:9], 1), (stream[9:], 10))
        for port in range(1000, 1300)
    ]
    seen = names(observe(*frames))
    assert (seen.count("tcp_part"), seen.count("one.x"), seen.count("tcp_unaligned")) == (300, 256, 44)


def test_message_in_too_many_segments_is_given_up():
    stream = prefixed(message("x.y", [a(QUESTION_POINTER, "1.1.1.1")] * 20))
    seen = names(observe(*(dns_segment(stream[at : at + 1], 1 + at) for at in range(len(stream)))))
    assert seen.count("tcp_scattered") == 1
    assert "x.y" not in seen


def test_bytes_of_unfinished_streams_are_bounded():
    streams = MessageStreams()
    large = prefixed(message("x.y", [a(QUESTION_POINTER, "1.1.1.1")] * 3000))[:40_000]
    for port in range(1000, 1100):
        list(streams.split(parse_packet(ipv4(tcp(large, destination=port), protocol=6), LINK_RAW)))
    assert sum(len(stream.data) for stream in streams._streams.values()) == streams._bytes <= MAX_BYTES


def test_every_frame_gives_at_least_one_outcome():
    chance = random.Random(7)
    frames = [
        dns_frame(),
        SYN_FRAME,
        dns_segment(prefixed(ONE)[:9], 1),
        vxlan(dns_frame()),
        dns_frame(message(counts=(0, 0, 0, 0))),
    ]
    for _ in range(3000):
        frame = bytearray(chance.choice(frames))
        frame[chance.randrange(len(frame))] = chance.randrange(256)
        assert observe(bytes(frame[: chance.randrange(len(frame)) + 1]))
