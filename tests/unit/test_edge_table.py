"""The compacted topic as a table: the last record of a key counts, a tombstone deletes, rubbish is counted."""

from msgspec.structs import replace

from callgraph.codec import encode, encode_key
from callgraph.records import Applied, WatermarkRecord
from sink_exporter.edge_table import Change, EdgeTable
from tests.graphs import edge_of, workload

EDGE = edge_of(workload("a"), workload("b"), first_seen=1, last_seen=2, observations=1)
KEY = encode_key("a", "b", None, None)


def table_of(*records):
    table = EdgeTable()
    for key, value in records:
        table.apply(key, value)
    return table


def test_the_later_record_of_a_key_wins_even_with_less_in_it():
    table = table_of((KEY, encode(replace(EDGE, observations=9))), (KEY, encode(EDGE)))
    assert list(table.edges()) == [EDGE]


def test_a_tombstone_deletes():
    table = table_of((KEY, encode(EDGE)), (KEY, None))
    assert (len(table), table.records, dict(table.skipped)) == (0, 2, {})


def test_a_tombstone_for_nothing_known_changes_nothing():
    assert table_of((KEY, None)).revision == 0


def test_both_codecs_are_read():
    assert len(table_of((b"1", encode(EDGE, "json")), (b"2", encode(EDGE, "msgpack")))) == 2


def test_what_is_no_edge_is_counted_by_reason_and_forgets_nothing():
    table = table_of(
        (KEY, encode(EDGE)),
        (KEY, b"{"),
        (KEY, b'{"schema":"call-graph.v1"}'),
        (KEY, encode(WatermarkRecord(cluster="c", at=1))),
        (KEY, encode(replace(EDGE, first_seen=-5))),
        (KEY, encode(replace(EDGE, last_seen=2**63))),
        (None, None),
    )
    assert list(table.edges()) == [EDGE]
    assert dict(table.skipped) == {"malformed": 1, "wrong_shape": 4, "empty": 1}


def test_a_record_without_a_key_is_known_by_its_edge():
    assert len(table_of((None, encode(EDGE)), (None, encode(EDGE)))) == 1


def test_the_bookkeeping_of_the_fold_is_not_kept():
    table = table_of((KEY, encode(replace(EDGE, applied={"t/0": Applied(floor=3)}))))
    assert list(table.edges()) == [EDGE]


def test_the_revision_rises_with_every_change_the_shape_only_with_visible_ones():
    table = table_of((KEY, encode(EDGE)))
    assert (table.revision, table.shape_revision) == (1, 1)
    table.apply(KEY, encode(EDGE))
    assert (table.revision, table.shape_revision) == (1, 1)
    table.apply(KEY, encode(replace(EDGE, last_seen=3)))
    assert (table.revision, table.shape_revision) == (2, 1)
    table.apply(KEY, encode(replace(EDGE, last_seen=3, evidence=("dns", "syn"))))
    assert (table.revision, table.shape_revision) == (3, 2)
    table.apply(KEY, None)
    assert (table.revision, table.shape_revision) == (4, 3)


def test_changes_since_the_last_look_are_taken_once():
    table = EdgeTable(track_changes=True)
    table.apply(KEY, encode(EDGE))
    assert table.take_changes() == [Change(after=EDGE)]
    assert table.take_changes() == []
    later = replace(EDGE, last_seen=9)
    table.apply(KEY, encode(later))
    assert table.take_changes() == [Change(before=EDGE, after=later)]
    table.apply(KEY, None)
    assert table.take_changes() == [Change(before=later)]


def test_what_came_and_went_between_two_looks_is_no_change():
    table = EdgeTable(track_changes=True)
    table.apply(KEY, encode(EDGE))
    table.apply(KEY, None)
    assert table.take_changes() == []
