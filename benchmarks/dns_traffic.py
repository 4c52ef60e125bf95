"""Realistic DNS traffic of one node, as Ethernet frames in a pcap file. Seeded: the same seed gives the same bytes.

110 pods ask for 10,000 (client, name) pairs with Zipf's frequencies: services, external names behind CNAME chains,
headless services in shuffled order, SRV and HTTPS records; some with EDNS, some over IPv6, in a VLAN or over TCP;
compressed as dnsmasq does or not at all as CoreDNS does. TTLs count down, as those of a cache do.

`answers`: positive answers only. `mixed`: queries and replies with glibc's parallel A and AAAA questions and its walk
through the search path, so that four of five replies are NXDOMAIN or empty.
"""

from __future__ import annotations

import bisect
import itertools
import random
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PODS, PAIRS, ZIPF = 110, 10_000, 1.1
A, CNAME, AAAA, OPT, SRV, HTTPS = 1, 5, 28, 41, 33, 65
_SEARCH = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "eu-1.compute.internal")
_KINDS = (("service", 55), ("service6", 10), ("external", 20), ("headless", 8), ("srv", 4), ("https", 3))

Records = list[tuple[str, int, bytes]]


class Pair(NamedTuple):
    """One client that asks for one name, and what it is told."""

    pod: int
    name: str
    question: int
    records: Records
    additional: Records
    absolute: bool
    compressed: bool
    edns: bool
    ipv6: bool
    vlan: bool
    tcp: bool


RECEIVER = "02:00:00:00:00:02"
"""The Ethernet address that all frames go to."""
_ETHERNET_ENDS = bytes.fromhex(f"{RECEIVER.replace(':', '')}020000000001")


def write_traffic(path: Path, *, kind: str, frames: int, seed: int = 1) -> None:
    """Write a pcap file of `answers` or `mixed`."""
    rng = random.Random(seed)
    pairs = [_make_pair(rng, number) for number in range(PAIRS)]
    weights = list(itertools.accumulate(1 / (rank + 1) ** ZIPF for rank in range(PAIRS)))
    drawn = (pairs[bisect.bisect(weights, rng.random() * weights[-1])] for _ in itertools.count())
    source = _answers(rng, drawn) if kind == "answers" else _mixed(rng, drawn)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for number, frame in enumerate(itertools.islice(source, frames)):
            seconds, micros = divmod(number * 100, 1_000_000)
            file.write(struct.pack("<IIII", 1_700_000_000 + seconds, micros, len(frame), len(frame)) + frame)


def _answers(rng: random.Random, pairs: Iterator[Pair]) -> Iterator[bytes]:
    for pair in pairs:
        yield _reply(rng, pair)


def _mixed(rng: random.Random, pairs: Iterator[Pair]) -> Iterator[bytes]:
    for pair in pairs:
        names = [pair.name] if pair.absolute else [f"{pair.name}.{suffix}" for suffix in _SEARCH] + [pair.name]
        for name in names:
            found = name == pair.name
            for question in (A, AAAA) if pair.question in (A, AAAA) else (pair.question,):
                ask = pair._replace(name=name, question=question)
                yield _packet(rng, ask, _message(rng, ask, 0x0100, [], []), reply=False)
                if found and question == pair.question:
                    yield _reply(rng, ask)
                else:
                    yield _packet(rng, ask, _message(rng, ask, 0x8580 if found else 0x8583, [], []), reply=True)


# -- What there is to ask ---------------------------------------------------------------------------------------------


def _make_pair(rng: random.Random, number: int) -> Pair:
    kind = rng.choices([name for name, _ in _KINDS], [weight for _, weight in _KINDS])[0]
    name, question, records, additional = _make_answer(rng, kind, number)
    return Pair(
        pod=rng.randrange(PODS),
        name=name,
        question=question,
        records=records,
        additional=additional,
        absolute=rng.random() < 0.625,
        compressed=rng.random() < 0.4,
        edns=rng.random() < 0.4,
        ipv6=rng.random() < 0.12,
        vlan=rng.random() < 0.02,
        tcp=rng.random() < 0.007,
    )


