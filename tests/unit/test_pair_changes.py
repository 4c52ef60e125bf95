"""What `watch` tells: changes of arrows, however many edges they have and however the records come."""

import json

from hypothesis import given
from hypothesis import strategies as st

from callgraph.codec import encode, encode_key
from sink_exporter.difference import compare_graphs, render_difference, render_difference_lines
from sink_exporter.edge_table import Change, EdgeTable
from sink_exporter.graph import build_graph
from sink_exporter.pair_changes import PairChanges
from tests.graphs import edge_lists, edge_of, workload

WEB, API = workload("web"), workload("api")
BY_NAME = edge_of(WEB, API)
BY_SYN = edge_of(WEB, API, server_port=80, network_transport="tcp", evidence=("syn",))


def told(*changes):
    return render_difference(changes[-1], "text")


def test_a_new_call_is_told_once_and_its_port_as_a_change():
    pairs = PairChanges()
    assert told(pairs.take([Change(after=BY_NAME)])) == "+ shop/web -> shop/api (dns)\n"
    assert told(pairs.take([Change(after=BY_SYN)])) == "~ shop/web -> shop/api: +syn +80/TCP\n"


def test_a_call_is_gone_with_its_last_edge():
    pairs = PairChanges()
    pairs.take([Change(after=BY_NAME), Change(after=BY_SYN)])
    assert told(pairs.take([Change(before=BY_NAME)])) == "~ shop/web -> shop/api: -dns\n"
    assert told(pairs.take([Change(before=BY_SYN)])) == "- shop/web -> shop/api (syn, 80/TCP)\n"
    assert len(pairs) == 0


def test_what_was_only_seen_again_is_not_told():
    pairs = PairChanges()
    pairs.take([Change(after=BY_NAME)])
    later = edge_of(WEB, API, last_seen=9, observations=7)
    assert not pairs.take([Change(before=BY_NAME, after=later)])


def test_json_lines_hold_a_change_each():
    pairs = PairChanges()
    found = pairs.take([Change(after=BY_NAME)])
    (line,) = map(json.loads, render_difference_lines(found).splitlines())
    assert (line["change"], line["call"]["server"]["name"]) == ("added", "api")
    lines = render_difference_lines(pairs.take([Change(before=BY_NAME, after=BY_SYN)]))
    assert json.loads(lines)["before"]["via"] == ["dns"]
    assert json.loads(render_difference_lines(pairs.take([Change(before=BY_SYN)])))["change"] == "removed"


def key_of(edge):
    return encode_key(repr(edge.client), repr(edge.server), edge.server_port, edge.network_transport)


@given(st.lists(st.tuples(st.booleans(), edge_lists), max_size=5))
def test_changes_of_any_records_are_those_of_the_whole_graphs(steps):
    pairs, table = PairChanges(), EdgeTable(track_changes=True)
    before = build_graph([])
    for deletes, edges in steps:
        for edge in edges:
            table.apply(key_of(edge), None if deletes else encode(edge))
        after = build_graph(table.edges())
        assert pairs.take(table.take_changes()) == compare_graphs(before, after)
        before = after
