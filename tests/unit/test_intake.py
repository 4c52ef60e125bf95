"""Packets of the ring to facts: what is known by its bytes, what is parsed, and what counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture_agent.batches import Identity
from capture_agent.intake import Intake
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.settings import AgentSettings
from tests.acknowledging import AcceptingPublisher
from tests.dns_messages import AAAA, A, damaged_answers, message, record
from tests.ip_packets import ACK, CWR, ECE, SYN, tcp, udp
from tests.ring_blocks import make_block

RESOLVER, CLIENT = ("10.96.0.10", 53), ("10.244.1.7", 40000)
RESOLVER6, CLIENT6 = ("fd00:10:96::a", 53), ("fd00:10:244::7", 40000)
VETH, BRIDGE = 7, 9
ADDRESS = bytes((10, 96, 0, 1))


@st.composite
def damaged_packets(draw: st.DrawFn) -> bytes:
    ends = draw(st.sampled_from(((RESOLVER, CLIENT), (RESOLVER6, CLIENT6))))
    packet = bytearray(
        udp(*ends, draw(damaged_answers())) if draw(st.booleans()) else tcp(*ends, flags=SYN, sequence=9**9)
    )
    packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.integers(1, len(packet)))]) if draw(st.booleans()) else bytes(packet)


class Node:
    """An intake with all that hangs on it."""

    def __init__(self) -> None:
        self.pipeline = Pipeline(AgentSettings(), Identity("c", "n", "b"))
        self.publisher = AcceptingPublisher()
        self.pipeline.publisher = self.publisher
        self.intake = Intake(self.pipeline, resolver_ports=(53,))

    def take(self, *packets: bytes, interface: int = VETH, seconds: int = 1_700_000_000) -> None:
        self.intake.take_block(make_block([(packet, interface) for packet in packets], seconds=seconds), 0)

    def published(self) -> list[object]:
        self.pipeline.finish(Moment(1, 1), gives_up=lambda: False)
        return [each for batch in self.publisher.batches for each in batch.record.observations]

    def counts(self, source: str) -> tuple[int, int, int]:
        counters = self.pipeline.counters[source]
        return counters.received, counters.suppressed, sum(counters.dropped.values())


@pytest.fixture
def node():
    return Node()


def answer(name: str = "a.example", *, number: int = 1, ttl: int = 30) -> bytes:
    return message(name, A, [record(b"\xc0\x0c", A, ADDRESS, ttl=ttl)], number=number)


def syn(
    server: tuple[str, int] = ("10.96.0.1", 443), *, port: int = 40000, sequence: int = 0x5EED0001, flags: int = SYN
):
    return tcp((CLIENT[0], port), server, flags=flags, sequence=sequence)


def test_an_answer_becomes_one_observation_with_its_repeats(node):
    for number in range(5):
        node.take(udp(RESOLVER, CLIENT, answer(number=number, ttl=30 - number)))
    [seen] = node.published()
    assert (seen.client_address, seen.server_address, seen.dns_question_name) == (CLIENT[0], RESOLVER[0], "a.example")
    assert (seen.addresses, seen.ttl_seconds, seen.count) == (("10.96.0.1",), 30, 5)
    assert node.counts("dns") == (5, 4, 0)


def test_an_answer_over_ipv6_is_known_by_its_bytes_too(node):
    raw = message("a.example", AAAA, [record(b"\xc0\x0c", AAAA, bytes(15) + b"\1")])
    node.take(udp(RESOLVER6, CLIENT6, raw), udp(RESOLVER6, CLIENT6, raw))
    [seen] = node.published()
    assert (seen.client_address, seen.count) == (CLIENT6[0], 2)
    assert len(node.pipeline.suppressors["dns"].raw) == 0 or node.counts("dns") == (2, 1, 0)


def test_an_answer_seen_on_the_bridge_as_well_counts_once(node):
    for _ in range(3):
        node.take(udp(("10.244.0.3", 53), CLIENT, answer()), interface=VETH)
        node.take(udp(RESOLVER, CLIENT, answer()), interface=BRIDGE)
    [seen] = node.published()
    assert (seen.count, seen.server_address) == (3, "10.244.0.3")


def test_the_same_answer_to_another_client_is_another_fact(node):
    node.take(udp(RESOLVER, CLIENT, answer()), udp(RESOLVER, ("10.244.1.8", 40000), answer()))
    assert [each.client_address for each in node.published()] == ["10.244.1.7", "10.244.1.8"]


def test_an_answer_over_tcp_is_read_across_segments(node):
    stream = len(answer()).to_bytes(2) + answer()
    first = tcp(RESOLVER, CLIENT, flags=ACK, sequence=100, payload=stream[:20])
    second = tcp(RESOLVER, CLIENT, flags=ACK, sequence=120, payload=stream[20:])
    node.take(first, second)
    [seen] = node.published()
    assert (seen.network_transport, seen.dns_question_name) == ("tcp", "a.example")


def test_an_answer_over_tcp_that_is_known_is_counted_unparsed(node):
    stream = len(answer()).to_bytes(2) + answer()
    node.take(udp(RESOLVER, CLIENT, answer()))
    node.take(*(tcp(RESOLVER, CLIENT, flags=ACK, sequence=100 * each, payload=stream) for each in range(3)))
    [seen] = node.published()
    assert (seen.network_transport, seen.count) == ("udp", 4)


def test_a_refusal_over_tcp_is_counted_by_reason(node):
    refused = bytearray(message("a.example", A, []))
    refused[3] |= 3
    node.take(tcp(RESOLVER, CLIENT, flags=ACK, sequence=1, payload=len(refused).to_bytes(2) + bytes(refused)))
    assert node.pipeline.counters["dns"].dropped == {"nxdomain": 1}


def test_each_observation_bears_the_time_of_its_own_packet(node):
    packets = [(udp(RESOLVER, CLIENT, answer(name)), VETH) for name in ("a.example", "b.example", "a.example")]
    block = make_block(packets, times=[(1_700_000_000, 999_999_999), (1_700_000_001, 5), (1_700_000_001, 7)])
    node.intake.take_block(block, 0)
    seen = node.published()
    assert [each.observed_at for each in seen] == [1_700_000_000_999_999_999, 1_700_000_001_000_000_005]


def test_a_repeat_bears_the_time_of_its_latest_sighting(node):
    first, again = (udp(RESOLVER, CLIENT, answer(number=number)) for number in (1, 2))
    node.intake.take_block(make_block([(first, VETH)], times=[(1_700_000_000, 1)]), 0)
    node.published()
    node.intake.take_block(make_block([(again, VETH)], times=[(1_700_000_100, 3)]), 0)
    assert [each.observed_at for each in node.published()][-1] == 1_700_000_100_000_000_003


def test_answers_that_cannot_be_read_are_counted_by_reason(node):
    node.take(udp(RESOLVER, CLIENT, answer()[:20]), udp(RESOLVER, CLIENT, b"x"), b"\x45")
    assert node.counts("dns")[0] == node.counts("dns")[2] == 3
    assert all(reason.startswith("malformed_") for reason in node.pipeline.counters["dns"].dropped)
    assert node.published() == []


@given(st.lists(st.binary(min_size=1, max_size=120) | damaged_packets(), max_size=4))
@settings(max_examples=400, deadline=None)
def test_no_packet_stops_the_agent_and_every_packet_is_counted(packets):
    node = Node()
    node.take(*packets)
    received = sum(node.counts(source)[0] for source in ("dns", "syn"))
    assert received >= len(packets)
    node.published()
    for source in ("dns", "syn"):
        counters = node.pipeline.counters[source]
        assert counters.received == counters.published + counters.suppressed + sum(counters.dropped.values())


def test_an_answer_to_the_host_itself_is_left_out(node):
    node.take(udp(("127.0.0.53", 53), ("127.0.0.1", 40000), answer()))
    assert node.pipeline.counters["dns"].dropped == {"silent_address": 1}


def test_a_message_longer_than_its_datagram_is_not_trusted(node):
    """Bytes behind the datagram are padding of the link, not what the resolver said."""
    packet = bytearray(udp(RESOLVER, CLIENT, answer()))
    packet[24:26] = (8 + 20).to_bytes(2)
    node.take(bytes(packet))
    assert node.published() == []


def test_syns_to_one_server_are_one_connection_observation(node):
    node.take(*(syn(port=40000 + number, sequence=0x5EED0000 + number) for number in range(4)))
    [seen] = node.published()
    assert (seen.server_address, seen.server_port, seen.evidence, seen.count) == ("10.96.0.1", 443, "syn", 4)
    assert node.counts("syn") == (4, 3, 0)


@pytest.mark.parametrize("flags", [SYN, SYN | ECE | CWR])
def test_a_syn_is_a_syn_with_ecn_and_without(node, flags):
    node.take(syn(flags=flags))
    assert len(node.published()) == 1


def test_a_syn_after_destination_nat_is_the_same_connection(node):
    for number in range(3):
        origin = {"port": 40000 + number, "sequence": 0x5EED0000 + number}
        node.take(syn(("10.96.0.1", 443), **origin), interface=VETH)
        node.take(syn(("10.244.2.5", 8443), **origin), interface=BRIDGE)
    [seen] = node.published()
    assert (seen.server_address, seen.count) == ("10.96.0.1", 3)


def test_a_syn_after_source_nat_is_the_same_connection(node):
    node.take(syn(("203.0.113.5", 443)))
    node.take(tcp(("192.168.1.1", 40000), ("203.0.113.5", 443), flags=SYN, sequence=0x5EED0001), interface=BRIDGE)
    [seen] = node.published()
    assert seen.client_address == CLIENT[0]


def test_a_syn_sent_again_is_no_second_connection(node):
    node.take(syn(), syn())
    assert [each.count for each in node.published()] == [1]


def test_syns_with_handmade_sequence_numbers_are_told_apart_by_their_ends(node):
    node.take(*(tcp((f"10.244.1.{host}", 20), ("10.96.0.1", 80), flags=SYN, sequence=0) for host in (1, 2, 3)))
    assert len(node.published()) == 3


def test_a_syn_over_ipv6_counts(node):
    node.take(tcp(CLIENT6, ("fd00:10:96::1", 443), flags=SYN, sequence=0x5EED0001))
    [seen] = node.published()
    assert (seen.client_address, seen.server_address) == (CLIENT6[0], "fd00:10:96::1")


def test_repeats_bear_the_time_at_which_they_were_seen(node):
    node.take(udp(RESOLVER, CLIENT, answer()), seconds=1_700_000_000)
    node.pipeline.work(Moment(1, 1), flush=True)
    node.take(udp(RESOLVER, CLIENT, answer(number=2)), seconds=1_700_000_100)
    assert [each.observed_at // 10**9 for each in node.published()] == [1_700_000_000, 1_700_000_100]
