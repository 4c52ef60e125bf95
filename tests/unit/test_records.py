"""The records as contracts: what stands on the wire stays readable, by old readers and by new ones."""

from __future__ import annotations

import msgspec
import pytest

from callgraph import records
from callgraph.codec import decode, schema_of
from callgraph.records import Edge, KubeObject, Record
from tests.golden_records import FOLDER, FULL, LEAST, golden_file, golden_text

ALL = FULL | LEAST


@pytest.mark.parametrize("name", ALL)
def test_record_is_written_as_its_golden_file_says(name):
    assert golden_text(ALL[name]) == golden_file(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_golden_file_is_read_as_the_record_that_it_was_written_from(name):
    assert decode(golden_file(name).read_bytes(), type(ALL[name])) == ALL[name]


def test_every_golden_file_is_checked():
    assert {path.stem for path in FOLDER.iterdir()} == set(ALL)


def test_every_schema_has_a_full_and_a_least_record():
    schemas = {schema_of(record) for record in _record_types() if record.__struct_config__.tag_field == "schema"}
    assert {schema_of(record) for record in FULL.values()} == schemas
    assert {schema_of(record) for record in LEAST.values()} == schemas


def test_every_kubernetes_kind_has_a_golden_file():
    kinds = {kind.__struct_config__.tag for kind in KubeObject.__args__} | {"Watermark"}
    assert {_kind_of(record) for name, record in FULL.items() if name.startswith("inventory")} == kinds


@pytest.mark.parametrize("name", FULL)
def test_full_record_shows_every_field(name):
    assert list(_defaults_in(FULL[name], name)) == []


@pytest.mark.parametrize("name", ALL)
def test_fields_of_a_newer_writer_are_ignored(name):
    content = msgspec.json.decode(golden_file(name).read_bytes())
    assert decode(msgspec.json.encode(content | {"added_later": [1]}), type(ALL[name])) == ALL[name]


def test_record_of_another_schema_is_refused():
    content = golden_file("calls.v1").read_bytes()
    with pytest.raises(Exception, match="wrong_shape"):
        decode(content, Edge)


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        FULL["call-graph.v1"].observations = 5


def test_times_hold_nanoseconds_beyond_the_range_of_a_double():
    at = 2**53 + 1
    text = golden_text(msgspec.structs.replace(FULL["unresolved.v1"], observed_at=at))
    assert decode(text.encode(), records.UnresolvedRecord).observed_at == at


def test_count_below_one_is_refused():
    content = msgspec.json.decode(golden_file("dns-answers.v1").read_bytes())
    content["observations"][0]["count"] = 0
    with pytest.raises(Exception, match=r"`int` >= 1 - at `\$.observations\[0\].count`"):
        decode(msgspec.json.encode(content), records.DnsAnswerBatch)


def _record_types():
    found = [value for value in vars(records).values() if isinstance(value, type) and issubclass(value, Record)]
    return [record for record in found if record is not Record]


def _kind_of(record):
    return record.object.__struct_config__.tag


def _default_of(field):
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _defaults_in(value, where):
    """Yield the path of every field that still has its default."""
    if isinstance(value, Record):
        for field in msgspec.structs.fields(value):
            held = getattr(value, field.name)
            if not field.required and held == _default_of(field):
                yield f"{where}.{field.name}"
            yield from _defaults_in(held, f"{where}.{field.name}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _defaults_in(item, f"{where}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _defaults_in(item, f"{where}[{key!r}]")
