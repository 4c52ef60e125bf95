"""Decoded packets to observations. Pure.

In: a packet, what it carries, and when it was seen. Out: a DnsObservation or ConnectionObservation, or a Refusal with
the reason, which counts under `dropped`. The client of a DNS answer is the packet's destination; the source, the
resolver as it looks at this tap, goes along, so that forged answers can be told apart later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from callgraph.addresses import is_silent
from callgraph.records import ConnectionObservation, DnsObservation
from capture_agent.dns import DnsAnswer, parse_dns
from capture_agent.malformed import MalformedError
from capture_agent.packet import ACK, SYN, Frame, Packet, parse_packet
from capture_agent.sightings import Sightings
from capture_agent.tcp_dns import MessageStreams

RESOLVER_PORTS = frozenset({53})


class Refusal(NamedTuple):
    """Why no observation follows: one of a closed set, fit for a metric label."""

    reason: str


Observed = DnsObservation | ConnectionObservation | Refusal

_NOT_FOR_US = Refusal("not_for_us")
_TRUNCATED = Refusal("truncated")
_SILENT = Refusal("silent_address")
_SEEN_BEFORE = Refusal("seen_before")


def observe_answer(
    packet: Packet, answer: DnsAnswer, observed_at: int, *, resolver_ports: Collection[int] = RESOLVER_PORTS
) -> DnsObservation | Refusal:
    """Say who asked what and which addresses came back; only answers from a resolver's port count."""
    if packet.source_port not in resolver_ports:
        return _NOT_FOR_US
    if answer.refusal:
        return Refusal(answer.refusal)
    if is_silent(packet.destination_address):
        return _SILENT
    return DnsObservation(
        observed_at=observed_at,
        network_transport=packet.transport,
        client_address=packet.destination_address,
        server_address=packet.source_address,
        dns_question_name=answer.question_name,
        dns_question_type=answer.question_type,
        addresses=answer.addresses,
        cnames=answer.cnames,
        targets=answer.targets,
        ttl_seconds=answer.ttl_seconds,
    )


def is_syn(packet: Packet) -> bool:
    """Tell whether the packet opens a connection: SYN without ACK, whatever ECN (RFC 3168) says beside them."""
    return packet.transport == "tcp" and packet.tcp_flags & (SYN | ACK) == SYN


def observe_syn(packet: Packet, observed_at: int) -> ConnectionObservation | Refusal:
    """Say who opens a connection to whom; not within a host or a link."""
    if not is_syn(packet):
        return _NOT_FOR_US
    if is_silent(packet.source_address) or is_silent(packet.destination_address):
        return _SILENT
    return ConnectionObservation(
        observed_at=observed_at,
        network_transport="tcp",
        client_address=packet.source_address,
        client_port=packet.source_port,
        server_address=packet.destination_address,
        server_port=packet.destination_port,
        evidence="syn",
    )


def observe_capture(frames: Iterable[Frame], resolver_ports: Collection[int] = RESOLVER_PORTS) -> Iterator[Observed]:
    """Say what a capture shows; a packet that was caught at several taps counts at the first."""
    observer = CaptureObserver(resolver_ports)
    for frame in frames:
        yield from observer.observe(frame)


class CaptureObserver:
    """What must be remembered between the frames of a capture: unfinished TCP messages, and what was seen just now."""

    def __init__(self, resolver_ports: Collection[int] = RESOLVER_PORTS) -> None:
        self._resolver_ports = frozenset(resolver_ports)
        self._streams = MessageStreams()
        self._sightings = Sightings()

    def observe(self, frame: Frame) -> Iterator[Observed]:
        """Say what one frame shows: at least one observation or refusal."""
        if frame.cut:
            yield _TRUNCATED
            return
        try:
            packet = parse_packet(frame.data, frame.link_type)
        except MalformedError as error:
            yield Refusal(error.label)
            return
        if is_syn(packet):
            yield self._observe_syn(packet, frame.captured_at)
        elif packet.source_port in self._resolver_ports:
            for message in self._split(packet):
                yield self._observe_message(packet, message, frame.captured_at)
        else:
            yield _NOT_FOR_US

    def _split(self, packet: Packet) -> Iterable[bytes | memoryview | str]:
        if packet.transport == "tcp":
            return self._streams.split(packet)
        return ("truncated",) if packet.truncated else (packet.payload,)

    def _observe_syn(self, packet: Packet, at: int) -> Observed:
        if not self._sightings.is_first((packet.source_address, packet.source_port, packet.tcp_sequence), at):
            return _SEEN_BEFORE
        return observe_syn(packet, at)

    def _observe_message(self, packet: Packet, message: bytes | memoryview | str, at: int) -> Observed:
        if isinstance(message, str):
            return Refusal(message)
        try:
            answer = parse_dns(message)
        except MalformedError as error:
            return Refusal(error.label)
        observed = observe_answer(packet, answer, at, resolver_ports=self._resolver_ports)
        if isinstance(observed, DnsObservation):
            question = (answer.message_id, answer.question_name, answer.question_type)
            if not self._sightings.is_first((packet.destination_address, packet.destination_port, *question), at):
                return _SEEN_BEFORE
        return observed
