"""A DNS message to the answer that it gives to its one question. Pure.

In: the bytes of a message. Out: a DnsAnswer, or MalformedDnsError. A query, an error, an empty answer or a question of
no interest is a DnsAnswer too, one whose `refusal` says why no observation follows from it.

What counts as the answer: the A and AAAA records of the type asked for, owned by the question's name or by the end of
its CNAME chain; the targets of SRV, HTTPS and SVCB records there, with the address hints of the latter two, and with
the addresses that the additional section gives for the targets. Records of other owners prove nothing: left out.

Source: RFC 1035 section 4, RFC 2181 section 5.2 and 8, RFC 2308 section 2, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6672
(DNAME: the CNAME made from it comes along), RFC 6891 (EDNS), RFC 9460 (SVCB, HTTPS).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct as Wire
from typing import Literal

from msgspec import Struct

from capture_agent.dns_wire import HEADER_BYTES, WireCursor
from capture_agent.malformed import MalformedDnsError
from capture_agent.packet import address_text

MAX_RECORDS = 256
"""Records read of a section, and addresses given; a longer answer is `partial`, and its name the same."""

A, CNAME, AAAA, SRV, SVCB, HTTPS, ANY = 1, 5, 28, 33, 64, 65, 255
_IN = 1
_TYPE_NAMES = {
    A: "A", 2: "NS", CNAME: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", AAAA: "AAAA", SRV: "SRV", 35: "NAPTR",
    39: "DNAME", 43: "DS", 46: "RRSIG", 48: "DNSKEY", SVCB: "SVCB", HTTPS: "HTTPS", ANY: "ANY", 257: "CAA",
}  # fmt: skip
_KINDS = {kind: frozenset({kind, CNAME}) for kind in (A, AAAA, SRV, SVCB, HTTPS)} | {
    ANY: frozenset({A, AAAA, CNAME, SRV, SVCB, HTTPS})
}
SERVER_TYPES = frozenset(_TYPE_NAMES[kind] for kind in _KINDS)
"""Questions whose answers name servers."""
_ADDRESSES = frozenset({A, AAAA})
_ADDRESS_BYTES = {A: 4, AAAA: 16}
_IPV4_HINT, _IPV6_HINT = 4, 6
_HINT_BYTES = {_IPV4_HINT: 4, _IPV6_HINT: 16}

_HEADER = Wire("!HHHHHH")
_QUESTION = Wire("!HH")
_PARAMETER = Wire("!HH")

_RESPONSE = 0x8000
_OPCODE = 0x7800
_TRUNCATED = 0x0200
_RCODE = 0x000F
NXDOMAIN = 3

NotAnAnswer = Literal[
    "query",  # QR is 0
    "opcode",  # an update, a notification
    "nxdomain",
    "response_code",  # SERVFAIL, REFUSED and the like
    "question_class",  # other than IN
    "question_type",  # PTR, TXT and all that names no server
    "no_data",  # the name is there, not with this type
    "cut",  # TC is set and nothing of use came before the cut; the client asks again over TCP
]


class DnsAnswer(Struct, frozen=True, gc=False):
    """What a message says of its question."""

    message_id: int
    question_name: str
    question_type: str
    refusal: NotAnAnswer | None = None
    """Why this is not an answer; the fields below are then empty."""
    addresses: tuple[str, ...] = ()
    """Canonical, sorted, each once."""
    cnames: tuple[str, ...] = ()
    """The chain from the question on, in order."""
    targets: tuple[str, ...] = ()
    """Of SRV, HTTPS and SVCB records, sorted, each once."""
    ttl_seconds: int = 0
    """The smallest among the records that gave addresses and targets."""
    partial: bool = False
    """TC was set, or more than MAX_RECORDS came: the complete records before the cut are used."""


class _Fact(Struct, frozen=True, gc=False):
    """What one record says: the owner has this address, or stands behind this target."""

    owner: str
    ttl: int
    address: str
    target: str


class _Records:
    """What the records of a message say, before it is known which owner matters."""

    __slots__ = ("cut", "facts", "kinds", "links")

    def __init__(self, kinds: frozenset[int]) -> None:
        self.kinds = kinds
        self.facts: list[_Fact] = []
        self.links: dict[str, str] = {}
        self.cut = False


def parse_dns(message: bytes | memoryview) -> DnsAnswer:
    """Read a DNS message without the length prefix of TCP. Raises MalformedDnsError."""
    message = bytes(message)
    if len(message) < HEADER_BYTES:
        raise MalformedDnsError("header")
    message_id, flags, questions, *counts = _HEADER.unpack_from(message)
    if not flags & _RESPONSE:
        return DnsAnswer(message_id, "", "", "query")
    if flags & _OPCODE:
        return DnsAnswer(message_id, "", "", "opcode")
    if questions != 1:
        raise MalformedDnsError("question_count")
    cursor = WireCursor(message)
    at = cursor.read_question_name()
    cursor.require(at, 4)
    question_type, question_class = _QUESTION.unpack_from(message, at)
    refusal = _refuse_question(flags & _RCODE, question_type, question_class)
    if refusal:
        return DnsAnswer(message_id, cursor.question_name, type_name(question_type), refusal)
    records = _Records(_KINDS[question_type])
    records.cut = bool(flags & _TRUNCATED)
    after = _read_records(cursor, records, at + 4, counts[0])
    return _build_answer(cursor, records, (message_id, question_type), (after, counts[1], counts[2]))


@lru_cache(maxsize=1024)
def type_name(number: int) -> str:
    """Return the mnemonic of a record type, else TYPE and the number (RFC 3597 section 5)."""
    return _TYPE_NAMES.get(number, f"TYPE{number}")


def _refuse_question(response_code: int, question_type: int, question_class: int) -> NotAnAnswer | None:
    if response_code:
        return "nxdomain" if response_code == NXDOMAIN else "response_code"
    if question_class != _IN:
        return "question_class"
    return None if question_type in _KINDS else "question_type"


# -- Records ----------------------------------------------------------------------------------------------------------


def _read_records(cursor: WireCursor, records: _Records, at: int, count: int) -> int:
    """Collect the facts of one section; return where the next one begins, 0 where the message was cut."""
    try:
        for _ in range(min(count, MAX_RECORDS)):
            at = _read_one(cursor, records, at)
    except MalformedDnsError as error:
        if records.cut and error.reason == "past_end":
            return 0
        raise
    if count > MAX_RECORDS:
        records.cut = True
        return 0
    return at


def _read_one(cursor: WireCursor, records: _Records, at: int) -> int:
    """Add what one record says to the facts; return the position after it."""
    owner, at = cursor.read_owner(at)
    kind, record_class, ttl, size = cursor.read_record(at)
    at += 10
    if kind in records.kinds and record_class == _IN:
        if kind in _ADDRESS_BYTES:
            if size != _ADDRESS_BYTES[kind]:
                raise MalformedDnsError("data_length")
            records.facts.append(_Fact(owner, ttl, address_text(cursor.message[at : at + size]), ""))
        elif kind == CNAME:
            # RFC 2181 section 10.1: a name has one CNAME; the first is as good as any.
            records.links.setdefault(owner, _read_whole_name(cursor, at, size))
        elif kind == SRV:
            records.facts.append(_Fact(owner, ttl, "", _read_whole_name(cursor, at + 6, size - 6)))
        else:
            _read_service(cursor, records, (owner, ttl), at, at + size)
    return at + size


def _read_whole_name(cursor: WireCursor, at: int, size: int) -> str:
    """Read a name that must fill what is left of the record data."""
    if size < 1:
        raise MalformedDnsError("data_length")
    name, after = cursor.read_name(at)
    if after != at + size:
        raise MalformedDnsError("data_length")
    return name


def _read_service(cursor: WireCursor, records: _Records, owner: tuple[str, int], at: int, end: int) -> None:
    """Read the target and the address hints of an SVCB or HTTPS record."""
    if at + 3 > end:
        raise MalformedDnsError("data_length")
    target, after = cursor.read_name(at + 2)
    records.facts.append(_Fact(*owner, "", target or owner[0]))
    key = -1
    while after < end:
        if after + 4 > end:
            raise MalformedDnsError("service_parameters")
        previous, (key, size) = key, _PARAMETER.unpack_from(cursor.message, after)
        after += 4
        step = _HINT_BYTES.get(key, 0)
        if key <= previous or after + size > end or (step and (size % step or not size)):
            raise MalformedDnsError("service_parameters")
        for hint in range(after, after + size, step) if step else ():
            records.facts.append(_Fact(*owner, address_text(cursor.message[hint : hint + step]), ""))
        after += size
    if after != end:
        raise MalformedDnsError("data_length")


# -- What the records amount to ---------------------------------------------------------------------------------------


def _build_answer(
    cursor: WireCursor, records: _Records, question: tuple[int, int], rest: tuple[int, int, int]
) -> DnsAnswer:
    """Follow the CNAME chain, and take what its end owns."""
    message_id, question_type = question
    name, kind = cursor.question_name, type_name(question_type)
    cnames = _follow_chain(name, records.links)
    owner = cnames[-1] if cnames else name
    facts = [fact for fact in records.facts if fact.owner == owner]
    targets = {fact.target for fact in facts if fact.target}
    if targets:
        facts += _read_target_addresses(cursor, records.cut, targets, rest)
    addresses = sorted({fact.address for fact in facts if fact.address})
    if not addresses and not targets:
        return DnsAnswer(message_id, name, kind, "cut" if records.cut else "no_data")
    return DnsAnswer(
        message_id,
        name,
        kind,
        None,
        tuple(addresses[:MAX_RECORDS]),
        cnames,
        tuple(sorted(targets)),
        min(fact.ttl for fact in facts),
        records.cut or len(addresses) > MAX_RECORDS,
    )


def _follow_chain(name: str, links: dict[str, str]) -> tuple[str, ...]:
    """Return the names that the CNAME records lead to, in order."""
    cnames: list[str] = []
    while name in links:
        name = links[name]
        cnames.append(name)
        if len(cnames) > len(links):
            raise MalformedDnsError("cname_loop")
    return tuple(cnames)


def _read_target_addresses(cursor: WireCursor, cut: bool, targets: set[str], rest: tuple[int, int, int]) -> list[_Fact]:
    """Return what the additional section says of the targets."""
    at, authorities, additionals = rest
    if not at:
        return []
    skipped, additional = _Records(frozenset()), _Records(_ADDRESSES)
    skipped.cut = additional.cut = cut
    at = _read_records(cursor, skipped, at, authorities)
    if at:
        _read_records(cursor, additional, at, additionals)
    return [fact for fact in additional.facts if fact.owner in targets]
