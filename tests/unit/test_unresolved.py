from callgraph.records import DnsObservation, Workload
from stream_processor.attribution import Decision, Origin
from stream_processor.resolution import Attributed, Refusal
from stream_processor.unresolved import MINUTE, MOST_PER_MINUTE, UnresolvedSample

NOW = 1_000 * MINUTE
SHOP = Workload(cluster="here", namespace="shop", kind="Deployment", name="cart")


def decision(*refusals, attributed=()):
    observation = DnsObservation(
        observed_at=5,
        network_transport="udp",
        client_address="10.0.0.1",
        server_address="10.96.0.10",
        dns_question_name="cart",
        dns_question_type="A",
    )
    return Decision(Origin("raw", 0, 0), "here", "node-1", attributed, refusals, (0,), (observation,))


def refusal(reason="unknown_client_ip", address="10.0.0.1"):
    return Refusal("client", address, reason)


def test_each_reason_and_address_is_shown_once_a_minute():
    sample = UnresolvedSample()
    sample.take([decision(refusal()), decision(refusal()), decision(refusal("ambiguous_owner"))], now=NOW)
    assert [record.reason for record in sample.records()] == ["unknown_client_ip", "ambiguous_owner"]
    sample.take([decision(refusal())], now=NOW + 1)
    assert sample.records() == []
    sample.take([decision(refusal())], now=NOW + MINUTE)
    assert len(sample.records()) == 1


def test_a_minute_shows_no_more_than_its_bound():
    sample = UnresolvedSample()
    sample.take([decision(refusal(address=f"10.0.{n >> 8}.{n & 255}")) for n in range(MOST_PER_MINUTE + 50)], now=NOW)
    assert len(sample.records()) == MOST_PER_MINUTE


def test_every_refused_observation_is_counted_by_its_first_reason():
    sample = UnresolvedSample()
    decisions = [decision(refusal(), refusal("ambiguous_owner")), decision(refusal("self_call")), decision(refusal())]
    assert sample.take(decisions, now=NOW) == {"unknown_client_ip": 2, "self_call": 1}


def test_an_observation_that_made_a_call_is_not_unresolved_but_its_refusal_is_shown():
    sample = UnresolvedSample()
    call = Attributed(client=SHOP, server=SHOP, evidence="dns")
    assert not sample.take([decision(refusal(), attributed=(call,))], now=NOW)
    assert len(sample.records()) == 1


def test_a_record_tells_what_was_asked_and_where():
    sample = UnresolvedSample()
    sample.take([decision(refusal())], now=NOW)
    (record,) = sample.records()
    assert (record.cluster, record.node, record.side, record.address) == ("here", "node-1", "client", "10.0.0.1")
    assert (record.dns_question_name, record.server_port, record.observed_at) == ("cart", None, 5)
