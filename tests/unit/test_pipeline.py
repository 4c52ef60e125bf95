"""From facts to acknowledged batches: numbers, sizes, counters, and a broker that is away."""

from __future__ import annotations

import random

import pytest

from callgraph.codec import decode
from callgraph.records import BatchCounters, ConnectionObservation, DnsAnswerBatch, DnsObservation
from capture_agent.batches import MAX_BATCH_BYTES, BatchSeries, Identity, add_counters, subtract_counters
from capture_agent.observe import Refusal
from capture_agent.outlet import MAX_BATCHES_IN_FLIGHT
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.settings import AgentSettings, PublishSettings, SuppressionSettings
from tests.acknowledging import AcceptingPublisher, HoldingPublisher

IDENTITY = Identity("prod", "node-1", "b007")
SECOND = 1_000_000_000


def answer(number: int = 0, *, addresses: int = 1) -> DnsObservation:
    return DnsObservation(
        observed_at=number,
        network_transport="udp",
        client_address="10.0.0.1",
        server_address="10.96.0.10",
        dns_question_name=f"name-{number}.example",
        dns_question_type="A",
        addresses=tuple(f"10.0.{each // 256}.{each % 256}" for each in range(addresses)),
    )


def connection(number: int, *, evidence: str = "socket", count: int = 1) -> ConnectionObservation:
    return ConnectionObservation(
        observed_at=1,
        network_transport="tcp",
        client_address="10.0.0.1",
        server_address=f"10.1.0.{number}",
        server_port=80,
        evidence=evidence,
        count=count,
    )


def make(publisher: HoldingPublisher | None = None, **limits: int) -> Pipeline:
    settings = AgentSettings(
        publish=PublishSettings(batch_observations=limits.get("batch", 10)),
        suppression=SuppressionSettings(entries=limits.get("entries", 1000), window_seconds=300),
    )
    pipeline = Pipeline(settings, IDENTITY)
    pipeline.publisher = publisher
    return pipeline


def at(seconds: float) -> Moment:
    return Moment(int(seconds * SECOND), int(seconds * SECOND))


def told(publisher: HoldingPublisher, topic: str) -> BatchCounters:
    return add_counters([batch.record.counters for batch in publisher.batches if batch.topic == topic])


def test_batches_are_numbered_by_topic_and_say_who_sends():
    publisher = AcceptingPublisher()
    pipeline = make(publisher)
    for number in range(25):
        pipeline.settle("dns", answer(number), at=1)
    pipeline.settle("syn", connection(1, evidence="syn"), at=1)
    pipeline.work(at(1), flush=True)
    records = [batch.record for batch in publisher.batches]
    assert [(batch.topic, batch.record.sequence) for batch in publisher.batches] == [
        ("dns-answers", 0), ("dns-answers", 1), ("dns-answers", 2), ("connections", 0),
    ]  # fmt: skip
    assert {(record.cluster, record.node, record.boot_id, record.sent_at) for record in records} == {
        ("prod", "node-1", "b007", SECOND)
    }
    assert [len(record.observations) for record in records] == [10, 10, 5, 1]


def test_a_batch_that_is_not_full_waits_for_the_flush():
    publisher = AcceptingPublisher()
    pipeline = make(publisher)
    for number in range(12):
        pipeline.settle("dns", answer(number), at=1)
    pipeline.work(at(1), flush=False)
    assert [batch.size for batch in publisher.batches] == [10]


def test_the_value_of_a_batch_is_its_record():
    publisher = AcceptingPublisher()
    pipeline = make(publisher)
    pipeline.settle("dns", answer(), at=1)
    pipeline.work(at(1), flush=True)
    [batch] = publisher.batches
    assert decode(batch.value, DnsAnswerBatch) == batch.record


def test_no_batch_is_larger_than_a_broker_takes():
    series = BatchSeries("dns-answers", IDENTITY)
    observations = [answer(number, addresses=2000) for number in range(100)]
    batches = series.build(observations, BatchCounters(received=100), sent_at=1)
    assert len(batches) > 1
    assert max(len(batch.value) for batch in batches) <= MAX_BATCH_BYTES
    assert [each for batch in batches for each in batch.record.observations] == observations
    assert [batch.record.sequence for batch in batches] == list(range(len(batches)))
    assert sum(batch.record.counters.received for batch in batches) == 100


def test_counters_conserve_what_was_received():
    rng = random.Random(3)
    publisher = AcceptingPublisher()
    pipeline = make(publisher, entries=40)
    received = {"dns-answers": 0, "connections": 0}
    for step in range(2000):
        kind = rng.randrange(5)
        if kind == 0:
            pipeline.settle("dns", Refusal("malformed_pointer"), at=step)
        elif kind < 3:
            pipeline.settle("dns", answer(rng.randrange(80)), at=step)
        else:
            many = connection(rng.randrange(90), count=rng.randint(1, 5))
            pipeline.settle("socket", many, at=step)
            received["connections"] += many.count
        received["dns-answers"] += kind < 3
        if rng.random() < 0.05:
            pipeline.work(at(step), flush=True)
    pipeline.finish(at(3000), gives_up=lambda: False)
    for topic, count in received.items():
        counters = told(publisher, topic)
        assert counters.received == count
        assert count == counters.published + counters.suppressed + sum(counters.dropped.values())
        assert counters.published > 0


