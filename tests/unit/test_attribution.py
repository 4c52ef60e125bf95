"""When observations are decided, and that each is, once."""

from __future__ import annotations

from callgraph.records import ConnectionBatch, WatermarkRecord
from stream_processor.attribution import Attribution, Origin
from stream_processor.inventory import Inventory
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from tests.small_cluster import (
    CLUSTER,
    FRONTEND,
    NODES,
    at,
    connection,
    decoded,
    endpoints,
    node,
    pod,
    service,
    terminated,
)

HOLD = 5
"""Hold and tolerance of the defaults, in seconds."""
LATE = 30
CART = pod("cart-0", "10.0.0.7")


class Line:
    """An attribution with the inventory and the watch that feed it."""

    def __init__(self, *objects, **settings):
        self.settings = AttributionSettings(**settings)
        self.inventory = Inventory(self.settings)
        self.projector = Projector(CLUSTER, self.settings)
        self.attribution = Attribution(self.inventory, self.settings)
        self.offset = 0
        for each in objects or (*NODES, FRONTEND, CART):
            self.watch("ADDED", each, 0)

    def watch(self, op, obj, arrived):
        record = self.projector.apply(op, decoded(obj), at(arrived))
        if record is not None:
            self.inventory.apply(record)

    def offer(self, *observations, now=0.0, partition=0):
        batch = ConnectionBatch(
            cluster=CLUSTER,
            node="node-1",
            boot_id="b",
            sequence=0,
            sent_at=max(each.observed_at for each in observations) if observations else 0,
            observations=observations,
        )
        self.attribution.offer(batch, Origin("connections", partition, self.offset), now=at(now))
        self.offset += 1

    def advance(self, watermark=None, now=0.0):
        if watermark is not None:
            self.inventory.apply(WatermarkRecord(cluster=CLUSTER, at=at(watermark)))
        return self.attribution.advance(now=at(now))


def outcome(decisions):
    return sorted(
        (
            found.origin.offset,
            index,
            [call.client.name for call in found.attributed],
            [each.reason for each in found.refusals],
        )
        for found in decisions
        for index in found.indexes
    )


def test_nothing_is_decided_before_the_watermark_has_passed_hold_and_tolerance():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10))
    assert line.advance(10 + HOLD - 0.001) == []
    assert outcome(line.advance(10 + HOLD)) == [(0, 0, ["frontend"], [])]


def test_clock_of_the_worker_decides_nothing_by_itself():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10))
    assert line.advance(now=100) == []


def test_new_pod_that_the_watch_shows_within_the_hold_gets_the_event():
    line = Line(FRONTEND, pod("old-0", "10.0.0.80"))
    line.offer(connection("10.0.0.80", "10.0.0.5", seen=26))
    line.watch("ADDED", pod("new-0", "10.0.0.80", start=22), 28)
    line.watch("DELETED", pod("old-0", "10.0.0.80", state=terminated(-100, 20)), 28)
    assert outcome(line.advance(26 + HOLD)) == [(0, 0, ["new"], [])]


def test_unknown_address_is_tried_again_when_the_pod_becomes_known():
    line = Line()
    line.offer(connection("10.0.0.99", "10.0.0.7", seen=10))
    assert line.advance(10 + HOLD) == []
    line.watch("ADDED", pod("fast-0", "10.0.0.99", start=9), 20)
    assert outcome(line.advance()) == [(0, 0, ["fast"], [])]


def test_unknown_address_is_refused_when_the_late_window_is_over():
    line = Line()
    line.offer(connection("10.0.0.99", "10.0.0.7", seen=10))
    assert line.advance(10 + LATE - 0.001) == []
    assert outcome(line.advance(10 + LATE)) == [(0, 0, [], ["unknown_client_ip"])]


