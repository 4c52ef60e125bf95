"""Both stages without Kafka: an outbox that holds what it is given until the test delivers it."""

from types import SimpleNamespace

import msgspec
import pytest

from callgraph.codec import decode, encode
from callgraph.records import (
    AddressInterval,
    CallBatch,
    ConnectionBatch,
    ConnectionObservation,
    Edge,
    PodRecord,
    WatermarkRecord,
)
from stream_processor.attribution import Attribution
from stream_processor.counts import Counts
from stream_processor.fold import edge_key
from stream_processor.folding import Folding
from stream_processor.inventory import Inventory
from stream_processor.resolving import CallsTopic, Resolving
from stream_processor.settings import AttributionSettings

SECOND = 1_000_000_000
SEEN_AT = 1_000 * SECOND
LATER = 9_000 * SECOND


class HeldOutbox:
    """Holds records until `deliver`."""

    def __init__(self):
        self.held = []

    def send(self, topic, record, *, then, partition=-1, **_):
        self.held.append((topic, partition, encode(record), then))

    def send_value(self, topic, value, *, partition, then, **_):
        self.held.append((topic, partition, value, then))

    def deliver(self):
        delivered, self.held = self.held, []
        for _, _, _, then in delivered:
            then()
        return [value for _, _, value, _ in delivered]


class Bench:
    """Two stages over one outbox, and what they let go of."""

    def __init__(self, *, watermark=LATER, interval=60 * SECOND):
        self.outbox = HeldOutbox()
        self.acknowledged = []
        self.rejected = []
        self.inventory = Inventory(AttributionSettings())
        for pod in range(4):
            self.inventory.apply(
                PodRecord(
                    cluster="here",
                    namespace="shop",
                    name=f"pod-{pod}",
                    uid=f"uid-{pod}",
                    addresses=(AddressInterval(address=f"10.0.0.{pod}", from_at=0),),
                )
            )
        self.move_watermark(watermark)
        rim = {
            "outbox": self.outbox,
            "counts": Counts(),
            "acknowledge": lambda messages: self.acknowledged.extend(message.offset for message in messages),
            "reject": self._reject,
        }
        calls = CallsTopic("calls", 4, "json")
        self.resolving = Resolving(Attribution(self.inventory, AttributionSettings()), calls=calls, **rim)
        self.folding = Folding(interval=interval, topic="call-graph", **rim)

    def move_watermark(self, at):
        self.inventory.apply(WatermarkRecord(cluster="here", at=at))

    def _reject(self, error, record, then):
        self.rejected.append((error.reason, record.offset, then))


def message(offset, value, topic="connections"):
    return SimpleNamespace(topic=topic, partition=0, offset=offset, key=b"key", value=value)


def batch(*servers, at=SEEN_AT):
    observations = tuple(
        ConnectionObservation(
            observed_at=at,
            network_transport="tcp",
            client_address="10.0.0.0",
            server_address=f"10.0.0.{server}",
            server_port=80,
            evidence="syn",
        )
        for server in servers
    )
    return encode(
        ConnectionBatch(cluster="here", node="n", boot_id="b", sequence=0, sent_at=at, observations=observations)
    )


@pytest.fixture
def bench():
    return Bench()


def calls_of(values):
    return [call for value in values for call in decode(value, CallBatch).calls]


def test_a_batch_is_acknowledged_when_its_calls_have_arrived(bench):
    bench.resolving.take(message(5, batch(1, 2)), now=0)
    bench.resolving.settle(now=0)
    assert bench.acknowledged == []
    assert {call.server.name for call in calls_of(bench.outbox.deliver())} == {"pod-1", "pod-2"}
    assert bench.acknowledged == [5]


def test_an_empty_batch_is_done_at_once(bench):
    bench.resolving.take(message(5, batch()), now=0)
    assert bench.acknowledged == [5]


def test_a_batch_that_comes_to_nothing_is_acknowledged_without_sending(bench):
    bench.resolving.take(message(5, batch(99)), now=0)
    bench.resolving.settle(now=0)
    assert bench.outbox.held == []
    bench.move_watermark(LATER * 2)
    bench.resolving.settle(now=0)
    assert bench.acknowledged == [5]


def test_a_batch_of_which_a_part_is_held_is_not_acknowledged():
    bench = Bench(watermark=SEEN_AT)
    early, late = (
        msgspec.json.decode(batch(1, at=at), type=ConnectionBatch) for at in (SEEN_AT - 100 * SECOND, SEEN_AT)
    )
    both = msgspec.structs.replace(early, observations=early.observations + late.observations)
    bench.resolving.take(message(5, encode(both)), now=0)
    bench.resolving.settle(now=0)
    assert [call.origin.indexes for call in calls_of(bench.outbox.deliver())] == [(0,)]
    assert bench.acknowledged == []
    bench.move_watermark(LATER)
    bench.resolving.settle(now=0)
    assert [call.origin.indexes for call in calls_of(bench.outbox.deliver())] == [(1,)]
    assert bench.acknowledged == [5]


