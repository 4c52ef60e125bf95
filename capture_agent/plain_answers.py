"""The answers that nearly all answers are, read in a few microseconds. Pure.

In: a DNS message. Out: what it says, if it is a complete answer to a question for A or AAAA whose records come in
order, CNAMEs first, each owned by the name before; and nothing if it is any other message: those are for `parse_dns`,
which says the same of these at five times the price. What is read here is also faithful in the sense of
`capture_agent.fingerprints`. Plain refusals, which come over TCP past the kernel's filter, are told as cheaply.

Source: RFC 1035 section 4.1; the limits of names, section 2.3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct as Wire
from typing import NamedTuple

from msgspec import Struct

from capture_agent.dns import NXDOMAIN, NotAnAnswer
from capture_agent.dns_wire import spell_plain_name
from capture_agent.packet import address_text, ipv4_text

_CODE = 0x0F
_CNAME_TYPE = 5
_CNAME = b"\0\x05\0\x01"
_POINTER = 0xC0
_TO_QUESTION = b"\xc0\x0c"
_POINTERS_END = 0x4000
"""No pointer leads as far as this."""
_MAX_LABEL_BYTES = 63
_MAX_RECORDS = 64
_TTL_SIGN = 2**31
"""RFC 2181 section 8: a TTL with the highest bit set counts as 0."""
_FIXED_BYTES = 10
"""Type, class, TTL and data length of a record."""


class _Kind(NamedTuple):
    """What there is to know of a question for addresses."""

    name: str
    size: int
    length: bytes
    """The data length of its records, as it stands in them."""
    type_and_class: bytes
    spell: Callable[[bytes], str]
    """Without a cache: servers have more addresses than clients, and each is spelled once."""
    record: Wire
    """What follows its owner: type and class, TTL, data length, data."""


_KINDS = {
    kind.type_and_class: kind
    for kind in (
        _Kind("A", 4, b"\0\x04", b"\0\x01\0\x01", ipv4_text, Wire("!4sIH4s")),
        _Kind("AAAA", 16, b"\0\x10", b"\0\x1c\0\x01", address_text.__wrapped__, Wire("!4sIH16s")),
    )
}


class PlainAnswer(Struct, frozen=True, gc=False):
    """What a plain answer says."""

    question_name: str
    question_type: str
    addresses: tuple[str, ...]
    cnames: tuple[str, ...]
    ttl_seconds: int


class _Name(Struct, frozen=True, gc=False):
    """A name as it stands in a message: where, in full, and spelled."""

    pointer: bytes
    wire: bytes
    text: str


def read_plain_answer(message: bytes) -> PlainAnswer | None:
    """Read a plain answer. Raises IndexError where the message ends too early to tell."""
    zero = message.find(b"\0", 12)
    at = zero + 5
    kind = _KINDS.get(message[zero + 1 : at])
    if kind is None or message[2] & 0xFA != 0x80 or message[3] & _CODE or message[4:7] != b"\0\1\0":
        return None
    count = message[7]
    name = spell_plain_name(message[12:zero])
    if not name or not 0 < count <= _MAX_RECORDS:
        return None
    owner = _TO_QUESTION if message[at] >= _POINTER else message[12 : zero + 1]
    if count > 1 and message[at + len(owner) + 1] == _CNAME_TYPE:
        return _read_after_chain(message, at, kind, _Name(_TO_QUESTION, message[12:zero], name))
    found = _read_addresses(message, at, count, owner, kind)
    return None if found is None else PlainAnswer(name, kind.name, found[0], (), found[1])


def refuse_plainly(message: bytes) -> NotAnAnswer | None:
    """Say why a plain question of A or AAAA got no answer; None for any other message, `parse_dns` says more of it.

    Raises IndexError where the message ends too early to tell.
    """
    zero = message.find(b"\0", 12)
    flags, code = message[2], message[3] & _CODE
    if flags & 0xFA != 0x80 or message[4:6] != b"\0\1" or message[zero + 1 : zero + 5] not in _KINDS:
        return None
    if not spell_plain_name(message[12:zero]):
        return None
    if code:
        return "nxdomain" if code == NXDOMAIN else "response_code"
    return None if message[6] or message[7] else "no_data"


def _read_after_chain(message: bytes, at: int, kind: _Kind, question: _Name) -> PlainAnswer | None:
    """Read what stands behind CNAME records."""
    count, names = message[7], [question]
    at = _follow_chain(message, at, count, names)
    last = names[-1]
    owner = last.pointer if message[at] >= _POINTER else last.wire + b"\0"
    found = _read_addresses(message, at, count - len(names) + 1, owner, kind)
    texts = [name.text for name in names]
    if found is None or len(set(texts)) != len(texts) or "" in texts:
        return None
    return PlainAnswer(texts[0], kind.name, found[0], tuple(texts[1:]), found[1])


def _read_addresses(
    message: bytes, at: int, count: int, owner: bytes, kind: _Kind
) -> tuple[tuple[str, ...], int] | None:
    """Read records that are all alike: the addresses, and the smallest TTL."""
    if count == 1:
        return _read_address(message, at, owner, kind)
    head = owner + kind.type_and_class
    width = len(head) + 6 + kind.size
    records = message[at : at + count * width]
    if not count or len(records) != count * width:
        return None
    fields = _layout(len(head), kind.size, count).unpack(records)
    ttls, addresses = fields[1::4], fields[3::4]
    if fields[::4].count(head) != count or fields[2::4].count(kind.length) != count:
        return None
    least = min(ttls) if max(ttls) < _TTL_SIGN else min(ttl if ttl < _TTL_SIGN else 0 for ttl in ttls)
    return tuple(sorted(set(map(kind.spell, addresses)))), least


def _read_address(message: bytes, at: int, owner: bytes, kind: _Kind) -> tuple[tuple[str, ...], int] | None:
    """Read the only record: the address, and the TTL."""
    at_type = at + len(owner)
    if at_type + kind.record.size > len(message):
        return None
    type_and_class, ttl, size, address = kind.record.unpack_from(message, at_type)
    if type_and_class != kind.type_and_class or size != kind.size or not message.startswith(owner, at):
        return None
    return (kind.spell(address),), ttl if ttl < _TTL_SIGN else 0


def _follow_chain(message: bytes, at: int, count: int, names: list[_Name]) -> int:
    """Add the targets of the CNAME records that come first, each owned by the one before; return where others begin."""
    suffixes: dict[int, bytes] = {}
    # Names whose labels no pointer was seen to lead to yet: most messages have no such pointer.
    unmarked = [(12, names[0].wire)]
    while len(names) < count:
        owner = names[-1]
        head = owner.pointer if message[at] >= _POINTER else owner.wire + b"\0"
        if not message.startswith(head + _CNAME, at):
            break
        data = at + len(head) + _FIXED_BYTES
        at = data + (message[data - 2] << 8 | message[data - 1])
        wire = message[data : at - 1]
        text = "" if message[at - 1] or data >= _POINTERS_END else spell_plain_name(wire)
        if text:
            unmarked.append((data, wire))
        else:
            _mark_labels(unmarked, suffixes)
            wire = _expand(message, data, at, suffixes)
            text = spell_plain_name(wire)
        names.append(_Name((0xC000 | data).to_bytes(2), wire, text))
    return at


def _mark_labels(unmarked: list[tuple[int, bytes]], suffixes: dict[int, bytes]) -> None:
    """Add what begins at each label of names that stand in full at the positions given; leave none of them unmarked."""
    for start, wire in unmarked:
        mark = 0
        while mark < len(wire):
            suffixes[start + mark] = wire[mark:]
            mark += wire[mark] + 1
    unmarked.clear()


def _expand(message: bytes, start: int, end: int, suffixes: dict[int, bytes]) -> bytes:
    """Return a name in full, without the root, that fills a span; empty where it does not, or is odd.

    `suffixes` are the names that begin at each label read so far, the only places that a pointer may lead to.
    """
    marks = []
    at = start
    while _MAX_LABEL_BYTES >= message[at] > 0:
        marks.append(at)
        at += message[at] + 1
    wire = message[start:at]
    if message[at]:
        suffix = suffixes.get((message[at] << 8 | message[at + 1]) - (_POINTER << 8))
        if suffix is None:
            return b""
        wire += suffix
        at += 1
    if at + 1 != end or start >= _POINTERS_END:
        return b""
    for mark in marks:
        suffixes[mark] = wire[mark - start :]
    return wire


@lru_cache(maxsize=512)
def _layout(head: int, size: int, count: int) -> Wire:
    """Lay out records: owner, type and class; TTL; data length; data."""
    return Wire("!" + f"{head}sI2s{size}s" * count)
