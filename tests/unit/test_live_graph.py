"""What followers are told, and who has to read the whole anew."""

import gzip
import json

from callgraph.codec import encode
from callgraph.records import CoverageRecord
from sink_exporter.coverage import summarize_coverage
from sink_exporter.live_graph import LiveGraph
from sink_exporter.page_events import EventStore, format_event
from sink_exporter.page_json import encode_coverage, model_of
from sink_exporter.page_table import workload_id
from tests.graphs import edge_of, graph_of, workload


def live_of(*edges):
    live = LiveGraph("e")
    for number, edge in enumerate(edges):
        live.table.apply(str(number).encode(), encode(edge))
    live.begin()
    return live


def whole(live):
    return json.loads(gzip.decompress(live.encode()))


def told(live, number):
    return [json.loads(message.split(b"data: ")[1]) for message in live.events.after(number)]


A_CALLS_B = edge_of(workload("a"), workload("b"), first_seen=10**9, last_seen=2 * 10**9)


def test_a_change_says_what_is_new_and_what_is_gone():
    live = live_of(A_CALLS_B)
    whole(live)
    live.table.apply(b"1", encode(edge_of(workload("b"), workload("c", "other"))))
    live.table.apply(b"0", None)
    assert live.announce()
    (change,) = told(live, 0)
    assert (change["before"], change["version"]) == ("e-0", "e-1")
    assert [service[4] for service in change["services"]] == ["c"]
    assert [group[1] for group in change["groups"]] == ["other"]
    assert [row[:2] for row in change["arrows"]] == [[1, 2]]
    assert change["removed"] == [[0, 1]]


def test_without_a_change_nothing_is_told():
    live = live_of(A_CALLS_B)
    live.table.apply(b"0", encode(A_CALLS_B))
    assert not live.announce()
    assert live.version == "e-0"


def test_the_changes_lead_from_one_whole_to_the_next():
    live = live_of(A_CALLS_B)
    before = whole(live)
    live.table.apply(b"1", encode(edge_of(workload("a"), workload("c"))))
    live.announce()
    (change,) = told(live, 0)
    after = whole(live)
    assert before["services"] + change["services"] == after["services"]
    assert before["arrows"] + change["arrows"] == after["arrows"]
    assert after["version"] == change["version"]


def test_what_was_applied_but_not_announced_is_announced_before_the_whole_is_read():
    live = live_of(A_CALLS_B)
    live.table.apply(b"1", encode(edge_of(workload("a"), workload("c"))))
    assert whole(live)["version"] == "e-1"
    assert len(told(live, 0)) == 1


def test_a_follower_of_another_run_or_of_too_long_ago_reads_the_whole_anew():
    live = live_of(A_CALLS_B)
    assert live.resume("e-0") == 0
    assert live.resume("f-0") is None
    assert live.resume("e-1") is None
    assert live.resume("") is None
    assert live.resume("e-x") is None


def test_the_store_of_messages_is_bounded_by_number_and_by_size():
    store = EventStore(kept_messages=3, kept_bytes=9)
    for message in (b"1111", b"2222", b"3333", b"44"):
        store.append(message)
    assert store.after(1) is None
    assert store.after(2) == [b"3333", b"44"]
    assert store.after(4) == []
    assert store.after(5) is None
    for _ in range(9):
        store.append(b"")
    assert store.after(9) is None


def test_an_event_is_one_line_of_data():
    assert format_event("change", b"{}", "e-1") == b"event: change\nid: e-1\ndata: {}\n\n"
    live = live_of()
    live.table.apply(b"0", encode(edge_of(workload("a\n\ndata: x"), workload("b\r\n"))))
    live.announce()
    assert live.events.after(0)[0].count(b"\n") == 4


def test_the_evidence_of_an_arrow_is_found_by_the_ids_of_its_ends():
    live = live_of(
        edge_of(workload("a"), workload("b"), dns_names=("b.shop",), first_seen=1_000_000_001, last_seen=10**18)
    )
    found = json.loads(live.evidence(f"{workload_id(workload('a'))}.{workload_id(workload('b'))}"))
    assert (found["dns_names"], found["first_seen"]) == (["b.shop"], "1970-01-01T00:00:01.000000001Z")
    assert live.evidence(f"{workload_id(workload('b'))}.{workload_id(workload('a'))}") is None
    assert live.evidence("x") is None


def test_what_the_graph_rests_on_is_told_as_news_and_is_no_version():
    live = live_of(A_CALLS_B)
    assert not live.rest_on(None)
    coverage = summarize_coverage([CoverageRecord(cluster="c", node="n", from_at=0, to_at=1, lost_batches=3)])
    assert live.rest_on(coverage)
    assert not live.rest_on(coverage)
    assert live.version == "e-0"
    assert live.graph().coverage == coverage
    name, data = live.coverage_event.decode().removesuffix("\n\n").split("\n")
    assert name == "event: coverage"
    assert json.loads(data.removeprefix("data: "))["lost_batches"] == 3


def test_of_many_silent_nodes_all_are_counted_and_a_few_named():
    nodes = [CoverageRecord(cluster="c", node=f"n-{number:04}", from_at=0, to_at=1) for number in range(1_000)]
    now = CoverageRecord(cluster="c", node="now", from_at=0, to_at=10**18)
    told = json.loads(encode_coverage(summarize_coverage([*nodes, now])))
    assert (told["nodes_reporting"], told["nodes_silent"], len(told["silent"])) == (1, 1_000, 20)


def test_the_exported_graph_is_what_the_table_holds():
    assert live_of(A_CALLS_B).graph().calls[0].client == workload("a")
    assert model_of(graph_of((workload("a"), workload("b")))).table.workloads == [workload("a"), workload("b")]
