"""Decoded packets to observations. Pure.

In: a packet, what it carries, and when it was seen. Out: a DnsObservation or ConnectionObservation, or a Refusal with
the reason, which counts under `dropped`. The client of a DNS answer is the packet's destination.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from callgraph.records import ConnectionObservation, DnsObservation
from capture_agent.dns import DnsAnswer
from capture_agent.packet import ACK, SYN, Packet

RESOLVER_PORTS = frozenset({53})


class Refusal(NamedTuple):
    """Why no observation follows: one of a closed set, fit for a metric label."""

    reason: str


NOT_FOR_US = Refusal("not_for_us")
TRUNCATED = Refusal("truncated")


def observe_answer(
    packet: Packet, answer: DnsAnswer, observed_at: int, *, resolver_ports: Collection[int] = RESOLVER_PORTS
) -> DnsObservation | Refusal:
    """Say who asked what and which addresses came back; only answers from a resolver's port count."""
    if packet.source_port not in resolver_ports:
        return NOT_FOR_US
    if answer.refusal:
        return Refusal(answer.refusal)
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
    """Say who opens a connection to whom."""
    if not is_syn(packet):
        return NOT_FOR_US
    return ConnectionObservation(
        observed_at=observed_at,
        network_transport="tcp",
        client_address=packet.source_address,
        client_port=packet.source_port,
        server_address=packet.destination_address,
        server_port=packet.destination_port,
        evidence="syn",
    )
