"""Captured packets to facts. Pure: the ring's memory comes in as a buffer, time as an argument.

Every packet goes one of two ways. Most are repeats: the bytes of an answer or of a SYN that is known, recognised
without parsing. The rest go through `parse_packet`, `parse_dns` and `observe`.

The loop over a block is written for speed, and in one piece for that reason: it is the one place where a microsecond
is a percent of a core. The layout of headers is that of struct tpacket3_hdr, followed by struct sockaddr_ll at 48 and
the IP header at 96 (include/uapi/linux/if_packet.h; net/packet/af_packet.c, tpacket_rcv).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct as Wire
from typing import NamedTuple

from callgraph.addresses import is_silent
from callgraph.records import DnsObservation, Transport
from capture_agent.dns import parse_dns
from capture_agent.fingerprints import fingerprint, is_faithful
from capture_agent.malformed import MalformedError
from capture_agent.observe import Refusal, observe_answer, observe_syn
from capture_agent.packet import LINK_RAW, Packet, address_text, parse_packet
from capture_agent.pipeline import Pipeline
from capture_agent.plain_answers import read_plain_answer, refuse_plainly
from capture_agent.ring_layout import (
    BLOCK_HEADER,
    DATA_AT,
    IPV6,
    PACKET_IPV4,
    Memory,
    as_it_lies,
)
from capture_agent.sightings import Sightings
from capture_agent.suppression import Fact, note_repeat
from capture_agent.tcp_dns import MessageStreams

_BIG_ENDIAN = Wire("!H")

_UDP, _TCP = 17, 6
_PLAIN_IPV4 = 0x45
_FRAGMENTED = as_it_lies(0x3FFF)
_SYN_ACK, _SYN = 0x12, 0x02
_LEAST_SYN_BYTES = 34
"""An IPv4 header, and a TCP header up to its flags."""
_SMALL_SEQUENCE = b"\0\0"
"""Sequence numbers that begin so are written by hand, not drawn by a kernel: they do not tell packets apart."""


class SynBytes(NamedTuple):
    """What the bytes of a SYN say."""

    origin: bytes
    """Client port and sequence number: what NAT leaves alone, so that one packet is known at every tap."""
    key: bytes
    """Both addresses and the server's port: what connections to the same server have in common."""


