"""Captured packets to facts. Pure: the ring's memory comes in as a buffer, time as an argument.

Every packet goes one of two ways. Most are repeats: the bytes of an answer or of a SYN that is known, recognised
without parsing. The rest go through `parse_packet`, `parse_dns` and `observe`.

The block loop is written for speed: it is the one place where a microsecond is a percent of a core. Its layout of
headers is that of struct tpacket3_hdr, followed by struct sockaddr_ll at 48 and the IP header at `mac`.
"""

from __future__ import annotations

import mmap
from struct import Struct as Wire

from capture_agent.dns import parse_dns
from capture_agent.malformed import MalformedError
from capture_agent.observe import is_syn, observe_answer, observe_syn
from capture_agent.packet import LINK_RAW, Packet, parse_packet
from capture_agent.pipeline import Pipeline
from capture_agent.ring import BLOCK_HEADER

_NEXT_AND_TIME = Wire("=5I4xH26xQ")
"""next_offset, seconds, nanoseconds, captured, length, mac; then ifindex, hatype, pkttype and halen as one number."""


class Intake:
    """Where packets become facts."""

    def __init__(self, pipeline: Pipeline, *, resolver_ports: tuple[int, ...], syn: bool) -> None:
        self._pipeline = pipeline
        self._answer_counters = pipeline.counters["dns"]
        self._resolver_ports = frozenset(resolver_ports)
        self._with_syn = syn

    def take_block(self, memory: mmap.mmap, start: int) -> None:
        """Take all packets of one block of the ring."""
        _, count, first = BLOCK_HEADER.unpack_from(memory, start)
        at = start + first
        for _ in range(count):
            following, seconds, nanoseconds, captured, _, mac, tap = _NEXT_AND_TIME.unpack_from(memory, at)
            frame = memory[at + mac : at + mac + captured]
            self.take_frame(frame, LINK_RAW, seconds * 1_000_000_000 + nanoseconds, tap=tap)
            at += following

    def take_frame(self, frame: bytes | memoryview, link_type: int, at: int, *, tap: int = 0) -> None:
        """Take one packet in, parsed in full."""
        try:
            packet = parse_packet(frame, link_type)
            if is_syn(packet):
                self._take_syn(packet, at, tap)
            elif packet.source_port in self._resolver_ports:
                self._take_answer(packet, at, tap)
            else:
                self._answer_counters.drop("not_for_us")
        except MalformedError as error:
            self._answer_counters.drop(error.label)

    def _take_syn(self, packet: Packet, at: int, tap: int) -> None:
        if self._with_syn:
            self._pipeline.settle("syn", observe_syn(packet, at), at=at, tap=tap)

    def _take_answer(self, packet: Packet, at: int, tap: int) -> None:
        for message in split_messages(packet):
            answer = parse_dns(message)
            seen = observe_answer(packet, answer, at, resolver_ports=self._resolver_ports)
            self._pipeline.settle("dns", seen, at=at, tap=tap)


def split_messages(packet: Packet) -> list[bytes]:
    """Return the whole DNS messages that a packet carries; over TCP each has a length before it."""
    payload = bytes(packet.payload)
    if packet.transport == "udp":
        return [payload]
    messages = []
    at = 0
    while at + 2 < len(payload):
        size = int.from_bytes(payload[at : at + 2])
        messages.append(payload[at + 2 : at + 2 + size])
        at += 2 + size
    return messages