def test_counts_of_observations_add_up_to_the_sightings():
    publisher = AcceptingPublisher()
    pipeline = make(publisher)
    for step in range(500):
        pipeline.settle("dns", answer(step % 7), at=step)
        pipeline.work(at(step), flush=step % 50 == 0)
    pipeline.finish(at(501), gives_up=lambda: False)
    assert sum(each.count for batch in publisher.batches for each in batch.record.observations) == 500


def test_a_refused_batch_is_sent_again_and_its_counters_are_told_once_more():
    publisher = HoldingPublisher()
    pipeline = make(publisher)
    pipeline.settle("dns", answer(), at=1)
    pipeline.work(at(1), flush=True)
    publisher.decide(delivered=False)
    assert pipeline.counters["dns"].published == 0
    pipeline.work(at(2), flush=True)
    publisher.decide(delivered=True)
    first, second = publisher.batches
    assert first.record.observations == second.record.observations
    assert first.record.counters == second.record.counters == BatchCounters(received=1, published=1)


def test_a_broker_that_refuses_is_asked_again_at_the_next_flush_and_not_before():
    publisher = HoldingPublisher()
    pipeline = make(publisher)
    for number in range(10):
        pipeline.settle("dns", answer(number), at=1)
    for _ in range(5):
        pipeline.work(at(1), flush=False)
        publisher.decide(delivered=False)
    assert len(publisher.batches) == 1
    pipeline.work(at(2), flush=True)
    assert len(publisher.batches) == 2


def test_a_broker_that_is_away_costs_a_bounded_number_of_batches_and_facts():
    publisher = HoldingPublisher()
    pipeline = make(publisher, entries=1000)
    for number in range(5000):
        pipeline.settle("dns", answer(number), at=number)
        pipeline.work(at(number / 100), flush=number % 100 == 0)
    assert publisher.in_flight == MAX_BATCHES_IN_FLIGHT
    assert len(pipeline.suppressors["dns"]) == 1000
    assert pipeline.counters["dns"].dropped == {"overflow": 4000}


def test_nothing_is_lost_once_a_broker_that_was_away_is_back():
    publisher = HoldingPublisher()
    pipeline = make(publisher)
    for number in range(400):
        pipeline.settle("dns", answer(number), at=number)
        pipeline.work(at(number), flush=True)
    while pipeline.unfinished:
        publisher.decide(delivered=True)
        pipeline.push(at(500))
    names = {each.dns_question_name for batch in publisher.batches for each in batch.record.observations}
    assert len(names) == 400


def test_facts_wait_while_there_is_no_publisher():
    pipeline = make(None)
    pipeline.settle("dns", answer(), at=1)
    pipeline.work(at(1), flush=True)
    assert (pipeline.waiting, pipeline.in_flight, pipeline.unfinished) == (1, 0, False)


def test_a_silent_node_shows_that_it_lives():
    publisher = AcceptingPublisher()
    pipeline = make(publisher)
    for seconds in range(0, 130, 5):
        pipeline.work(at(seconds), flush=True)
    assert [batch.topic for batch in publisher.batches] == ["dns-answers", "connections"] * 2
    assert all(batch.record.observations == () for batch in publisher.batches)


@pytest.mark.parametrize("step_back", [3600, -3600])
def test_a_wall_clock_that_is_set_changes_no_window(step_back):
    publisher = AcceptingPublisher()
    pipeline = make(publisher)
    pipeline.settle("dns", answer(), at=1)
    pipeline.work(Moment(10_000 * SECOND, 0), flush=True)
    pipeline.settle("dns", answer(), at=2)
    wall = (10_000 - step_back) * SECOND
    pipeline.work(Moment(wall, 299 * SECOND), flush=True)
    assert len([batch for batch in publisher.batches if batch.size]) == 1
    pipeline.work(Moment(wall, 301 * SECOND), flush=True)
    assert len([batch for batch in publisher.batches if batch.size]) == 2


def test_giving_up_at_the_end_leaves_what_could_not_be_sent():
    publisher = HoldingPublisher()
    pipeline = make(publisher)
    pipeline.settle("dns", answer(), at=1)
    patience = iter([False, False, True])
    pipeline.finish(at(1), gives_up=lambda: next(patience, True))
    assert (pipeline.in_flight, len(publisher.batches)) == (1, 1)


def test_the_difference_of_two_totals_is_what_came_between():
    earlier = BatchCounters(received=5, published=2, suppressed=1, dropped={"overflow": 2})
    later = BatchCounters(received=9, published=3, suppressed=2, dropped={"overflow": 2, "not_for_us": 2})
    between = subtract_counters(later, earlier)
    assert between == BatchCounters(received=4, published=1, suppressed=1, dropped={"not_for_us": 2})
    assert add_counters([earlier, between]) == later
