"""Records to bytes and back: both encodings, one failure."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callgraph.codec import MAX_RECORD_BYTES, decode, encode, encode_key, schema_header, schema_of
from callgraph.errors import DecodeError
from callgraph.records import CallBatch, ConnectionBatch, DeadLetter, DnsAnswerBatch, Edge, ObservationBatch
from tests.golden_records import FULL, LEAST

ALL = FULL | LEAST


@pytest.mark.parametrize("codec", ["json", "msgpack"])
@pytest.mark.parametrize("name", ALL)
def test_record_survives_the_way_there_and_back(name, codec):
    assert decode(encode(ALL[name], codec), type(ALL[name])) == ALL[name]


@pytest.mark.parametrize("name", ALL)
def test_first_byte_tells_the_encodings_apart(name):
    assert encode(ALL[name], "json")[:1] == b"{"
    assert encode(ALL[name], "msgpack")[:1] != b"{"


def test_json_is_text_that_kcat_can_show():
    assert encode(FULL["dns-answers.v1"]).decode().startswith('{"schema":"dns-answers.v1","cluster":"prod"')


def test_union_is_told_apart_by_its_schema():
    for name, kind in (("dns-answers.v1", DnsAnswerBatch), ("connections.v1", ConnectionBatch)):
        assert type(decode(encode(FULL[name]), ObservationBatch)) is kind


@pytest.mark.parametrize("value", [None, b""])
def test_record_without_a_value_is_refused_as_empty(value):
    assert _reason(value, Edge) == "empty"


def test_record_above_the_limit_is_refused_unread():
    assert _reason(b"{" + b" " * MAX_RECORD_BYTES, Edge) == "too_large"


def test_record_at_the_limit_is_read():
    record = encode(FULL["call-graph.v1"])
    assert decode(record + b" " * (MAX_RECORD_BYTES - len(record)), Edge) == FULL["call-graph.v1"]


@pytest.mark.parametrize(
    "value", [b"{", b"\xc1", b'{"schema":"call-graph.v1"', b'{"schema":"call-graph.v1",}', b'{"schema":"\xff"}']
)
def test_bytes_that_are_no_document_are_refused_as_malformed(value):
    assert _reason(value, Edge) == "malformed"


@pytest.mark.parametrize(
    "value", [b"{}", b"[]", b'{"schema":"call-graph.v2"}', b'{"schema":"call-graph.v1"}', b'{"schema":1}', b"\x01"]
)
def test_documents_of_another_shape_are_refused_as_such(value):
    assert _reason(value, Edge) == "wrong_shape"


@pytest.mark.parametrize("value", [b'{"a":' * 100_000, b"\x81\xa1a" * 100_000, b"\x91" * 100_000])
def test_deeply_nested_documents_are_refused_without_a_crash(value):
    assert _reason(value, Edge) in {"malformed", "wrong_shape"}


def test_failure_names_the_place():
    with pytest.raises(DecodeError, match=r"wrong_shape: Expected `str`, got `int` - at `\$\.client\.name`"):
        decode(encode(FULL["call-graph.v1"]).replace(b'"name":"frontend"', b'"name":5'), Edge)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_record_or_the_one_failure(value):
    for expected in (Edge, ObservationBatch, CallBatch, DeadLetter):
        assert _reason(value, expected) in {None, "empty", "malformed", "wrong_shape"}


@given(st.data())
@settings(deadline=None)
def test_damaged_records_are_records_or_the_one_failure(data):
    name = data.draw(st.sampled_from(sorted(ALL)))
    value = bytearray(encode(ALL[name], data.draw(st.sampled_from(["json", "msgpack"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    assert _reason(bytes(value), type(ALL[name])) in {None, "malformed", "wrong_shape"}


def test_keys_of_different_parts_differ():
    parts = [("a", "b"), ("a,b",), ("ab",), ("a", "b", None), ("a", "b", ""), ('a","b',), ("a", "1"), ("a", 1), ()]
    assert len({encode_key(*each) for each in parts}) == len(parts)


def test_key_is_compact_json():
    assert encode_key("prod", "node-a", None, 53) == b'["prod","node-a",null,53]'


def test_header_names_the_schema():
    assert schema_header(FULL["call-graph.v1"]) == [("schema", b"call-graph.v1")]
    assert schema_header(Edge) == [("schema", b"call-graph.v1")]


@pytest.mark.parametrize("name", FULL)
def test_schema_of_a_record_is_what_its_schema_field_says(name):
    assert msgspec.json.decode(encode(FULL[name]))["schema"] == schema_of(FULL[name])


def test_bytes_of_a_dead_letter_survive_json():
    letter = DeadLetter(
        reason="malformed", detail="", topic="t", partition=0, offset=0, failed_at=0, value=bytes(range(256))
    )
    assert decode(encode(letter), DeadLetter).value == bytes(range(256))


def _reason(value, expected):
    """Return the reason that the value is refused for, or None."""
    try:
        decode(value, expected)
    except DecodeError as error:
        return error.reason
    return None
