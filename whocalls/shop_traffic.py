"""The shop's traffic as two nodes would have captured it: pcap files and /proc tables. Shell: scapy, writes files.

Lookups as glibc makes them (A and AAAA, search path with its NXDOMAINs), answers as CoreDNS gives them, each seen
before and after the Service's NAT, then the SYNs of the connections. Seeded: the same bytes every time.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from whocalls.shop import (
    CALLS,
    NAMESPACE,
    PODS,
    REPLACED_AT,
    RESOLVER,
    RESOLVER_POD,
    SOCKET_ONLY,
    START,
    Pod,
    Service,
    calling_pods,
    service_of,
    shop_objects,
)

NODES = ("node-1", "node-2")
_DOMAIN = "svc.cluster.local"
_ESTABLISHED, _LISTEN = 1, 10


class ShopInput(NamedTuple):
    """The files of the demo."""

    captures: dict[str, Path]
    proc_trees: dict[str, Path]
    objects: Path


def write_shop_input(folder: Path) -> ShopInput:
    """Write both nodes' captures and /proc tables and the Kubernetes objects into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = folder / "objects.json"
    objects.write_text(json.dumps(shop_objects(), indent=1) + "\n", encoding="utf-8")
    captures = {node: _write_capture(folder / f"{node}.pcap", node) for node in NODES}
    trees = {node: _write_proc_tree(folder / f"proc-{node}", node) for node in NODES}
    return ShopInput(captures=captures, proc_trees=trees, objects=objects)


def _write_capture(path: Path, node: str) -> Path:
    from scapy.utils import PcapWriter  # noqa: PLC0415  (0.5 s of start-up)

    packets = sorted(_node_packets(node), key=lambda packet: float(packet.time))
    with PcapWriter(str(path), linktype=1 if node == "node-1" else 276, sync=False) as writer:
        for packet in packets:
            writer.write(packet)
    return path


def _node_packets(node: str) -> Iterator[Any]:
    """Make the packets of one node: Ethernet on node-1, as `tcpdump -i any` writes them (SLL2) on node-2."""
    chance = random.Random(node)  # noqa: S311  (the same bytes every time is the purpose)
    for client, servers in CALLS.items():
        for server in servers:
            for pod in calling_pods(client):
                if (client, server) != SOCKET_ONLY and pod.node == node:
                    yield from _call_packets(pod, service_of(server), chance)


def _call_packets(pod: Pod, service: Service, chance: random.Random) -> Iterator[Any]:
    """One lookup and one connection, twice within the pod's life."""
    first = max(REPLACED_AT, pod.started_at) if pod.started_at > START else START
    for round_start in (first + timedelta(seconds=5), first + timedelta(seconds=35)):
        moment = round_start + timedelta(milliseconds=chance.randrange(15_000))
        yield from _lookup(pod, service, moment, chance)
        yield from _connect(pod, service, moment + timedelta(milliseconds=4), chance)


def _lookup(pod: Pod, service: Service, moment: datetime, chance: random.Random) -> Iterator[Any]:
    """Ask as a resolver with `ndots:5` does: every other client writes NAME.NAMESPACE and walks the search path."""
    full = f"{service.name}.{NAMESPACE}.{_DOMAIN}"
    names = [full] if chance.random() < 0.5 else [f"{service.name}.{NAMESPACE}.{NAMESPACE}.{_DOMAIN}", full]
    for step, name in enumerate(names):
        at = moment + timedelta(milliseconds=step)
        port = chance.randrange(32_768, 61_000)
        for record_type, address in (("A", service.address), ("AAAA", service.address6)):
            answer = address if name == full else None
            yield from _exchange(pod, name, record_type, answer, exists=name == full, at=at, port=port, chance=chance)


