from callgraph.codec import decode
from callgraph.records import CallBatch, ConnectionObservation, DnsObservation, Workload
from stream_processor.attribution import Decision, Origin
from stream_processor.calls import MOST_RECORD_BYTES, EdgePartitions, encode_calls, gather_calls, partition_calls
from stream_processor.fold import edge_key
from stream_processor.partitioner import partition_of
from stream_processor.resolution import Attributed

ORIGIN = Origin("raw", 3, 40)


def workload(name):
    return Workload(cluster="here", namespace="shop", kind="Deployment", name=name)


FRONTEND, CART = workload("frontend"), workload("cart")


def answer(at=100, count=1):
    return DnsObservation(
        observed_at=at,
        network_transport="udp",
        client_address="10.0.0.1",
        server_address="10.96.0.10",
        dns_question_name="cart",
        dns_question_type="A",
        count=count,
    )


def syn(at=100, count=1):
    return ConnectionObservation(
        observed_at=at,
        network_transport="tcp",
        client_address="10.0.0.1",
        server_address="10.0.0.2",
        server_port=8080,
        evidence="syn",
        count=count,
    )


def decision(index, *attributed, origin=ORIGIN, observation=None):
    return Decision(origin, "here", "node-1", attributed, (), (index,), (observation or answer(),))


def by_name(name="cart", server=CART):
    return Attributed(client=FRONTEND, server=server, evidence="dns", dns_name=name)


def gather(*decisions, floor=7):
    return gather_calls(decisions, floor=lambda _: floor)


def test_one_batch_says_each_edge_once():
    first, second = answer(at=300, count=2), answer(at=200, count=5)
    (call,) = gather(decision(4, by_name("cart"), observation=first), decision(9, by_name("a"), observation=second))
    assert (call.first_seen, call.last_seen) == (200, 300)
    assert (call.origin.indexes, call.origin.counts) == ((4, 9), (2, 5))
    assert (call.evidence, call.dns_names, call.nodes) == (("dns",), ("a", "cart"), ("node-1",))


def test_batches_are_kept_apart_because_each_has_its_own_positions():
    other = Origin("raw", 3, 41)
    calls = gather(decision(0, by_name()), decision(0, by_name(), origin=other), decision(1, by_name()))
    assert [(call.origin.offset, call.origin.indexes) for call in calls] == [(40, (0, 1)), (41, (0,))]


def test_an_answer_with_two_addresses_of_one_server_counts_once():
    (call,) = gather(decision(0, by_name(), by_name()))
    assert (call.origin.indexes, call.origin.counts) == ((0,), (1,))


def test_another_port_is_another_edge():
    attributed = [
        Attributed(client=FRONTEND, server=CART, evidence="syn", server_port=port, network_transport="tcp")
        for port in (80, 81)
    ]
    calls = gather(*(decision(0, each, observation=syn()) for each in attributed))
    assert [call.server_port for call in calls] == [80, 81]


def test_the_floor_is_that_of_the_partition():
    (call,) = gather(decision(0, by_name()), floor=35)
    assert call.origin.floor == 35


def test_refused_observations_make_no_call():
    assert gather(decision(0)) == []


def test_calls_go_where_their_edge_lives():
    calls = gather(*(decision(index, by_name(server=workload(f"w{index}"))) for index in range(50)))
    found = partition_calls(calls, EdgePartitions(12))
    assert sum(map(len, found.values())) == 50
    assert all(partition_of(edge_key(call), 12) == number for number, some in found.items() for call in some)
    assert EdgePartitions(1).of(calls[0]) == 0


def test_what_is_too_large_for_one_record_becomes_several():
    calls = gather(*(decision(index, by_name(server=workload(f"w{index}" * 50))) for index in range(3000)))
    values = encode_calls(calls, "json")
    assert len(values) > 1
    assert all(len(value) <= MOST_RECORD_BYTES for value in values)
    assert [call for value in values for call in decode(value, CallBatch).calls] == calls
