"""The page's table holds what the exporter's table holds, in less room, and knows what changed."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from callgraph.codec import encode, encode_key
from sink_exporter.graph import build_graph
from sink_exporter.page_table import PageTable, workload_id
from tests.graphs import edge_lists, edge_of, shop_edges, workload

EDGE = edge_of(workload("a"), workload("b"), first_seen=1, last_seen=2, observations=1)
KEY = encode_key("a", "b", None, None)


def table_of(*records):
    table = PageTable()
    for key, value in records:
        table.apply(key, value)
    return table


def records_of(edges):
    return [(str(number).encode(), encode(edge)) for number, edge in enumerate(edges)]


@given(edge_lists)
def test_it_holds_the_same_graph_as_the_edges_make(edges):
    distinct = list({(e.client, e.server, e.server_port, e.network_transport): e for e in edges}.values())
    assert table_of(*records_of(distinct)).graph() == build_graph(distinct)


@given(edge_lists, st.data())
def test_tombstones_leave_what_the_other_records_say(edges, data):
    distinct = list({(e.client, e.server, e.server_port, e.network_transport): e for e in edges}.values())
    gone = data.draw(st.sets(st.sampled_from(range(len(distinct))))) if distinct else set()
    table = table_of(*records_of(distinct), *((str(number).encode(), None) for number in gone))
    assert table.graph() == build_graph(edge for number, edge in enumerate(distinct) if number not in gone)


def test_the_later_record_of_a_key_wins():
    table = table_of((KEY, encode(replace(EDGE, observations=9))), (KEY, encode(EDGE)))
    assert table.arrow((0, 1)).observations == 1


def test_a_key_whose_edge_moves_to_other_workloads_leaves_nothing_behind():
    table = table_of((KEY, encode(EDGE)), (KEY, encode(replace(EDGE, server=workload("c")))))
    assert [pair for pair, _ in table.arrows()] == [(0, 2)]


def test_what_changed_is_told_once_and_a_repeat_is_no_change():
    table = table_of((KEY, encode(EDGE)))
    assert table.take_changes() == [(0, 1)]
    table.apply(KEY, encode(EDGE))
    assert table.take_changes() == []
    table.apply(KEY, None)
    assert table.take_changes() == [(0, 1)]


def test_what_is_no_edge_is_counted_by_reason_and_forgets_nothing():
    table = table_of((KEY, encode(EDGE)), (KEY, b"{"), (b"x", b"\x93\x01"), (None, None))
    assert dict(table.skipped) == {"malformed": 1, "wrong_shape": 1, "empty": 1}
    assert (len(table), table.records) == (1, 4)


def test_workloads_keep_their_numbers_when_their_edges_go():
    table = table_of((KEY, encode(EDGE)), (KEY, None), (b"2", encode(edge_of(workload("c"), workload("b")))))
    assert [each.name for each in table.workloads] == ["a", "b", "c"]


def test_a_whole_graph_can_be_taken():
    table = PageTable()
    table.add_graph(build_graph(shop_edges()))
    assert table.graph() == build_graph(shop_edges())


def test_an_id_means_one_workload_in_every_run():
    assert workload_id(workload("a")) == "3b6c75477c17"
    assert workload_id(workload("a")) != workload_id(workload("a", kind="StatefulSet"))


def test_exemplars_come_back_as_they_came():
    texts = ("", "/5", "t/3/007", "t/3/12345", "t/3/99999999999999999999", "t/3/\u0663", "x")
    table = table_of((KEY, encode(replace(EDGE, exemplars=texts))))
    assert table.arrow((0, 1)).exemplars == texts
