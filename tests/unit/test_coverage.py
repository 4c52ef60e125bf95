"""What an export rests on: counted once for each batch, by node and day, and summed up for the reader."""

from hypothesis import given
from hypothesis import strategies as st

from callgraph.codec import encode
from callgraph.records import BatchCounters, ConnectionBatch, ConnectionObservation, CoverageRecord
from sink_exporter.coverage import CoverageTable, summarize_coverage
from stream_processor.attribution import Decision, Origin
from stream_processor.coverage import Coverage, NodeDay
from stream_processor.resolution import Refusal

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
SIGHT = ConnectionObservation(
    observed_at=1,
    network_transport="tcp",
    client_address="10.0.0.1",
    server_address="10.0.0.2",
    server_port=80,
    evidence="syn",
)


def batch(sequence, *, node="n", boot_id="b", at=5 * SECOND, observations=2, kernel_dropped=0):
    counters = BatchCounters(received=9, dropped={"overflow": 1, "truncated": 2}, kernel_dropped=kernel_dropped)
    return ConnectionBatch(
        cluster="c",
        node=node,
        boot_id=boot_id,
        sequence=sequence,
        sent_at=at,
        observations=(SIGHT,) * observations,
        counters=counters,
    )


def refused(offset, reason="unknown_pod_address"):
    return Decision(origin(offset), "c", "n", (), (Refusal("server", "10.0.0.2", reason),), (0,), (SIGHT,))


def origin(offset):
    return Origin("connections", 0, offset)


def count(coverage, offset, one):
    coverage.open(origin(offset), one)
    coverage.close(origin(offset))


def test_a_batch_counts_when_it_is_finished_and_not_before():
    coverage = Coverage()
    coverage.open(origin(0), batch(0, kernel_dropped=7))
    coverage.decide([refused(0)])
    assert coverage.take_changed() == []
    coverage.close(origin(0))
    assert coverage.take_changed() == [
        (
            NodeDay("c", "n", 0),
            CoverageRecord(
                cluster="c",
                node="n",
                from_at=5 * SECOND,
                to_at=5 * SECOND,
                batches=1,
                received=9,
                dropped=3,
                kernel_dropped=7,
                observations=2,
                unresolved={"unknown_pod_address": 1},
            ),
        )
    ]
    assert coverage.take_changed() == []


def test_batches_of_a_node_and_day_add_up():
    coverage = Coverage()
    count(coverage, 0, batch(0))
    count(coverage, 1, batch(1, at=9 * SECOND))
    count(coverage, 2, batch(2, at=DAY + 1))
    count(coverage, 3, batch(0, node="m"))
    sums = dict(coverage.take_changed())
    assert {place: one.batches for place, one in sums.items()} == {
        NodeDay("c", "m", 0): 1,
        NodeDay("c", "n", 0): 2,
        NodeDay("c", "n", 1): 1,
    }
    assert (sums["c", "n", 0].from_at, sums["c", "n", 0].to_at) == (5 * SECOND, 9 * SECOND)


def test_a_gap_in_the_sequence_is_lost_batches_and_a_new_boot_is_none():
    coverage = Coverage()
    for offset, one in enumerate((batch(4), batch(5), batch(8), batch(3, boot_id="next"), batch(3, boot_id="next"))):
        count(coverage, offset, one)
    ((_, record),) = coverage.take_changed()
    assert record.lost_batches == 2


def test_the_reader_sums_up_workers_and_days_and_names_who_fell_silent():
    table = CoverageTable()
    records = [
        CoverageRecord(cluster="c", node="a", from_at=0, to_at=900 * SECOND, batches=3, received=30, observations=80),
        CoverageRecord(cluster="c", node="a", from_at=SECOND, to_at=990 * SECOND, observations=20, unresolved={"x": 5}),
        CoverageRecord(
            cluster="c", node="b", from_at=5 * SECOND, to_at=600 * SECOND, lost_batches=1, dropped=2, kernel_dropped=4
        ),
    ]
    for number, record in enumerate(records):
        table.apply(str(number).encode(), encode(record))
    found = summarize_coverage(table.records())
    assert (found.nodes_reporting, found.nodes_silent) == (("a",), ("b",))
    assert (found.since, found.until) == ("1970-01-01T00:00:00Z", "1970-01-01T00:16:30Z")
    assert (found.batches, found.lost_batches, found.received, found.dropped, found.kernel_dropped) == (3, 1, 30, 2, 4)
    assert (found.observations, found.unresolved, found.unresolved_share) == (100, {"x": 5}, 0.05)


def test_a_later_sum_under_a_key_replaces_the_earlier_one_and_rubbish_is_left_out():
    table = CoverageTable()
    for batches in (1, 2):
        table.apply(b"k", encode(CoverageRecord(cluster="c", node="a", from_at=0, to_at=1, batches=batches)))
    table.apply(b"r", b"{")
    table.apply(b"k2", encode(CoverageRecord(cluster="c", node="b", from_at=0, to_at=1, batches=1)))
    table.apply(b"k2", None)
    assert [record.batches for record in table.records()] == [2]
    assert table.skipped == {"malformed": 1}


def test_without_any_record_nothing_is_claimed():
    assert summarize_coverage([]) is None


def test_nodes_of_several_clusters_are_told_apart():
    records = [CoverageRecord(cluster=cluster, node="a", from_at=0, to_at=1) for cluster in ("c", "d")]
    assert summarize_coverage(records).nodes_reporting == ("c/a", "d/a")


@given(
    st.lists(
        st.builds(
            CoverageRecord,
            cluster=st.just("c"),
            node=st.sampled_from("abc"),
            from_at=st.integers(0, 9),
            to_at=st.integers(10, 10**15),
            batches=st.integers(0, 9),
            observations=st.integers(0, 9),
        ),
        min_size=1,
    ),
    st.randoms(),
)
def test_the_order_of_records_does_not_matter(records, random):
    shuffled = list(records)
    random.shuffle(shuffled)
    assert summarize_coverage(shuffled) == summarize_coverage(records)