def _make_answer(rng: random.Random, kind: str, number: int) -> tuple[str, int, Records, Records]:
    service = f"svc-{number % 1500}.team-{number % 40}.svc.cluster.local"
    if kind == "service":
        return service, A, [(service, A, _ipv4(rng, 10, 96))], []
    if kind == "service6":
        return service, AAAA, [(service, AAAA, _ipv6(rng))], []
    if kind == "headless":
        return service, A, [(service, A, _ipv4(rng, 10, 244)) for _ in range(rng.randint(2, 20))], []
    if kind == "srv":
        name = f"_http._tcp.{service}"
        hosts = [f"pod-{each}.{service}" for each in range(rng.randint(1, 4))]
        targets = [(name, SRV, struct.pack("!HHH", 0, 25, 8080) + _wire_name(host)) for host in hosts]
        return name, SRV, targets, [(host, A, _ipv4(rng, 10, 244)) for host in hosts]
    name = f"api-{number % 700}.vendor-{number % 90}.example"
    if kind == "https":
        data = (
            struct.pack("!H", 1)
            + b"\0"
            + struct.pack("!HH", 1, 3)
            + b"\2h2"
            + struct.pack("!HH4s", 4, 4, _ipv4(rng, 203, 0))
        )
        return name, HTTPS, [(name, HTTPS, data)], []
    chain = [name, *(f"edge-{hop}-{number % 300}.cdn.example" for hop in range(rng.randint(0, 3)))]
    records = [(owner, CNAME, _wire_name(target)) for owner, target in itertools.pairwise(chain)]
    return name, A, records + [(chain[-1], A, _ipv4(rng, 203, 0)) for _ in range(rng.randint(1, 8))], []


def _ipv4(rng: random.Random, first: int, second: int) -> bytes:
    return bytes((first, second, rng.randrange(256), rng.randrange(1, 255)))


def _ipv6(rng: random.Random) -> bytes:
    return socket.inet_pton(socket.AF_INET6, "fd00:10:96::")[:12] + rng.randbytes(4)


# -- Messages and packets ---------------------------------------------------------------------------------------------


def _reply(rng: random.Random, pair: Pair) -> bytes:
    records = pair.records
    if len(records) > 1 and records[0][1] == A:
        # CoreDNS deals addresses out in turn: as many orders as there are starts, and then some.
        turn = rng.randrange(min(24, len(records)))
        records = records[turn:] + records[:turn]
    return _packet(rng, pair, _message(rng, pair, 0x8580, records, pair.additional), reply=True)


def _message(rng: random.Random, pair: Pair, flags: int, records: Records, additional: Records) -> bytes:
    places: dict[str, int] = {}
    extra = 1 if pair.edns else 0
    out = struct.pack("!6H", rng.randrange(65536), flags, 1, len(records), 0, len(additional) + extra)
    places[pair.name] = len(out)
    out += _wire_name(pair.name) + struct.pack("!HH", pair.question, 1)
    ttl = rng.randint(1, 30)
    for owner, kind, data in records + additional:
        if pair.compressed and owner in places:
            out += struct.pack("!H", 0xC000 | places[owner])
        else:
            places.setdefault(owner, len(out))
            out += _wire_name(owner)
        out += struct.pack("!HHIH", kind, 1, ttl, len(data))
        if kind == CNAME:
            places.setdefault(_spell_name(data), len(out))
        out += data
    return out + (b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0) if extra else b"")


def _wire_name(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


def _spell_name(wire: bytes) -> str:
    labels = []
    while size := wire[0]:
        labels.append(wire[1 : size + 1].decode())
        wire = wire[size + 1 :]
    return ".".join(labels)


def _packet(rng: random.Random, pair: Pair, message: bytes, *, reply: bool) -> bytes:
    ports = (53, 20_000 + rng.randrange(40_000)) if reply else (20_000 + rng.randrange(40_000), 53)
    if pair.tcp:
        payload = struct.pack("!H", len(message)) + message
        segment = struct.pack("!HHIIBBHHH", *ports, rng.randrange(2**32), 1, 5 << 4, 0x18, 512, 0, 0) + payload
    else:
        segment = struct.pack("!HHHH", *ports, 8 + len(message), 0) + message
    ends = _ends(pair) if reply else tuple(reversed(_ends(pair)))
    protocol = 6 if pair.tcp else 17
    if pair.ipv6:
        ip, ether_type = struct.pack("!IHBB16s16s", 6 << 28, len(segment), protocol, 64, *ends), 0x86DD
    else:
        ip, ether_type = _ipv4_header(len(segment), protocol, ends), 0x0800
    tag = struct.pack("!HH", 0x8100, 100) if pair.vlan else b""
    return _ETHERNET_ENDS + tag + struct.pack("!H", ether_type) + ip + segment


def _ends(pair: Pair) -> tuple[bytes, bytes]:
    """Return the resolver's and the client's address."""
    if pair.ipv6:
        return socket.inet_pton(socket.AF_INET6, "fd00:10:96::a"), socket.inet_pton(
            socket.AF_INET6, f"fd00:10:244::{pair.pod + 2:x}"
        )
    return bytes((10, 96, 0, 10)), bytes((10, 244, 1, pair.pod + 2))


def _ipv4_header(size: int, protocol: int, ends: tuple[bytes, ...]) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size, 0, 0x4000, 64, protocol, 0, *ends)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return header[:10] + struct.pack("!H", checksum) + header[12:]


if __name__ == "__main__":
    write_traffic(Path(sys.argv[2]), kind=sys.argv[1], frames=int(sys.argv[3]))
