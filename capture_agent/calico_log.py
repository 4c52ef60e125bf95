"""Kernel lines of Calico's `action: Log` rules to observations. Pure.

In: lines of the kernel's log, with or without a time before them. Out: the connections whose first packet they tell of.
Calico logs through netfilter, so the lines of other rules that log are read as well. A packet that several rules log
counts once.

Source: net/netfilter/nf_log_syslog.c (dump_ipv4_packet, dump_ipv6_packet, dump_tcp_header),
https://docs.tigera.io/calico/latest/network-policy/policy-rules/log-rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from callgraph.addresses import canonical_address, is_silent
from callgraph.records import ConnectionObservation
from capture_agent.log_times import split_time
from capture_agent.observe import Refusal
from capture_agent.sightings import Sightings

_FIELD = re.compile(r"\b(SRC|DST|ID|PROTO|SPT|DPT)=(\S+)")
_FLAG = re.compile(r" (SYN|ACK)\b")
_TRANSPORTS: dict[str, Literal["tcp", "udp", "sctp"]] = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


def observe_calico_log(lines: Iterable[str], *, read_at: int) -> Iterator[ConnectionObservation | Refusal]:
    """Say what each line shows; `read_at` is the time of lines that have none."""
    sightings = Sightings()
    for line in lines:
        at, text = split_time(line, read_at)
        # An ICMP error repeats, in brackets, the packet that it is about.
        fields = dict(reversed(_FIELD.findall(text.partition(" [SRC=")[0])))
        observed = _observe_fields(fields, frozenset(_FLAG.findall(text)), at)
        if isinstance(observed, Refusal) or sightings.is_first(tuple(sorted(fields.items())), at):
            yield observed
        else:
            yield Refusal("seen_before")


def _observe_fields(fields: dict[str, str], flags: frozenset[str], at: int) -> ConnectionObservation | Refusal:
    if not {"SRC", "DST", "PROTO"} <= fields.keys():
        return Refusal("other_line")
    transport = _TRANSPORTS.get(fields["PROTO"])
    if transport is None:
        return Refusal("other_transport")
    if transport == "tcp" and flags != {"SYN"}:
        return Refusal("not_for_us")
    try:
        client, server = canonical_address(fields["SRC"]), canonical_address(fields["DST"])
        client_port, server_port = _parse_port(fields.get("SPT", "")), _parse_port(fields.get("DPT", ""))
    except ValueError:
        return Refusal("malformed_line")
    if is_silent(client) or is_silent(server):
        return Refusal("silent_address")
    return ConnectionObservation(
        observed_at=at,
        network_transport=transport,
        client_address=client,
        client_port=client_port,
        server_address=server,
        server_port=server_port,
        evidence="syn",
        # Policy is asked once for each flow, at its first packet; only a SYN proves that it was the first.
        client_side="known" if transport == "tcp" else "inferred",
    )


def _parse_port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(f"expected a port, got {text!r}")
    return port