class Intake:
    """Where packets of the ring become facts."""

    def __init__(self, pipeline: Pipeline, *, resolver_ports: tuple[int, ...]) -> None:
        self._pipeline = pipeline
        self._answers, self._answer_counters = pipeline.suppressors["dns"], pipeline.counters["dns"]
        self._syns, self._syn_counters = pipeline.suppressors["syn"], pipeline.counters["syn"]
        self._names = pipeline.names
        self._resolver_ports = frozenset(resolver_ports)
        self._ports_as_they_lie = frozenset(as_it_lies(port) for port in resolver_ports)
        self._streams = MessageStreams()
        self._sightings = Sightings()

    def take_block(self, memory: Memory, start: int) -> None:
        """Take all packets of one block of the ring.

        What is known first, then the rest: either way runs faster when the other does not drive it out of the cache.
        """
        raw = self._answers.raw
        for packet_at, end, at, tap, form in self._take_known(memory, start):
            # An earlier packet of this block may have said the same.
            fact = raw.get(form)
            if fact is None:
                self._take_packet(memory[packet_at:end], at, tap, form)
            else:
                self._count_repeat(fact, tap, at)

    def _take_known(self, memory: Memory, start: int) -> list[tuple[int, int, int, int, int]]:
        """Count answers that are known by their bytes; return where others stand, with their times, taps and forms."""
        _, count, first = BLOCK_HEADER.unpack_from(memory, start)
        unpack, unpack_ipv6 = PACKET_IPV4.unpack_from, IPV6.unpack_from
        known, ports = self._answers.raw, self._ports_as_they_lie
        unknown = []
        packet = start + first
        for _ in range(count):
            following, at, fraction, captured, tap, version, fragment, protocol, client, port = unpack(memory, packet)
            at = at * 1_000_000_000 + fraction
            ip = packet + DATA_AT
            if version == _PLAIN_IPV4:
                message_at = ip + 28
                if fragment & _FRAGMENTED:
                    protocol = 0
            elif version >> 4 == 6:
                message_at = ip + 48
                protocol, client, port = unpack_ipv6(memory, ip)
            else:
                protocol = 0
            form, fact = 0, None
            if protocol == _UDP and port in ports:
                try:
                    form = hash(fingerprint(memory[message_at : ip + captured], client))
                except IndexError:
                    form = 0
                fact = known.get(form)
            if fact is None:
                unknown.append((ip, ip + captured, at, tap, form))
            elif fact.tap == tap:
                fact.repeats += 1
                fact.last_at = at
            else:
                fact.foreign_at = at
            packet += following
        self._answer_counters.received += count - len(unknown)
        self._answer_counters.suppressed += count - len(unknown)
        return unknown

    def _take_packet(self, frame: bytes, at: int, tap: int, form: int) -> None:
        """Take a packet whose bytes say nothing yet."""
        try:
            if self._take_plain_answer(frame, at, tap, form) if form else self._take_segment(frame, at, tap):
                return
        except IndexError:
            # Too short for what it seems to be: the parser says what is wrong with it.
            pass
        syn = cut_syn(frame)
        if syn is not None:
            self._take_syn(frame, syn, at)
            return
        try:
            packet = parse_packet(frame, LINK_RAW)
        except MalformedError as error:
            self._answer_counters.drop(error.label)
            return
        if packet.source_port in self._resolver_ports:
            self._take_answers(packet, at, tap, form)
        else:
            self._answer_counters.drop("not_for_us")

    def _take_plain_answer(self, frame: bytes, at: int, tap: int, form: int) -> bool:
        """Take an answer over UDP, if it is a plain one and its datagram is what was captured."""
        if frame[0] == _PLAIN_IPV4:
            header, ends = 20, frame[12:20]
        else:
            header, ends = 40, frame[8:40]
        if frame[header + 4] << 8 | frame[header + 5] != len(frame) - header:
            return False
        return self._settle_plain(frame[header + 8 :], "udp", ends, (at, tap, form))

    def _take_segment(self, frame: bytes, at: int, tap: int) -> bool:
        """Take an answer over TCP that fills its segment, if it is known or a plain one."""
        if len(frame) < _LEAST_SYN_BYTES:
            return False
        if (
            frame[0] != _PLAIN_IPV4
            or frame[9] != _TCP
            or _BIG_ENDIAN.unpack_from(frame, 20)[0] not in self._resolver_ports
        ):
            return False
        start = 20 + (frame[32] >> 4) * 4
        message = frame[start + 2 :]
        if frame[start : start + 2] != len(message).to_bytes(2):
            return False
        form = hash(fingerprint(message, frame[16:20]))
        fact = self._answers.raw.get(form)
        if fact is not None:
            self._count_repeat(fact, tap, at)
            return True
        refusal = refuse_plainly(message)
        if refusal is None:
            return self._settle_plain(message, "tcp", frame[12:20], (at, tap, form))
        self._answer_counters.drop(refusal)
        return True

    def _settle_plain(self, message: bytes, transport: Transport, ends: bytes, sighting: tuple[int, int, int]) -> bool:
        """Settle a plain answer; False for any other message, and for clients that are not observed."""
        answer, addresses = read_plain_answer(message), spell_ends(ends)
        if answer is None or addresses is None:
            return False
        at, tap, form = sighting
        seen = DnsObservation(
            observed_at=at,
            network_transport=transport,
            client_address=addresses[1],
            server_address=addresses[0],
            dns_question_name=answer.question_name,
            dns_question_type=answer.question_type,
            addresses=answer.addresses,
            cnames=answer.cnames,
            ttl_seconds=answer.ttl_seconds,
        )
        self._pipeline.settle("dns", seen, at=at, tap=tap, form=form)
        return True

    def _count_repeat(self, fact: Fact, tap: int, at: int) -> None:
        note_repeat(fact, tap, at)
        self._answer_counters.received += 1
        self._answer_counters.suppressed += 1

    def _take_syn(self, frame: bytes, syn: SynBytes, at: int) -> None:
        """Take a SYN, unless it was just seen at another tap, whatever NAT made of its ends meanwhile."""
        if self._sightings.is_first(syn.origin, at):
            fact = self._syns.raw.get(hash(syn.key))
            # The client may have learnt the address by another name since.
            if fact is None or not self._names.still_names(fact.observation, at=at):  # type: ignore[arg-type]  # a SYN
                self._take_new_syn(frame, syn, at)
                return
            note_repeat(fact, fact.tap, at)
        self._syn_counters.received += 1
        self._syn_counters.suppressed += 1

    def _take_new_syn(self, frame: bytes, syn: SynBytes, at: int) -> None:
        try:
            seen = observe_syn(parse_packet(frame, LINK_RAW), at)
        except MalformedError as error:
            self._syn_counters.drop(error.label)
        else:
            self._pipeline.settle("syn", seen, at=at, form=hash(syn.key))

    def _take_answers(self, packet: Packet, at: int, tap: int, form: int) -> None:
        for message in self._split(packet):
            seen = self._observe_message(packet, message, at)
            faithful = form if form and is_faithful(bytes(packet.payload)) else 0
            self._pipeline.settle("dns", seen, at=at, tap=tap, form=faithful)

    def _split(self, packet: Packet) -> Iterable[bytes | memoryview | str]:
        if packet.transport == "tcp":
            return self._streams.split(packet)
        return ("truncated",) if packet.truncated else (packet.payload,)

    def _observe_message(self, packet: Packet, message: bytes | memoryview | str, at: int) -> DnsObservation | Refusal:
        if isinstance(message, str):
            return Refusal(message)
        try:
            return observe_answer(packet, parse_dns(message), at, resolver_ports=self._resolver_ports)
        except MalformedError as error:
            return Refusal(error.label)


@lru_cache(maxsize=1024)
def spell_ends(octets: bytes) -> tuple[str, str] | None:
    """Spell the addresses of resolver and client as they stand in an IP header; None for a client that is silent."""
    middle = len(octets) // 2
    client = address_text(octets[middle:])
    return None if is_silent(client) else (address_text(octets[:middle]), client)


def cut_syn(frame: bytes) -> SynBytes | None:
    """Cut a SYN out of a raw IP packet without options or extension headers; None for any other packet."""
    if len(frame) < _LEAST_SYN_BYTES:
        return None
    if frame[0] == _PLAIN_IPV4 and frame[9] == _TCP:
        tcp, ends = 20, frame[12:20]
    elif frame[0] >> 4 == 6 and frame[6] == _TCP:
        tcp, ends = 40, frame[8:40]
    else:
        return None
    if len(frame) < tcp + 14 or frame[tcp + 13] & _SYN_ACK != _SYN:
        return None
    origin = frame[tcp : tcp + 2] + frame[tcp + 4 : tcp + 8]
    if origin[2:4] == _SMALL_SEQUENCE:
        origin += ends
    return SynBytes(origin, ends + frame[tcp + 2 : tcp + 4])
