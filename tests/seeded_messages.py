"""Seeded DNS messages of every honest shape: chains, compression, case, order, sections."""

from __future__ import annotations

import ipaddress
import struct

from tests.wire_bytes import (
    AAAA,
    ANY,
    CHAOS,
    CNAME,
    HTTPS,
    IN,
    NS,
    NXDOMAIN,
    OPT,
    PTR,
    RECURSION,
    RESPONSE,
    SERVFAIL,
    SRV,
    SVCB,
    TC,
    A,
)

_WORDS = ("www", "svc", "ns", "cluster", "local", "cdn", "example", "com", "db-0", "_http", "_tcp", "a", "x" * 63)
_KINDS = (A,) * 10 + (AAAA,) * 6 + (SRV,) * 3 + (HTTPS,) * 3 + (SVCB, ANY, PTR)


class MessageWriter:
    """Writes one message; a name may point at any suffix that was written before it."""

    def __init__(self, chance, *, compress):
        self._chance = chance
        self._compress = compress
        self._suffixes = {}
        self.octets = bytearray(12)

    def write_name(self, name, *, compressible=True):
        parts = [part for part in name.split(".") if part]
        while parts:
            suffix = ".".join(parts)
            known = self._suffixes.get(suffix.lower())
            if known is not None and compressible and self._compress and self._chance.random() < 0.9:
                self.octets += struct.pack("!H", 0xC000 | known)
                return
            if len(self.octets) < 0x4000:
                self._suffixes.setdefault(suffix.lower(), len(self.octets))
            label = self._recase(parts.pop(0)).encode()
            self.octets += bytes([len(label)]) + label
        self.octets += b"\0"

    def write_record(self, owner, kind, data, *, ttl, record_class=IN):
        """Write a record; names within the data are given as text, between bytes."""
        self.write_name(owner)
        self.octets += struct.pack("!HHI", kind, record_class, ttl)
        start = len(self.octets)
        self.octets += b"\0\0"
        for part in data:
            if isinstance(part, str):
                self.write_name(part, compressible=kind not in (SVCB, HTTPS))
            else:
                self.octets += part
        struct.pack_into("!H", self.octets, start, len(self.octets) - start - 2)

    def _recase(self, label):
        return label.upper() if self._chance.random() < 0.1 else label


def make_message(chance):
    """Write one message, an answer more often than not."""
    writer = MessageWriter(chance, compress=chance.random() < 0.6)
    question, kind = _make_name(chance), chance.choice(_KINDS)
    flags = RESPONSE | RECURSION | chance.choice((0,) * 12 + (NXDOMAIN, SERVFAIL, TC))
    if chance.random() < 0.03:
        flags &= ~RESPONSE
    writer.write_name(question)
    writer.octets += struct.pack("!HH", kind, CHAOS if chance.random() < 0.02 else IN)
    sections = [_make_answers(chance, question, kind), _make_authorities(chance, question), []]
    sections[2] = _make_additionals(chance, sections[0])
    for section in sections:
        for owner, record_kind, data, record_class in section:
            ttl = 1232 if record_kind == OPT else chance.choice((0, 5, 30, 2**31 - 1, chance.randrange(100_000)))
            writer.write_record(owner, record_kind, data, ttl=ttl, record_class=record_class)
    struct.pack_into("!HHHHHH", writer.octets, 0, chance.randrange(65536), flags, 1, *map(len, sections))
    return bytes(writer.octets)


def _make_name(chance):
    if chance.random() < 0.03:
        return ".".join(_WORDS[-1:] * 3)
    return ".".join(chance.choices(_WORDS[:-1], k=chance.randrange(1, 6)))


def _make_answers(chance, question, kind):
    """Write a chain of up to four CNAMEs, what its end owns, and things that do not belong; at times out of order."""
    records, owner = [], question
    for hop in range(chance.choice((0, 0, 0, 1, 2, 4))):
        target = f"hop-{hop}.{_make_name(chance)}"
        records.append((owner, CNAME, (target,), IN))
        owner = target
    count = chance.choice((0, 1, 1, 1, 2, 5, 12))
    records += [(owner, *_make_data(chance, kind), CHAOS if chance.random() < 0.02 else IN) for _ in range(count)]
    if chance.random() < 0.2:
        records.append((f"other.{_make_name(chance)}", A, (_ipv4(chance),), IN))
    if chance.random() < 0.1:
        records.append((owner, *_make_data(chance, chance.choice((A, AAAA))), IN))
    if chance.random() < 0.2:
        chance.shuffle(records)
    return records


def _make_data(chance, kind):
    kind = chance.choice((A, AAAA)) if kind in (ANY, PTR) else kind
    if kind == A:
        return A, (_ipv4(chance),)
    if kind == AAAA:
        return AAAA, (chance.randbytes(16) if chance.random() < 0.8 else bytes(12) + _ipv4(chance),)
    if kind == SRV:
        return SRV, (struct.pack("!HHH", 0, 100, 80), f"t{chance.randrange(4)}.{_make_name(chance)}")
    parameters = []
    if chance.random() < 0.5:
        parameters.append((1, b"\x02h2"))
    if chance.random() < 0.6:
        parameters.append((4, b"".join(_ipv4(chance) for _ in range(chance.randrange(1, 4)))))
    if chance.random() < 0.4:
        parameters.append((6, chance.randbytes(16)))
    octets = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in parameters)
    return kind, (b"\0\1", chance.choice(("", f"svc.{_make_name(chance)}")), octets)


def _make_authorities(chance, question):
    return [(question, NS, (f"ns.{_make_name(chance)}",), IN)] if chance.random() < 0.3 else []


def _make_additionals(chance, answers):
    targets = [data[1] for _, kind, data, _ in answers if kind == SRV]
    records = [
        (target, *_make_data(chance, chance.choice((A, AAAA))), IN) for target in targets if chance.random() < 0.7
    ]
    if chance.random() < 0.2:
        records.append((_make_name(chance), A, (_ipv4(chance),), IN))
    if chance.random() < 0.4:
        records.append(("", OPT, (b"",), 1232))
    return records


def _ipv4(chance):
    return ipaddress.ip_address(chance.randrange(2**32)).packed
