from callgraph.records import Call, CallOrigin, Workload
from stream_processor.edge_state import EdgeState
from stream_processor.fold import edge_key

SECOND = 1_000_000_000
INTERVAL = 60 * SECOND
NOW = 1_000 * SECOND


def workload(name):
    return Workload(cluster="here", namespace="shop", kind="Deployment", name=name)


def call(offset, *, server="cart", **fields):
    origin = CallOrigin(topic="raw", partition=0, offset=offset, indexes=(0,), counts=(1,), floor=0)
    return Call(
        client=workload("frontend"),
        server=workload(server),
        evidence=("dns",),
        first_seen=offset,
        last_seen=offset,
        origin=origin,
        **fields,
    )


def published(state, now):
    return [(publication.edge.server.name, publication.receipts) for publication in state.take_due(now=now)]


def state_with_cart():
    state = EdgeState(interval=INTERVAL)
    state.apply(call(1), "first", now=NOW)
    assert published(state, NOW) == [("cart", ["first"])]
    return state


def test_a_new_edge_is_published_at_once():
    state = EdgeState(interval=INTERVAL)
    assert state.apply(call(1), "first", now=NOW)
    assert published(state, NOW) == [("cart", ["first"])]
    assert published(state, NOW) == []


def test_a_later_sighting_is_published_once_in_the_interval_with_all_its_receipts():
    state = state_with_cart()
    state.apply(call(2), "second", now=NOW + SECOND)
    state.apply(call(3), "third", now=NOW + 2 * SECOND)
    assert published(state, NOW + 59 * SECOND) == []
    assert published(state, NOW + INTERVAL) == [("cart", ["second", "third"])]


def test_an_edge_that_was_quiet_for_long_is_published_at_once():
    state = state_with_cart()
    state.apply(call(2), "second", now=NOW + 2 * INTERVAL)
    assert published(state, NOW + 2 * INTERVAL) == [("cart", ["second"])]


def test_a_new_name_does_not_wait_and_takes_the_waiting_receipts_with_it():
    state = state_with_cart()
    state.apply(call(2), "second", now=NOW + SECOND)
    state.apply(call(3, dns_names=("cart",)), "third", now=NOW + 2 * SECOND)
    assert published(state, NOW + 2 * SECOND) == [("cart", ["second", "third"])]
    assert published(state, NOW + INTERVAL) == []


def test_a_replay_asks_for_nothing():
    state = state_with_cart()
    assert not state.apply(call(1), "again", now=NOW + 2 * INTERVAL)
    assert published(state, NOW + 2 * INTERVAL) == []


def test_two_calls_of_one_record_wait_once():
    state = EdgeState(interval=INTERVAL)
    assert state.apply(call(1), "first", now=NOW)
    assert not state.apply(call(2), "first", now=NOW)
    assert published(state, NOW) == [("cart", ["first"])]


def test_everything_that_waits_is_taken_at_the_end():
    state = state_with_cart()
    state.apply(call(2), "second", now=NOW + SECOND)
    state.apply(call(2, server="shipping"), "second", now=NOW + SECOND)
    taken = state.take_all(now=NOW + SECOND)
    assert sorted(publication.edge.server.name for publication in taken) == ["cart", "shipping"]
    assert published(state, NOW + 2 * INTERVAL) == []


def test_a_restored_edge_recognises_what_it_had_counted():
    state = state_with_cart()
    state.apply(call(2), "second", now=NOW)
    (publication,) = state.take_all(now=NOW)
    restored = EdgeState(interval=INTERVAL)
    restored.restore(publication.key, publication.edge, now=NOW)
    assert not restored.apply(call(2), "again", now=NOW)
    restored.apply(call(3), "third", now=NOW)
    (publication,) = restored.take_all(now=NOW)
    assert publication.edge.observations == 3


def test_a_tombstone_removes_the_edge():
    state = state_with_cart()
    state.restore(edge_key(call(1)), None, now=NOW)
    assert len(state) == 0
