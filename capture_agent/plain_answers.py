"""The answers that nearly all answers are, read in a few microseconds. Pure.

In: a DNS message. Out: what it says, if it is a complete answer to a question for A or AAAA whose records come in
order, CNAMEs first, each owned by the name before; and nothing if it is any other message: those are for `parse_dns`,
which says the same of these at five times the price. What is read here is also faithful in the sense of
`capture_agent.fingerprints`.

Source: RFC 1035 section 4.1; the limits of names, section 2.3.4.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct as Wire
from typing import NamedTuple

from capture_agent.packet import address_text

_QUESTIONS = {b"\0\x01\0\x01": ("A", 4), b"\0\x1c\0\x01": ("AAAA", 16)}
"""Type and class of a question, and the size of an address."""
_CNAME = b"\0\x05\0\x01"
_POINTER = 0xC0
_TO_QUESTION = b"\xc0\x0c"
_MAX_NAME_BYTES, _MAX_LABEL_BYTES = 255, 63
_MAX_RECORDS = 64
_spell = address_text.__wrapped__
"""Without the cache: servers have more addresses than clients, and each is spelled once."""
_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet != 0x5C)
_TTL_AND_LENGTH = Wire("!IH")
_TTL_SIGN = 2**31
"""RFC 2181 section 8: a TTL with the highest bit set counts as 0."""
_FIXED_BYTES = 10
"""Type, class, TTL and data length of a record."""


class PlainAnswer(NamedTuple):
    """What a plain answer says."""

    question_name: str
    question_type: str
    addresses: tuple[str, ...]
    cnames: tuple[str, ...]
    ttl_seconds: int


class _Name(NamedTuple):
    """A name as it stands in a message: where, in full, and spelled."""

    pointer: bytes
    wire: bytes
    text: str


def read_plain_answer(message: bytes) -> PlainAnswer | None:
    """Read a plain answer. Raises IndexError where the message ends too early to tell."""
    zero = message.find(b"\0", 12)
    at = zero + 5
    question = message[zero + 1 : at]
    if message[2] & 0xFA != 0x80 or message[3] & 0x0F or message[4:7] != b"\0\1\0" or question not in _QUESTIONS:
        return None
    count = message[7]
    names = [_Name(_TO_QUESTION, message[12:zero], spell_plain_name(message[12:zero]))]
    if not names[0].text or not 0 < count <= _MAX_RECORDS:
        return None
    if count > 1:
        at = _follow_chain(message, at, count, names)
        count -= len(names) - 1
    found = _read_addresses(message, at, count, names[-1], question)
    if found is None:
        return None
    kind = _QUESTIONS[question][0]
    if len(names) == 1:
        return PlainAnswer(names[0].text, kind, found[0], (), found[1])
    texts = [name.text for name in names]
    if len(set(texts)) != len(texts) or "" in texts:
        return None
    return PlainAnswer(texts[0], kind, found[0], tuple(texts[1:]), found[1])


def _read_addresses(
    message: bytes, at: int, count: int, owner: _Name, question: bytes
) -> tuple[tuple[str, ...], int] | None:
    """Read records that are all alike: the addresses, and the smallest TTL."""
    size = _QUESTIONS[question][1]
    head = (owner.pointer if message[at] >= _POINTER else owner.wire + b"\0") + question
    width = len(head) + 6 + size
    records = message[at : at + count * width]
    if not count or len(records) != count * width:
        return None
    if count == 1:
        ttl, length = _TTL_AND_LENGTH.unpack_from(records, len(head))
        if length != size or not records.startswith(head):
            return None
        return (_spell(records[-size:]),), ttl if ttl < _TTL_SIGN else 0
    addresses, least = set(), 2**32
    for start, ttl, length, address in _layout(len(head), size).iter_unpack(records):
        if start != head or length != size:
            return None
        addresses.add(_spell(address))
        least = min(least, ttl if ttl < _TTL_SIGN else 0)
    return tuple(sorted(addresses)), least


def _follow_chain(message: bytes, at: int, count: int, names: list[_Name]) -> int:
    """Add the targets of the CNAME records that come first, each owned by the one before; return where others begin."""
    suffixes: dict[int, bytes] = {}
    while len(names) < count:
        owner = names[-1]
        head = owner.pointer if message[at] >= _POINTER else owner.wire + b"\0"
        if not message.startswith(head + _CNAME, at):
            break
        if not suffixes:
            _expand(message, 12, message.find(b"\0", 12) + 1, suffixes)
        data = at + len(head) + _FIXED_BYTES
        at = data + (message[data - 2] << 8 | message[data - 1])
        wire = _expand(message, data, at, suffixes)
        names.append(_Name((0xC000 | data).to_bytes(2), wire, spell_plain_name(wire)))
    return at


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
        wire += suffixes.get((message[at] << 8 | message[at + 1]) & 0x3FFF, b"")
        at += 1
    if at + 1 != end or start >= 0x4000:
        return b""
    for mark in marks:
        suffixes[mark] = wire[mark - start :]
    return wire


@lru_cache(maxsize=2048)
def spell_plain_name(wire: bytes) -> str:
    """Spell a name given without its root label; empty if it is odd in any way."""
    labels = []
    at = 0
    while at < len(wire):
        length = wire[at]
        if length > _MAX_LABEL_BYTES:
            return ""
        labels.append(wire[at + 1 : at + 1 + length])
        at += length + 1
    name = b".".join(labels).lower()
    is_odd = at != len(wire) or len(wire) >= _MAX_NAME_BYTES or name.translate(None, _PLAIN)
    return "" if is_odd or name.count(b".") != len(labels) - 1 else name.decode("ascii")


@lru_cache(maxsize=1024)
def _layout(head: int, size: int) -> Wire:
    """Lay out a record: owner, type and class; TTL, data length, data."""
    return Wire(f"!{head}sIH{size}s")
