"""By which name a client learnt its server's address: the latest answer before, its own, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgraph.records import ConnectionObservation, DnsObservation
from capture_agent.learned_names import LearnedNames, name_connections
from capture_agent.observe import Refusal

CLIENT, OTHER, SERVER = "10.0.0.5", "10.0.0.6", "203.0.113.9"


def answer(name, *addresses, at=10, client=CLIENT, cnames=()):
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address=client,
        server_address="10.96.0.10",
        dns_question_name=name,
        dns_question_type="A",
        addresses=addresses or (SERVER,),
        cnames=cnames,
    )


def connection(server=SERVER, *, at=20, client=CLIENT):
    return ConnectionObservation(
        observed_at=at,
        network_transport="tcp",
        client_address=client,
        server_address=server,
        server_port=443,
        evidence="syn",
    )


def named(*answers, of=None, limit=100):
    names = LearnedNames(limit)
    for each in answers:
        names.learn(each)
    return names.name(of or connection()).dns_question_name


def test_connection_bears_the_whole_answer_before_it():
    names = LearnedNames()
    names.learn(answer("api.example.org", cnames=("edge.example.net",)))
    seen = names.name(connection())
    assert (seen.dns_question_name, seen.cnames, seen.dns_observed_at) == ("api.example.org", ("edge.example.net",), 10)


def test_latest_answer_wins():
    assert named(answer("old.example.org", at=10), answer("new.example.org", at=11)) == "new.example.org"


def test_answer_that_was_observed_earlier_changes_nothing():
    assert named(answer("new.example.org", at=11), answer("old.example.org", at=10)) == "new.example.org"


def test_later_answer_does_not_name_an_earlier_connection():
    assert named(answer("api.example.org", at=21)) is None


def test_answer_of_another_client_does_not_count():
    assert named(answer("api.example.org", client=OTHER)) is None


def test_every_address_of_an_answer_is_learnt():
    assert named(answer("api.example.org", "203.0.113.1", SERVER)) == "api.example.org"


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "169.254.20.10", "::", "::1"])
def test_address_that_nobody_connects_to_over_a_network_takes_no_room(address):
    names = LearnedNames()
    names.learn(answer("blocked.example.org", address))
    assert len(names) == 0


def test_pair_that_is_in_use_is_not_forgotten():
    names = LearnedNames(10)
    names.learn(answer("api.example.org"))
    for number in range(100):
        names.learn(answer("other.example.org", f"198.51.100.{number}"))
        assert names.name(connection()).dns_question_name == "api.example.org"


def test_pair_that_is_learnt_anew_is_not_forgotten():
    names = LearnedNames(10)
    for number in range(100):
        names.learn(answer("api.example.org"))
        names.learn(answer("other.example.org", f"198.51.100.{number}"))
    assert names.name(connection()).dns_question_name == "api.example.org"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), max_size=200), st.integers(2, 20))
def test_no_more_pairs_are_kept_than_allowed(learnt, limit):
    names = LearnedNames(limit)
    for number, at in learnt:
        names.learn(answer("api.example.org", f"198.51.100.{number}", at=at))
        names.name(connection(f"198.51.100.{at}"))
        assert len(names) <= limit


steps = st.lists(
    st.tuples(st.sampled_from([CLIENT, OTHER]), st.sampled_from(["a.org", "b.org", None]), st.integers(0, 2))
)


@given(steps)
def test_names_are_those_of_the_latest_answer_before_in_the_order_of_time(taken):
    """With room for all: the plain rule, over everything that was seen."""
    seen = [
        connection(f"198.51.100.{address}", at=at, client=client)
        if name is None
        else answer(name, f"198.51.100.{address}", at=at, client=client)
        for at, (client, name, address) in enumerate(taken)
    ]
    for at, each in enumerate(name_connections(seen, LearnedNames(1000))):
        if isinstance(each, ConnectionObservation):
            before = [
                other.dns_question_name
                for other in seen[:at]
                if isinstance(other, DnsObservation)
                and (other.client_address, other.addresses) == (each.client_address, (each.server_address,))
            ]
            assert each.dns_question_name == (before[-1] if before else None)


def test_what_is_no_connection_is_passed_on_as_it_is():
    seen = [Refusal("truncated"), answer("api.example.org")]
    assert list(name_connections(seen, LearnedNames())) == seen


def test_another_name_for_the_same_address_is_noticed():
    names = LearnedNames()
    names.learn(answer("api.example.org"))
    seen = names.name(connection())
    assert names.still_names(seen, at=21)
    names.learn(answer("www.example.org", at=22))
    assert not names.still_names(seen, at=22)
    assert not names.still_names(connection(), at=22)
    assert names.still_names(connection(), at=21)