def test_a_batch_behind_one_that_is_held_is_sent_but_not_acknowledged():
    bench = Bench(watermark=SEEN_AT)
    bench.resolving.take(message(5, batch(1)), now=0)
    bench.resolving.take(message(6, batch(2, at=SEEN_AT - 100 * SECOND)), now=0)
    bench.resolving.settle(now=0)
    (call,) = calls_of(bench.outbox.deliver())
    assert (call.origin.offset, call.origin.floor) == (6, 5)
    assert bench.acknowledged == []
    bench.move_watermark(LATER)
    bench.resolving.settle(now=0)
    bench.outbox.deliver()
    assert bench.acknowledged == [5, 6]


def test_the_floor_rises_only_behind_what_has_arrived(bench):
    bench.resolving.take(message(5, batch(1)), now=0)
    bench.resolving.settle(now=0)
    bench.resolving.take(message(6, batch(1)), now=0)
    bench.resolving.settle(now=0)
    assert [call.origin.floor for call in calls_of(bench.outbox.deliver())] == [5, 5]
    bench.resolving.take(message(7, batch(1)), now=0)
    bench.resolving.settle(now=0)
    assert [call.origin.floor for call in calls_of(bench.outbox.deliver())] == [7]


def test_a_batch_that_does_not_decode_is_acknowledged_with_its_dead_letter(bench):
    bench.resolving.take(message(5, b"{"), now=0)
    ((reason, offset, arrived),) = bench.rejected
    assert (reason, offset, bench.acknowledged) == ("malformed", 5, [])
    arrived()
    assert bench.acknowledged == [5]


def test_a_batch_delivered_twice_is_offered_once(bench):
    for _ in range(2):
        bench.resolving.take(message(5, batch(1)), now=0)
    bench.resolving.settle(now=0)
    assert len(calls_of(bench.outbox.deliver())) == 1


def some_calls(*servers, offset=5):
    source = Bench()
    source.resolving.take(message(offset, batch(*servers)), now=0)
    source.resolving.settle(now=0)
    return encode(CallBatch(calls=tuple(calls_of(source.outbox.deliver()))))


def test_calls_are_acknowledged_when_their_edges_are_published(bench):
    bench.folding.take(message(8, some_calls(1, 2), topic="calls"), now=LATER)
    assert bench.acknowledged == []
    assert {decode(value, Edge).server.name for value in bench.outbox.deliver()} == {"pod-1", "pod-2"}
    assert bench.acknowledged == [8]


def test_calls_that_only_move_last_seen_wait_for_the_next_publication(bench):
    bench.folding.take(message(8, some_calls(1), topic="calls"), now=LATER)
    bench.outbox.deliver()
    bench.folding.take(message(9, some_calls(1, offset=6), topic="calls"), now=LATER + SECOND)
    bench.folding.publish_due(now=LATER + 2 * SECOND)
    assert bench.outbox.held == []
    bench.folding.publish_due(now=LATER + 60 * SECOND)
    (value,) = bench.outbox.deliver()
    assert decode(value, Edge).observations == 2
    assert bench.acknowledged == [8, 9]


def test_replayed_calls_are_acknowledged_without_publishing_anything(bench):
    value = some_calls(1)
    bench.folding.take(message(8, value, topic="calls"), now=LATER)
    bench.outbox.deliver()
    bench.folding.take(message(9, value, topic="calls"), now=LATER)
    assert bench.outbox.held == []
    assert bench.acknowledged == [8, 9]


def test_what_waits_is_published_before_the_partitions_are_given_up(bench):
    bench.folding.take(message(8, some_calls(1), topic="calls"), now=LATER)
    bench.outbox.deliver()
    bench.folding.take(message(9, some_calls(1, offset=6), topic="calls"), now=LATER + SECOND)
    bench.folding.publish_all(now=LATER + SECOND)
    bench.outbox.deliver()
    assert bench.acknowledged == [8, 9]


def test_a_restored_edge_goes_on_counting_where_it_was(bench):
    bench.folding.take(message(8, some_calls(1), topic="calls"), now=LATER)
    (edge,) = bench.outbox.deliver()
    successor = Bench()
    key = edge_key(decode(edge, Edge))
    successor.folding.restore(
        [SimpleNamespace(key=key, value=edge), SimpleNamespace(key=b"gone", value=None)], now=LATER
    )
    successor.folding.take(message(9, some_calls(1, offset=6), topic="calls"), now=LATER + 200 * SECOND)
    (value,) = successor.outbox.deliver()
    assert decode(value, Edge).observations == 2


def test_a_restored_record_that_does_not_decode_is_rejected_and_the_rest_restored(bench):
    bench.folding.restore([SimpleNamespace(key=b"k", value=b"{", offset=3)], now=LATER)
    assert [reason for reason, _, _ in bench.rejected] == ["malformed"]


def test_calls_that_do_not_decode_are_acknowledged_with_their_dead_letter(bench):
    bench.folding.take(message(8, b"rubbish", topic="calls"), now=LATER)
    ((_, _, arrived),) = bench.rejected
    assert bench.acknowledged == []
    arrived()
    assert bench.acknowledged == [8]