def test_end_of_a_terminating_pod_settles_its_events():
    line = Line(FRONTEND, pod("old-0", "10.0.0.80", deleting=True))
    line.offer(connection("10.0.0.80", "10.0.0.5", seen=10), connection("10.0.0.80", "10.0.0.5", seen=10.5))
    assert line.advance(20) == []
    line.watch("DELETED", pod("old-0", "10.0.0.80", deleting=True, state=terminated(-100, 15)), 21)
    assert outcome(line.advance(22)) == [(0, 0, ["old"], []), (0, 1, ["old"], [])]


def test_terminating_pod_keeps_its_events_when_its_end_is_never_told():
    line = Line(FRONTEND, pod("old-0", "10.0.0.80", deleting=True))
    line.offer(connection("10.0.0.80", "10.0.0.5", seen=10))
    assert outcome(line.advance(10 + LATE)) == [(0, 0, ["old"], [])]


def test_private_outside_address_waits_for_the_pod_that_it_may_be():
    line = Line()
    line.offer(connection("10.0.0.5", "172.16.0.9", seen=10))
    assert line.advance(10 + HOLD) == []
    assert [call.server.name for call in line.advance(10 + LATE)[0].attributed] == ["172.16.0.9"]


def test_file_of_objects_decides_at_once():
    line = Line()
    line.inventory.apply(WatermarkRecord(cluster=CLUSTER, at=2**63 - 1))
    line.offer(connection("10.0.0.99", "10.0.0.7", seen=10))
    assert outcome(line.advance()) == [(0, 0, [], ["unknown_client_ip"])]


def test_clusters_have_watermarks_of_their_own():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10))
    line.inventory.apply(WatermarkRecord(cluster="other", at=at(1000)))
    assert line.advance() == []


def test_pending_is_the_lowest_offset_that_still_holds_something():
    line = Line()
    for seen in (50, 10, 20):
        line.offer(connection("10.0.0.5", "10.0.0.7", seen=seen))
    assert line.attribution.pending("connections", 0) == 0
    line.advance(30)
    assert line.attribution.pending("connections", 0) == 0
    line.advance(60)
    assert line.attribution.pending("connections", 0) is None


def test_pending_counts_partitions_apart():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10), partition=3)
    assert line.attribution.pending("connections", 3) == 0
    assert line.attribution.pending("connections", 0) is None


def test_held_counts_what_waits():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10), connection("10.0.0.99", "10.0.0.7", seen=10))
    assert line.attribution.held == 2
    line.advance(10 + HOLD)
    assert line.attribution.held == 1
    line.advance(10 + LATE)
    assert line.attribution.held == 0


def test_empty_batch_holds_nothing():
    line = Line()
    line.offer()
    assert (line.attribution.held, line.attribution.pending("connections", 0), line.advance(100)) == (0, None, [])


def test_one_observation_with_a_wild_clock_does_not_hold_up_its_batch():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10), connection("10.0.0.5", "10.0.0.7", seen=1e6))
    assert outcome(line.advance(11 + HOLD)) == [(0, 0, ["frontend"], [])]


def test_watermark_that_stays_away_too_long_refuses_what_waits_for_it():
    line = Line(patience_seconds=120)
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10), now=10)
    assert line.advance(now=129.9) == []
    assert outcome(line.advance(now=130)) == [(0, 0, [], ["inventory_behind"])]
    assert line.attribution.pending("connections", 0) is None


def test_watermark_that_stays_away_in_the_late_window_refuses_as_well():
    line = Line(patience_seconds=120)
    line.offer(connection("10.0.0.99", "10.0.0.7", seen=10), now=10)
    assert line.advance(10 + HOLD, now=20) == []
    assert line.advance(now=159.9) == []
    assert outcome(line.advance(now=160)) == [(0, 0, [], ["inventory_behind"])]


def test_oldest_give_way_when_too_many_wait():
    line = Line(held_observations=2)
    for seen in (10, 11, 12):
        line.offer(connection("10.0.0.5", "10.0.0.7", seen=seen))
    assert outcome(line.advance()) == [(0, 0, [], ["overflow"])]
    assert line.attribution.held == 2


