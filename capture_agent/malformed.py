"""Why bytes from the wire could not be read. Pure.

Every decoder of this package has one failure: MalformedError, with a reason of a closed set, so that a reason can be
the label of a metric. What is well formed and merely not an observation is a value, never one of these.
"""

from __future__ import annotations

from typing import Literal, get_args

PacketReason = Literal[
    "link_header",  # shorter than its link-layer header
    "link_type",  # a link layer that we do not read
    "not_ip",  # ARP, LLDP, BPDU: nothing wrong with it
    "ip_header",  # a version, header length or total length that cannot be
    "ip_extension",  # IPv6 extension headers past the end, or too many
    "fragment",  # a fragment; nothing is put together again
    "other_transport",  # ICMP, IGMP, IPsec: nothing wrong with it
    "udp_header",
    "tcp_header",
    "tunnel",  # a VXLAN or Geneve header that cannot be, or tunnels in tunnels
    "truncated",  # the capture ends before the transport header does
]
DnsReason = Literal[
    "header",  # shorter than twelve bytes
    "question_count",  # other than one question
    "past_end",  # a name or a record reaches past the end of the message
    "label_type",  # the label types 01 and 10 are not in use (RFC 6891 section 5)
    "pointer",  # a compression pointer forward, to itself, or into the header
    "name_length",  # more than 255 bytes (RFC 1035 section 2.3.4)
    "work_budget",  # the names take more steps than any honest message needs
    "data_length",  # record data shorter or longer than its type asks for
    "service_parameters",  # RFC 9460 section 2.2: keys out of order, or a value of the wrong length
    "cname_loop",
]

# These say that a packet is none of ours, not that anybody got it wrong.
_NOT_FAULTS = frozenset({"not_ip", "fragment", "other_transport", "truncated", "link_type"})


class MalformedError(Exception):
    """Bytes that are not what they should be; the caller counts them under `label` and goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def label(self) -> str:
        """The reason as it is counted: with `malformed_` before it, unless the bytes were merely none of ours."""
        return self.reason if self.reason in _NOT_FAULTS else f"malformed_{self.reason}"


class MalformedPacketError(MalformedError):
    """A frame without a readable UDP or TCP packet."""

    def __init__(self, reason: PacketReason) -> None:
        super().__init__(reason)


class MalformedDnsError(MalformedError):
    """A DNS message that breaks RFC 1035."""

    def __init__(self, reason: DnsReason) -> None:
        super().__init__(reason)


class MalformedSocketError(MalformedError):
    """A line that is no row of a socket table."""

    def __init__(self, reason: Literal["socket_row"]) -> None:
        super().__init__(reason)


PACKET_REASONS: frozenset[str] = frozenset(get_args(PacketReason))
DNS_REASONS: frozenset[str] = frozenset(get_args(DnsReason))
