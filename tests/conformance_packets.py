"""The packet and socket suites of the conformance cases, run against the agent's decoders.

Each runner takes a case and returns None where the code agrees with it, else one line that says how it does not. What
the predecessor derives from HOSTNAME (`src_hostname`) is not compared: here the pod follows from Kubernetes alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from callgraph.records import ConnectionObservation, DnsObservation
from capture_agent.observe import Observed, observe_capture
from capture_agent.packet import LINK_ETHERNET, LINK_LOOP, LINK_NULL, LINK_RAW, LINK_SLL, LINK_SLL2, Frame
from capture_agent.proc_tree import observe_proc_tree
from capture_agent.sockets import NamespaceSockets, Transport, parse_row

Case = dict[str, Any]

_LINK_TYPES = {
    "ethernet": LINK_ETHERNET,
    "raw": LINK_RAW,
    "raw_ip": LINK_RAW,
    "raw_ipv4": LINK_RAW,
    "raw_ipv6": LINK_RAW,
    "null": LINK_NULL,
    "loop": LINK_LOOP,
    "sll": LINK_SLL,
    "linux_sll": LINK_SLL,
    "sll2": LINK_SLL2,
    "linux_sll2": LINK_SLL2,
}


def run_dns_packet(case: Case) -> str | None:
    """Compare the addresses that an answer gave, to whom and for which name, and its TTL."""
    captures = case["expected"]["captures"]
    seen = [observed for observed in _observe(case) if isinstance(observed, DnsObservation)]
    found = {
        (each.client_address, each.dns_question_name, address, each.observed_at)
        for each in seen
        for address in each.addresses
    }
    expected = {
        (each["src_ip"], each["destination"], each["destination_ip"], _nanoseconds(each["last_seen"]))
        for each in captures
    }
    ttls = {each.ttl_seconds for each in seen}, {min(each["ttl"] for each in captures)} if captures else set()
    return _compare(found, expected) or _compare(*ttls)


def run_tcp_syn_packet(case: Case) -> str | None:
    """Compare the ends of a connection."""
    found = {
        (each.client_address, each.client_port, each.server_address, each.server_port, each.observed_at)
        for each in _observe(case)
        if isinstance(each, ConnectionObservation)
    }
    expected = {
        (each["src_ip"], port, each["destination_ip"], each["destination_port"], _nanoseconds(each["last_seen"]))
        for each in case["expected"]["captures"]
        for port in each["src_ports"]
    }
    return _compare(found, expected)


def run_proc_sockets(case: Case) -> str | None:
    """Compare the connections of a tree of /proc files, counted by client, server and port."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in case["input"]["proc_files"].items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        seen = [each for each in observe_proc_tree(Path(folder)) if isinstance(each, ConnectionObservation)]
    expected = case["expected"]["connections"]
    found = {(each.client_address, each.server_address, each.server_port): each for each in seen}
    ends = {(each["src_ip"], each["dst_ip"], each["dst_port"]) for each in expected}
    difference = _compare(set(found), ends)
    for each in expected:
        one = found.get((each["src_ip"], each["dst_ip"], each["dst_port"]))
        if one and "src_port" in each and one.client_port not in (None, each["src_port"]):
            difference = difference or f"client port {one.client_port}, expected {each['src_port']}"
    return difference


def run_proc_line(case: Case) -> str | None:
    """Compare one row of a table, and what becomes of it."""
    line = case["input"]["line"].encode()
    row = parse_row(line, byte_order="little")
    found = {
        "local_ip": row.local_address,
        "local_port": row.local_port,
        "remote_ip": row.remote_address,
        "remote_port": row.remote_port,
        "state": row.state,
        "verdict": _judge_line(line, case["input"]["file"], case["input"]["listen_ports_in_same_file"]),
    }
    return _compare(found, {key: case["expected"][key] for key in found})


SUITES: dict[str, Callable[[Case], str | None]] = {
    "dns_packet": run_dns_packet,
    "beat_dns_packet": run_dns_packet,
    "tcp_syn_packet": run_tcp_syn_packet,
    "beat_tcp_syn_packet": run_tcp_syn_packet,
    "proc_sockets": run_proc_sockets,
    "beat_proc": run_proc_sockets,
    "beat_proc_sockets": run_proc_sockets,
    "proc_line": run_proc_line,
    "beat_proc_line": run_proc_line,
}


def _observe(case: Case) -> list[Observed]:
    given = case["input"]
    link_type = _LINK_TYPES[given["link_type"]]
    frame = Frame(_nanoseconds(given["captured_at"]), link_type, bytes.fromhex(given["hex"]))
    return list(observe_capture([frame]))


def _judge_line(line: bytes, file: str, listened_ports: list[int]) -> str:
    """Name what a table makes of one row: as the predecessor names it."""
    transport: Transport = "udp" if file.startswith("udp") else "tcp"
    nowhere = b"0" * (32 if file.endswith("6") else 8)
    listeners = [b"0: %b:%04X %b:0000 0A" % (nowhere, port, nowhere) for port in listened_ports]
    sockets = NamespaceSockets(byte_order="little")
    sockets.read_table([*listeners, line], transport)
    sockets.dropped["listener"] -= len(listeners)
    if sockets.observe(0):
        return "client"
    verdicts = {
        "not_connected": "skip:not_established",
        "server_side": "skip:server_side",
        "silent_address": "skip:loopback",
        "listener": "listen",
    }
    return next(verdict for reason, verdict in verdicts.items() if sockets.dropped[reason])


def _nanoseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


def _compare(found: Any, expected: Any) -> str | None:
    return None if found == expected else f"found {found!r}, expected {expected!r}"