def test_late_ones_give_way_when_too_many_wait():
    line = Line(held_observations=1)
    line.offer(connection("10.0.0.98", "10.0.0.7", seen=10), connection("10.0.0.99", "10.0.0.7", seen=10))
    assert outcome(line.advance(10 + HOLD)) == [(0, 0, [], ["overflow"])]


def test_partition_that_went_to_another_worker_is_forgotten():
    line = Line()
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10), partition=1)
    line.offer(connection("10.0.0.99", "10.0.0.7", seen=2), partition=1)
    line.offer(connection("10.0.0.5", "10.0.0.7", seen=10), partition=2)
    line.advance(10)
    line.attribution.forget("connections", 1)
    assert line.attribution.held == 1
    assert [found.origin.partition for found in line.advance(100)] == [2]


def test_worker_forgets_ended_pods_that_no_observation_on_its_way_can_mean():
    line = Line(tombstone_seconds=100)
    line.watch("DELETED", CART, 20)
    for minute in range(3):
        line.offer(connection("10.0.0.5", "10.0.0.7", seen=60 * minute), now=61 * minute)
        line.advance(60 * minute, now=61 * minute)
    assert len(line.inventory.cluster(CLUSTER).pods) == 2
    for minute in range(3, 6):
        line.offer(connection("10.0.0.5", "10.0.0.7", seen=60 * minute), now=61 * minute)
        line.advance(60 * minute, now=61 * minute)
    assert len(line.inventory.cluster(CLUSTER).pods) == 1


def test_partition_that_lags_behind_keeps_what_it_may_need():
    line = Line(tombstone_seconds=100)
    line.watch("DELETED", CART, 20)
    for minute in range(8):
        line.offer(connection("10.0.0.5", "10.0.0.7", seen=60 * minute), now=61 * minute)
        line.offer(connection("10.0.0.5", "10.0.0.7", seen=minute), now=61 * minute, partition=1)
        line.advance(60 * minute, now=61 * minute)
    assert len(line.inventory.cluster(CLUSTER).pods) == 2


def test_what_a_batch_gathered_over_seconds_waits_a_quarter_of_a_second_longer_at_most():
    line = Line()
    line.offer(*(connection("10.0.0.5", "10.0.0.7", seen=10 + tenth / 10) for tenth in range(30)))
    for quarter in range(12):
        # What was seen by a moment is decided once the watermark is the hold and a quarter of a second past it.
        decided = [index for found in line.advance(10 + HOLD + (quarter + 1) / 4) for index in found.indexes]
        assert sorted(decided) == [tenth for tenth in range(30) if quarter / 4 <= tenth / 10 < (quarter + 1) / 4]


def test_news_of_a_service_concerns_what_waits_for_its_address():
    line = Line(FRONTEND, CART)
    line.offer(connection("10.0.0.5", "10.96.5.5", seen=10))
    assert line.advance(10 + HOLD) == []
    line.watch("ADDED", service("cart", "10.96.5.5"), 16)
    line.watch("ADDED", endpoints("cart", CART), 16)
    (found,) = line.advance(17, now=5)
    assert [call.server.name for call in found.attributed] == ["cart"]


def test_news_of_a_node_concerns_what_waits_for_its_address():
    line = Line(FRONTEND, CART)
    line.offer(connection("10.96.5.5", "10.0.0.7", seen=10))
    assert line.advance(10 + HOLD) == []
    line.watch("ADDED", node("node-9", "10.96.5.5"), 16)
    assert outcome(line.advance(17, now=5)) == [(0, 0, [], ["ambiguous_host_network"])]


def test_news_of_everything_is_looked_at_once_a_second_at_most():
    line = Line(FRONTEND, CART)
    line.offer(connection("10.0.0.5", "10.96.5.5", seen=10))
    assert line.advance(10 + HOLD, now=5) == []
    line.watch("ADDED", service("other", "10.96.5.6"), 16)
    assert line.advance(now=6) == []
    line.watch("ADDED", service("cart", "10.96.5.5"), 16)
    assert line.advance(now=6.5) == []
    assert [call.server.name for call in line.advance(now=7)[0].attributed] == ["cart"]
