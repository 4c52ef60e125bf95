"""What is sent, what is only counted, and what is forgotten."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from callgraph.records import ConnectionObservation, DnsObservation
from capture_agent.suppression import RAW_FORMS_PER_FACT, Suppressor, carry

SECOND = 1_000_000_000
WINDOW = 300 * SECOND
VETH, BRIDGE = 7, 9


def answer(
    name: str = "a.example", *, client: str = "10.0.0.1", at: int = 1, server: str = "10.96.0.10"
) -> DnsObservation:
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address=client,
        server_address=server,
        dns_question_name=name,
        dns_question_type="A",
        addresses=("10.96.0.1",),
        ttl_seconds=at % 30,
    )


def connection(*, count: int = 1, client_port: int | None = None) -> ConnectionObservation:
    return ConnectionObservation(
        observed_at=1,
        network_transport="tcp",
        client_address="10.0.0.1",
        client_port=client_port,
        server_address="10.96.0.1",
        server_port=443,
        evidence="syn",
        count=count,
    )


def make(*, entries: int = 100, names: int = 100) -> Suppressor:
    return Suppressor(window_ns=WINDOW, entries=entries, names_per_client=names)


def send(suppressor: Suppressor, *, now: int = 0) -> list[DnsObservation | ConnectionObservation]:
    """Send all that waits to a broker that takes it."""
    facts = suppressor.take(1000)
    sent = [carry(fact) for fact in facts]
    suppressor.confirm(facts, now=now)
    return sent


def test_a_new_fact_is_sent_once():
    suppressor = make()
    assert suppressor.offer(answer(), at=1) == "new"
    assert send(suppressor) == [answer()]
    assert send(suppressor) == []


def test_neither_ttl_nor_time_nor_resolver_makes_a_new_fact():
    suppressor = make()
    suppressor.offer(answer(), at=1)
    assert suppressor.offer(answer(at=2, server="10.244.0.3"), at=2) == "repeat"


def test_neither_client_port_nor_count_makes_a_new_fact():
    suppressor = make()
    suppressor.offer(connection(client_port=40000), at=1)
    assert suppressor.offer(connection(client_port=40001, count=3), at=2) == "repeat"
    assert [each.count for each in send(suppressor)] == [4]


def test_repeats_before_the_batch_go_along():
    suppressor = make()
    for at in (1, 2, 3):
        suppressor.offer(answer(at=at), at=at)
    [sent] = send(suppressor)
    assert (sent.count, sent.observed_at) == (3, 1)


def test_a_fact_seen_again_is_sent_again_at_the_end_of_its_window_with_its_latest_time():
    suppressor = make()
    suppressor.offer(answer(at=1), at=1)
    send(suppressor)
    suppressor.offer(answer(at=50), at=50)
    suppressor.offer(answer(at=70), at=70)
    suppressor.end_windows(WINDOW - 1)
    assert send(suppressor) == []
    suppressor.end_windows(WINDOW)
    [sent] = send(suppressor, now=WINDOW)
    assert (sent.count, sent.observed_at) == (2, 70)


def test_a_fact_not_seen_again_is_forgotten_with_its_bytes():
    suppressor = make()
    suppressor.offer(answer(), at=1, form=hash(b"bytes"))
    send(suppressor)
    suppressor.end_windows(WINDOW)
    assert (len(suppressor), suppressor.raw, suppressor.waiting) == (0, {}, 0)
    assert suppressor.offer(answer(), at=2) == "new"


def test_nothing_is_known_before_the_broker_has_it():
    suppressor = make()
    suppressor.offer(answer(), at=1)
    facts = suppressor.take(10)
    suppressor.end_windows(10 * WINDOW)
    suppressor.give_back(facts)
    assert send(suppressor) == [answer()]


def test_what_was_seen_while_a_batch_was_on_its_way_is_sent_later():
    suppressor = make()
    suppressor.offer(answer(at=1), at=1)
    facts = suppressor.take(10)
    carry(facts[0])
    suppressor.offer(answer(at=5), at=5)
    suppressor.confirm(facts, now=0)
    suppressor.end_all_windows()
    assert [(each.count, each.observed_at) for each in send(suppressor)] == [(1, 5)]


def test_a_packet_at_a_second_tap_does_not_count():
    suppressor = make()
    for at in (1, 2, 3):
        suppressor.offer(answer(), tap=VETH, at=at)
        suppressor.offer(answer(), tap=BRIDGE, at=at)
    assert [each.count for each in send(suppressor)] == [3]


def test_sightings_at_a_second_tap_alone_do_not_keep_a_fact():
    suppressor = make()
    suppressor.offer(answer(), tap=VETH, at=1)
    suppressor.offer(answer(), tap=BRIDGE, at=2)
    send(suppressor)
    suppressor.end_windows(WINDOW)
    assert len(suppressor) == 0


def test_a_fact_whose_tap_is_gone_goes_on_at_another():
    """The address went to a pod with another interface: what it asks must not be lost."""
    suppressor = make()
    suppressor.offer(answer(), tap=VETH, at=1)
    send(suppressor)
    suppressor.offer(answer(), tap=BRIDGE, at=20 * SECOND)
    suppressor.end_windows(WINDOW)
    assert [(each.count, each.observed_at) for each in send(suppressor)] == [(1, 20 * SECOND)]


def test_known_facts_make_room_oldest_first():
    suppressor = make(entries=2)
    for name in ("a", "b"):
        suppressor.offer(answer(name), at=1)
    send(suppressor)
    assert suppressor.offer(answer("c"), at=2) == "new"
    assert suppressor.offer(answer("b"), at=2) == "repeat"
    assert len(suppressor) == 2


def test_one_off_names_do_not_push_out_what_repeats():
    suppressor = make(entries=10)
    suppressor.offer(answer("often"), at=1, form=hash(b"often"))
    for number in range(50):
        send(suppressor)
        suppressor.offer(answer("often"), at=2)
        suppressor.offer(answer(f"once-{number}"), at=2, form=hash(b"%d" % number))
    assert hash(b"often") in suppressor.raw
    assert len(suppressor) <= 10


def test_what_the_broker_does_not_have_makes_no_room():
    suppressor = make(entries=2)
    outcomes = [suppressor.offer(answer(name), at=1) for name in ("a", "b", "c")]
    assert outcomes == ["new", "new", "overflow"]


def test_names_of_one_client_are_bounded_in_a_window():
    suppressor = make(names=2)
    outcomes = [suppressor.offer(answer(name), at=1) for name in ("a", "b", "c")]
    assert outcomes == ["new", "new", "client_overflow"]
    assert suppressor.offer(answer("c", client="10.0.0.2"), at=1) == "new"
    assert suppressor.offer(answer("d"), at=1 + WINDOW) == "new"


def test_servers_of_one_client_are_bounded_in_a_window():
    """A pod that scans ports must not push out what others do."""
    suppressor = make(names=2)
    scan = [replace(connection(), server_port=port) for port in (1, 2, 3)]
    assert [suppressor.offer(each, at=1) for each in scan] == ["new", "new", "client_overflow"]
    assert suppressor.offer(replace(scan[2], client_address="10.0.0.2"), at=1) == "new"


def test_a_clock_that_was_set_back_does_not_shut_a_client_out():
    suppressor = make(names=1)
    suppressor.offer(answer("a", at=10 * WINDOW), at=10 * WINDOW)
    assert suppressor.offer(answer("b"), at=1) == "new"


def test_byte_forms_of_a_fact_are_bounded():
    suppressor = make()
    for number in range(3 * RAW_FORMS_PER_FACT):
        suppressor.offer(answer(), at=1, form=hash(b"form %d" % number))
    assert len(suppressor.raw) == RAW_FORMS_PER_FACT


@pytest.mark.parametrize("times", [1, 3])
def test_everything_passes_where_everything_is_asked_for(times):
    suppressor = Suppressor(window_ns=WINDOW, entries=100, names_per_client=100, keeps_all=True)
    assert {suppressor.offer(answer(), at=1) for _ in range(times)} == {"new"}
    assert len(send(suppressor)) == times
