"""The raw-bytes keys of answers, and the plain answers read in one pass."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from capture_agent.dns import DnsAnswer, parse_dns
from capture_agent.fingerprints import fingerprint, is_faithful
from capture_agent.malformed import MalformedError
from capture_agent.plain_answers import read_plain_answer, refuse_plainly
from tests.dns_messages import AAAA, CNAME, HTTPS, SRV, A, answers, damaged_answers, message, record, wire_name

CLIENT = bytes((10, 244, 1, 7))
POINTER = b"\xc0\x0c"
ADDRESSES = [bytes((10, 96, 0, each)) for each in range(1, 9)]


def key_of(raw: bytes) -> bytes:
    try:
        return fingerprint(raw, CLIENT)
    except IndexError:
        return b""


def meaning(raw: bytes) -> DnsAnswer | str:
    """Say what a message means, but for its id and TTLs."""
    try:
        answer = parse_dns(raw)
    except MalformedError as error:
        return error.reason
    return type(answer)(
        0, answer.question_name, answer.question_type, answer.refusal, answer.addresses, answer.cnames, answer.targets
    )


def address_answer(addresses: list[bytes], *, number: int = 1, ttl: int = 30, owner: bytes = POINTER) -> bytes:
    return message(
        "svc.ns.svc.cluster.local", A, [record(owner, A, each, ttl=ttl) for each in addresses], number=number
    )


def test_the_id_and_the_ttl_make_no_difference():
    assert key_of(address_answer(ADDRESSES[:1], number=1, ttl=30)) == key_of(
        address_answer(ADDRESSES[:1], number=2, ttl=5)
    )


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_order_of_addresses_makes_no_difference(count):
    shuffled = ADDRESSES[:count]
    random.Random(count).shuffle(shuffled)
    assert key_of(address_answer(ADDRESSES[:count])) == key_of(address_answer(shuffled, ttl=3))


def test_the_addresses_make_a_difference():
    assert key_of(address_answer(ADDRESSES[:1])) != key_of(address_answer(ADDRESSES[1:2]))


def test_the_client_makes_a_difference():
    raw = address_answer(ADDRESSES[:1])
    assert fingerprint(raw, CLIENT) != fingerprint(raw, bytes((10, 244, 1, 8)))


def test_the_question_makes_a_difference():
    first, second = (message(name, A, [record(POINTER, A, ADDRESSES[0])]) for name in ("a.example", "b.example"))
    assert key_of(first) != key_of(second)


def test_what_follows_the_answers_to_an_address_question_makes_no_difference():
    cookie = record(b"\0", 41, b"\0\x0a\0\x08" + bytes(8))
    plain, with_cookie = (
        message("a.example", A, [record(POINTER, A, ADDRESSES[0])], additional=[extra])
        for extra in (record(b"\0", 41, b""), cookie)
    )
    assert key_of(plain) == key_of(with_cookie)


def test_what_follows_the_answers_to_a_service_question_makes_a_difference():
    target = record(POINTER, SRV, struct.pack("!HHH", 0, 0, 80) + wire_name("pod.example"))
    first, second = (
        message("_http._tcp.a.example", SRV, [target], additional=[record(wire_name("pod.example"), A, address)])
        for address in ADDRESSES[:2]
    )
    assert key_of(first) != key_of(second)
    assert is_faithful(first)


def test_a_key_is_not_trusted_where_a_name_leads_into_a_ttl():
    """The owner of the second record is spelled by the TTL of the first: the key leaves out what the name says."""
    first = record(POINTER, A, ADDRESSES[0], ttl=0x01610000)
    into_ttl = struct.pack("!H", 0xC000 | (12 + len(wire_name("a.example")) + 4 + 6))
    raw = message("a.example", A, [first, record(into_ttl, A, ADDRESSES[1])])
    assert not is_faithful(raw)


def test_records_of_different_shape_are_not_cut_alike():
    """The second record is a byte longer; cut like the first, its class would be taken for a part of its TTL."""
    messages = []
    for record_class in (b"\0\1", b"\0\3"):
        second = wire_name("x") + b"\0\1" + record_class + struct.pack("!IH", 30, 4) + ADDRESSES[1]
        messages.append(message("x", A, [record(POINTER, A, ADDRESSES[0]), second]))
    internet, chaos = messages
    assert is_faithful(internet)
    assert meaning(internet) != meaning(chaos)
    assert key_of(internet) != key_of(chaos)


def test_a_key_is_not_trusted_where_a_label_holds_a_zero():
    name = b"\3a\0b\7example\0"
    raw = struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + name + b"\0\1\0\1" + record(POINTER, A, ADDRESSES[0])
    assert not is_faithful(raw)


def test_a_key_is_not_trusted_where_a_record_is_longer_than_its_low_byte_says():
    """Cut by the low byte alone, a key would leave out 256 bytes of an address, or take them for the next record."""
    chain = [record(POINTER, CNAME, wire_name("b.example") + bytes(256)), record(b"\xc0\x27", A, ADDRESSES[0])]
    assert not is_faithful(message("a.example", A, chain))
    assert not is_faithful(message("a.example", A, [record(POINTER, A, ADDRESSES[0] + bytes(256))]))


def test_a_key_is_not_trusted_for_more_than_one_question():
    raw = bytearray(address_answer(ADDRESSES[:1]))
    raw[5] = 2
    assert not is_faithful(bytes(raw))


def test_an_owner_without_an_end_is_no_layout_of_addresses():
    """What is taken for the data length then stands in the header, and the records would have no bytes at all."""
    raw = struct.pack("!6H", 1, 0x8180, 1, 2, 16, 0) + wire_name("abcdefgh") + b"\0\1\0\1" + b"\1" * 40
    key_of(raw)


def test_ordinary_answers_are_trusted():
    chain = [record(POINTER, CNAME, wire_name("b.example")), record(wire_name("b.example"), A, ADDRESSES[0])]
    hints = b"\0\1\0" + struct.pack("!HH4s", 4, 4, ADDRESSES[0])
    for raw in (
        address_answer(ADDRESSES),
        address_answer(ADDRESSES[:3], owner=wire_name("svc.ns.svc.cluster.local")),
        message("a.example", A, chain),
        message("a.example", AAAA, [record(POINTER, AAAA, bytes(16))]),
        message("a.example", HTTPS, [record(POINTER, HTTPS, hints)]),
    ):
        assert is_faithful(raw)


@given(answers(), st.data())
@settings(max_examples=200, deadline=None)
def test_messages_with_the_key_of_a_trusted_one_mean_the_same(raw, data):
    """The law of suppression, tried on what differs in a few bytes or in the order of its records."""
    other = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        other[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if is_faithful(raw) and key_of(raw) and key_of(bytes(other)) == key_of(raw):
        assert meaning(bytes(other)) == meaning(raw)


@given(damaged_answers(), st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_messages_with_the_key_of_a_trusted_one_mean_the_same(raw, data):
    if not is_faithful(raw) or not key_of(raw) or isinstance(meaning(raw), str):
        return
    other = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        other[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from(sorted(set(raw))))
    if key_of(bytes(other)) == key_of(raw):
        assert meaning(bytes(other)) == meaning(raw)


@given(answers() | damaged_answers())
@settings(max_examples=600, deadline=None)
def test_a_plain_answer_says_what_the_parser_says(raw):
    try:
        plain = read_plain_answer(raw)
    except IndexError:
        return
    if plain is not None:
        full = parse_dns(raw)
        assert full.refusal is None
        said = (full.question_name, full.question_type, full.addresses, full.cnames, full.ttl_seconds)
        assert astuple(plain) == said
        assert is_faithful(raw)


@pytest.mark.parametrize("ending", [b"\x02cdn\0", b"\3cdn\xc0\x0f", b"\3cdn\x40\x0c"])
def test_a_name_that_ends_as_none_can_is_not_plain(ending):
    """A label of an unknown type, a pointer into the midst of a label, and what would be a pointer but for a bit."""
    chain = [record(POINTER, CNAME, b"\5hop-0" + ending), record(b"\xc0\x27", A, ADDRESSES[0])]
    assert read_plain_answer(message("a.example", A, chain)) is None


@given(answers() | damaged_answers(), st.sampled_from((0, 1, 3, 5)), st.booleans())
@settings(max_examples=600, deadline=None)
def test_a_plain_refusal_is_what_the_parser_says(raw, code, is_empty):
    refused = bytearray(raw)
    refused[3:4] = bytes([refused[3] & 0xF0 | code])
    if is_empty:
        refused[6:8] = b"\0\0"
    try:
        refusal = refuse_plainly(bytes(refused))
    except IndexError:
        return
    if refusal is not None:
        assert parse_dns(bytes(refused)).refusal == refusal


def test_an_unknown_name_is_refused_plainly():
    refused = bytearray(message("a.example", A, []))
    assert refuse_plainly(bytes(refused)) == "no_data"
    refused[3] |= 3
    assert refuse_plainly(bytes(refused)) == "nxdomain"


@given(answers())
@settings(max_examples=200, deadline=None)
def test_most_answers_are_plain(raw):
    if isinstance(meaning(raw), str):
        return
    full = parse_dns(raw)
    in_order = raw[7] == 1 or not full.cnames
    if full.refusal is None and in_order and len(full.addresses) == raw[7]:
        assert read_plain_answer(raw) is not None


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_key_or_end_too_early(raw):
    key_of(raw)
    is_faithful(raw)
