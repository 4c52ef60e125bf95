"""Both stages on one thread: what `map` and `replay` are made of."""

from __future__ import annotations

import random

from callgraph.records import AddressInterval, ConnectionBatch, ConnectionObservation, PodRecord, WatermarkRecord
from stream_processor.attribution import Origin
from stream_processor.inventory import Inventory
from stream_processor.settings import AttributionSettings
from whocalls.offline import ALL_IS_KNOWN, Rebuilding, close_edges, cut_batch

SECOND = 1_000_000_000
T = 1_767_225_600 * SECOND
PODS = 4


def address(pod):
    return f"10.0.0.{pod}"


def inventory(*, watermark=ALL_IS_KNOWN):
    found = Inventory(AttributionSettings())
    for pod in range(PODS):
        found.apply(
            PodRecord(
                cluster="here",
                namespace="shop",
                name=f"pod-{pod}",
                uid=f"uid-{pod}",
                addresses=(AddressInterval(address=address(pod), from_at=T - 100 * SECOND),),
            )
        )
    found.apply(WatermarkRecord(cluster="here", at=watermark))
    return found


def batch(*seen, sequence=0):
    """A batch of (client, server, time)."""
    return ConnectionBatch(
        cluster="here",
        node="node-1",
        boot_id="boot",
        sequence=sequence,
        sent_at=max((at for _, _, at in seen), default=T),
        observations=tuple(
            ConnectionObservation(
                observed_at=at,
                network_transport="tcp",
                client_address=address(client),
                server_address=address(server),
                server_port=80,
                evidence="syn",
            )
            for client, server, at in seen
        ),
    )


def rebuilt(batches, view):
    rebuilding = Rebuilding(view, AttributionSettings())
    for offset, each in enumerate(batches):
        rebuilding.take(each, Origin("connections", 0, offset))
    rebuilding.finish()
    return rebuilding


def test_observations_are_counted_once_and_bound_the_times():
    rebuilding = rebuilt([batch((0, 1, T), (0, 1, T + 5)), batch((0, 1, T + 3))], inventory())
    (edge,) = rebuilding.edges.values()
    assert (edge.observations, edge.first_seen, edge.last_seen) == (3, T, T + 5)
    assert not rebuilding.refused


def test_what_no_watermark_vouches_for_is_refused_as_in_the_processor():
    rebuilding = rebuilt([batch((0, 1, T)), batch((2, 3, T + 60 * SECOND))], inventory(watermark=T + 30 * SECOND))
    assert [edge.client.name for edge in rebuilding.edges.values()] == ["pod-0"]
    assert rebuilding.refused == {"inventory_behind": 1}


def test_batch_whose_observations_lie_far_apart_is_counted_whole():
    """What comes from one offset is decided in several steps, and later offsets are decided in between."""
    view = inventory(watermark=T + 30 * SECOND)
    rebuilding = Rebuilding(view, AttributionSettings())
    rebuilding.take(batch((0, 1, T), (0, 1, T + 60 * SECOND)), Origin("connections", 0, 0))
    rebuilding.take(batch((0, 1, T + SECOND)), Origin("connections", 0, 1))
    view.apply(WatermarkRecord(cluster="here", at=ALL_IS_KNOWN))
    rebuilding.take(batch((0, 1, T + 2 * SECOND)), Origin("connections", 0, 2))
    rebuilding.finish()
    (edge,) = rebuilding.edges.values()
    assert edge.observations == 4


def test_an_old_capture_after_a_new_one_still_finds_pods_that_ended_long_ago():
    view = inventory()
    ended = AddressInterval(address=address(9), from_at=T - SECOND, to_at=T + 10 * SECOND)
    view.apply(
        PodRecord(
            cluster="here", namespace="shop", name="gone", uid="gone", addresses=(ended,), ended_at=T + 10 * SECOND
        )
    )
    much_later = T + 90 * 86_400 * SECOND
    order = [batch((0, 1, much_later)), batch((0, 1, much_later + 120 * SECOND)), batch((9, 1, T))]
    assert {edge.client.name for edge in rebuilt(order, view).edges.values()} == {"pod-0", "gone"}


def test_partitions_may_come_in_any_order():
    numbers = random.Random(1)
    seen = [(numbers.randrange(2), 2 + numbers.randrange(2), T + at) for at in range(200)]
    batches = [batch(*seen[at : at + 10]) for at in range(0, 200, 10)]

    def edges(order):
        rebuilding = Rebuilding(inventory(), AttributionSettings())
        for number in order:
            rebuilding.take(batches[number], Origin("connections", number, 0))
        rebuilding.finish()
        ends = {f"connections/{number}": 1 for number in range(20)}
        return close_edges((rebuilding.edges[key] for key in sorted(rebuilding.edges)), ends)

    forwards, backwards = edges(range(20)), edges(range(19, -1, -1))
    assert forwards == backwards
    assert sum(edge.observations for edge in forwards) == 200


def test_cut_keeps_what_lies_inside_the_span():
    whole = batch((0, 1, T), (0, 2, T + 1), (0, 3, T + 2))
    assert cut_batch(whole, from_at=T, to_at=None) is whole
    cut = cut_batch(whole, from_at=T + 1, to_at=T + 2)
    assert [each.observed_at for each in cut.observations] == [T + 1]
    assert cut_batch(whole, from_at=T + 3, to_at=None).observations == ()


def test_closed_edge_counts_nothing_again_that_was_read():
    rebuilding = rebuilt([batch((0, 1, T))], inventory())
    (edge,) = close_edges(rebuilding.edges.values(), {"connections/0": 7})
    assert edge.applied["connections/0"].floor == 7
    assert edge.applied["connections/0"].offsets == {}
    assert edge.exemplars == ("connections/0/0",)