def _exchange(  # noqa: PLR0913  (one DNS exchange has this many sides)
    pod: Pod,
    name: str,
    record_type: str,
    address: str | None,
    *,
    exists: bool,
    at: datetime,
    port: int,
    chance: random.Random,
) -> Iterator[Any]:
    from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRSOA  # noqa: PLC0415
    from scapy.layers.inet import IP, UDP  # noqa: PLC0415

    question = DNSQR(qname=name, qtype=record_type)
    identifier = chance.randrange(65_536)
    query = DNS(id=identifier, rd=1, qd=question)
    ttl = chance.randrange(1, 31)
    records = [DNSRR(rrname=name, type=record_type, ttl=ttl, rdata=address)] if address else []
    authority = [] if address else [DNSRRSOA(rrname="cluster.local", mname="ns.dns.cluster.local", rname="hostmaster")]
    rcode = 0 if exists else 3
    reply = DNS(id=identifier, qr=1, aa=1, rd=1, rcode=rcode, qd=question, an=records, ns=authority)
    yield _framed(IP(src=pod.address, dst=RESOLVER) / UDP(sport=port, dport=53) / query, pod.node, at)
    answered = at + timedelta(microseconds=chance.randrange(200, 900))
    for resolver, delay in ((RESOLVER_POD, 0), (RESOLVER, 20)):
        packet = IP(src=resolver, dst=pod.address) / UDP(sport=53, dport=port) / reply
        yield _framed(packet, pod.node, answered + timedelta(microseconds=delay))


def _connect(pod: Pod, service: Service, at: datetime, chance: random.Random) -> Iterator[Any]:
    """Open a connection to the Service's address, and again as it looks after the NAT to the pod."""
    from scapy.layers.inet import IP, TCP  # noqa: PLC0415

    backend = next(candidate for candidate in PODS if candidate.workload == service.name)
    port = chance.randrange(32_768, 61_000)
    number = chance.randrange(2**32)
    for address, server_port, delay in ((service.address, service.port, 0), (backend.address, backend.port, 15)):
        packet = IP(src=pod.address, dst=address) / TCP(sport=port, dport=server_port, flags="S", seq=number)
        yield _framed(packet, pod.node, at + timedelta(microseconds=delay))


def _framed(packet: Any, node: str, at: datetime) -> Any:
    from scapy.layers.l2 import CookedLinuxV2, Ether  # noqa: PLC0415

    link = (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        if node == "node-1"
        else CookedLinuxV2(proto=0x0800, ifindex=7, pkttype=4, src=b"\x02\x00\x00\x00\x00\x03")
    )
    framed = link / packet
    framed.time = at.timestamp()
    return framed


def _write_proc_tree(folder: Path, node: str) -> Path:
    """Write `PID/net/tcp`, `tcp6` and `cgroup` for the pods of a node, as they were when the agent came."""
    pods = [pod for pod in PODS if pod.node == node and pod.started_at < START]
    for pid, pod in enumerate(pods, start=2_000):
        net = folder / str(pid) / "net"
        net.mkdir(parents=True, exist_ok=True)
        (net / "tcp").write_text(_TABLE_HEAD + "".join(_socket_rows(pod)), encoding="ascii")
        (net / "tcp6").write_text(_TABLE_HEAD, encoding="ascii")
        uid = next(item["metadata"]["uid"] for item in shop_objects()["items"] if item["metadata"]["name"] == pod.name)
        (folder / str(pid) / "cgroup").write_text(f"0::/kubepods/burstable/pod{uid}/c0ffee\n", encoding="ascii")
        for table in net.iterdir():
            # A saved table tells no time of its own but the file's.
            os.utime(table, (START.timestamp(), START.timestamp()))
    return folder


def _socket_rows(pod: Pod) -> Iterator[str]:
    yield _row(0, ("0.0.0.0", pod.port), ("0.0.0.0", 0), _LISTEN)  # noqa: S104  (a table, not a socket)
    client, server = SOCKET_ONLY
    service = service_of(server)
    if pod.workload == client:
        yield _row(1, (pod.address, 41_234), (service.address, service.port), _ESTABLISHED)
    if pod.workload == server:
        peer = next(candidate for candidate in PODS if candidate.workload == client)
        yield _row(1, (pod.address, pod.port), (peer.address, 41_234), _ESTABLISHED)


_TABLE_HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode" + " " * 53 + "\n"
)


def _row(number: int, local: tuple[str, int], remote: tuple[str, int], state: int) -> str:
    """Write a row as the kernel does (net/ipv4/tcp_ipv4.c, tcp4_seq_show): addresses as little-endian words."""
    ends = " ".join(f"{_word(address)}:{port:04X}" for address, port in (local, remote))
    return f"{number:4d}: {ends} {state:02X} 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"


def _word(address: str) -> str:
    return f"{struct.unpack('<I', socket.inet_aton(address))[0]:08X}"
