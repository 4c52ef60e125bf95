"""The bytes of a DNS answer that matter, so that a repeat is recognised unparsed. Pure.

In: a message and its client's address. Out: a key without the id and the TTLs, or nothing where the quick look does not
apply. Two messages with the same key say the same, provided that `is_faithful` accepted one of them: the key tells
where each record begins and ends, because every boundary follows from bytes that stand before it in the key.

Address records may come in any order (CoreDNS shuffles them), so those after the last CNAME count as a set, if they
are of one owner and type; a trusted set has data of one length, and so have all that equal it. Questions other than A
and AAAA draw on the additional section too: there every record counts, in its order.

Source: RFC 1035 sections 4.1.1 to 4.1.4.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct as Wire

_POINTER = 0xC0
_CNAME = 5
_MAX_RECORDS = 64
_ADDRESS_QUESTIONS = frozenset({1, 28})
"""The low bytes of A and AAAA, the only questions whose answer needs no other section."""
_ADDRESS_BYTES = frozenset({4, 16})

Key = bytes | tuple[bytes | frozenset[bytes], ...]
"""What is the same for all answers that say the same; with the lengths and data of records whose order says nothing.
Pieces are hashed as they are where there are few: joining them costs more."""


def fingerprint(message: bytes, client: bytes) -> Key:
    """Return the key of an answer, empty where there is none. Raises IndexError where the message ends too early."""
    zero = message.find(b"\0", 12)
    at = zero + 5
    count = message[7]
    if message[zero + 2] not in _ADDRESS_QUESTIONS:
        count += message[9] + message[11]
        return _cut_records(message, at, count, [client], 2) if count <= _MAX_RECORDS else b""
    if count != 1:
        return _fingerprint_many(message, client, at, count) if count <= _MAX_RECORDS else b""
    ttl = at + 6 if message[at] >= _POINTER else message.find(b"\0", at) + 5
    return client, message[2:ttl], message[ttl + 4 : ttl + 6 + message[ttl + 5]]


def is_faithful(message: bytes) -> bool:
    """Tell whether the boundaries of `fingerprint` are those of RFC 1035, and no name depends on what it leaves out.

    A compression pointer may lead only to a label that the key holds at the same place for every message of this key:
    not into a TTL, not into a record that may stand elsewhere.
    """
    try:
        return _Walk(message).is_faithful()
    except IndexError:
        return False


def _fingerprint_many(message: bytes, client: bytes, at: int, count: int) -> Key:
    """Return the key of several records: the CNAMEs that come first in their order, then the addresses in none."""
    pieces = [client]
    kept = 2
    while count:
        ttl = at + 6 if message[at] >= _POINTER else message.find(b"\0", at) + 5
        if message[ttl - 3] != _CNAME:
            break
        pieces.append(message[kept:ttl])
        kept = ttl + 4
        at = ttl + 6 + message[ttl + 5]
        count -= 1
    if count > 1 and ttl > at and message[ttl + 5] in _ADDRESS_BYTES:
        size = ttl + 6 + message[ttl + 5] - at
        alike = message[at : at + count * size]
        if len(alike) == count * size:
            fields = _layout(ttl - at, size, count).unpack(alike)
            if fields[::2].count(fields[0]) == count:
                pieces.append(message[kept:ttl])
                return *pieces, frozenset(fields[1::2])
    return _cut_records(message, at, count, pieces, kept)


def _cut_records(message: bytes, at: int, count: int, pieces: list[bytes], kept: int) -> bytes:
    """Join the pieces and everything from `kept` on but the TTLs of `count` records that begin at `at`."""
    for _ in range(count):
        ttl = at + 6 if message[at] >= _POINTER else message.find(b"\0", at) + 5
        pieces.append(message[kept:ttl])
        kept = ttl + 4
        at = ttl + 6 + (message[kept] << 8 | message[ttl + 5])
    pieces.append(message[kept:at])
    return b"".join(pieces)


@lru_cache(maxsize=512)
def _layout(head: int, size: int, count: int) -> Wire:
    """Lay out address records: owner, type and class; the TTL left out; data length and data."""
    return Wire(f"{head}s4x{size - head - 4}s" * count)


_NAME_IN_DATA = {5: 0, 33: 6, 64: 2, 65: 2}
"""Where the name begins in the data of CNAME, SRV, SVCB and HTTPS records; the parser reads no other."""


class _Walk:
    """One careful pass over a message."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._anchors: set[int] = set()

    def is_faithful(self) -> bool:
        message = self._message
        if message[4:7] != b"\0\1\0":
            return False
        zero = message.find(b"\0", 12)
        if self._walk_name(12, anchors=True) != zero + 1 or message[zero + 1]:
            return False
        for_addresses = message[zero + 2] in _ADDRESS_QUESTIONS
        if not for_addresses and (message[8] or message[10]):
            return False
        count = message[7] if for_addresses else message[7] + message[9] + message[11]
        spans = self._measure(zero + 5, count)
        if for_addresses and any(message[ttl + 4] for _, ttl, kind in spans if kind == _CNAME or count == 1):
            # Of these lengths `fingerprint` reads the low byte only: no name and no address is longer.
            return False
        ordered = self._count_ordered(spans) if for_addresses else count
        return all(self._check(spans[at], anchors=at < ordered) for at in range(count))

    def _count_ordered(self, spans: list[tuple[int, int, int]]) -> int:
        """Return how many records are keyed in their order: the CNAMEs that come first, or all."""
        leading = next((at for at, (_, _, kind) in enumerate(spans) if kind != _CNAME), len(spans))
        shapes = {(self._message[at:ttl], self._message[ttl + 4 : ttl + 6]) for at, ttl, _ in spans[leading:]}
        return leading if len(shapes) == 1 and len(spans) > 1 else len(spans)

    def _measure(self, at: int, count: int) -> list[tuple[int, int, int]]:
        """Return where each record begins, where its TTL does, and its type, as `fingerprint` sees them."""
        message, spans = self._message, []
        for _ in range(count):
            ttl = at + 6 if message[at] >= _POINTER else message.find(b"\0", at) + 5
            if ttl < at:
                # An owner without an end: to go on from the header would walk the same bytes for each record.
                raise IndexError
            spans.append((at, ttl, message[ttl - 3]))
            at = ttl + 6 + (message[ttl + 4] << 8 | message[ttl + 5])
        if at > len(message):
            raise IndexError
        return spans

    def _check(self, span: tuple[int, int, int], *, anchors: bool) -> bool:
        at, ttl, kind = span
        if self._walk_name(at, anchors=anchors) != ttl - 4 or self._message[ttl - 4]:
            return False
        if kind not in _NAME_IN_DATA:
            return True
        data = ttl + 6
        end = data + (self._message[ttl + 4] << 8 | self._message[ttl + 5])
        return 0 < self._walk_name(data + _NAME_IN_DATA[kind], anchors=anchors) <= end

    def _walk_name(self, at: int, *, anchors: bool) -> int:
        """Return the position after a name, 0 if it leads where no anchor is."""
        message, met = self._message, []
        while length := message[at]:
            if length >= _POINTER:
                target = (length & 0x3F) << 8 | message[at + 1]
                at += 1
                if target not in self._anchors:
                    return 0
                break
            if length > 63:
                return 0
            met.append(at)
            at += length + 1
        if anchors:
            self._anchors.update(met)
        return at + 1
