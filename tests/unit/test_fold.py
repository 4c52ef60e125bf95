from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from callgraph.records import Call, CallOrigin, Edge, Workload
from stream_processor.fold import MOST_KEPT, edge_key, fold, says_more, with_exemplars


def workload(name):
    return Workload(cluster="here", namespace="shop", kind="Deployment", name=name)


def call(offset=0, *, indexes=(0,), counts=None, floor=0, partition=0, at=100, **fields):
    return Call(
        client=workload("frontend"),
        server=workload("cart"),
        server_port=8080,
        network_transport="tcp",
        evidence=fields.pop("evidence", ("dns",)),
        first_seen=at,
        last_seen=at,
        origin=CallOrigin(
            topic="raw",
            partition=partition,
            offset=offset,
            indexes=indexes,
            counts=counts or (1,) * len(indexes),
            floor=floor,
        ),
        **fields,
    )


def fold_all(calls) -> Edge:
    return reduce(fold, calls, None)


NAMES = st.lists(st.text("ab.", max_size=3), max_size=30).map(tuple)


@st.composite
def calls_without_floor(draw):
    indexes = tuple(sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=5))))
    offset = draw(st.integers(0, 5))
    return call(
        offset,
        indexes=indexes,
        # What a position counts for is a fact of the batch, the same in each replay.
        counts=tuple(offset + index + 1 for index in indexes),
        partition=draw(st.integers(0, 6)),
        at=draw(st.integers(0, 1000)),
        evidence=draw(st.sampled_from([("dns",), ("socket",), ("syn",), ("dns", "syn")])),
        dns_names=draw(NAMES),
        services=draw(NAMES),
        nodes=draw(NAMES),
    )


@st.composite
def deliveries(draw):
    """What a worker sends of one partition, floors rising behind what is delivered, then replayed from any point."""
    size = draw(st.integers(1, 8))
    held = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    order = sorted(range(size), key=lambda offset: (offset + held[offset], offset))
    sent = []
    for position, offset in enumerate(order):
        open_ones = order[position:]
        sent.append(call(offset, indexes=(1, 2), counts=(offset + 1, 7), floor=min(open_ones), at=offset))
    for start in draw(st.lists(st.integers(0, size - 1), max_size=3)):
        cut = draw(st.integers(0, size))
        sent += [replayed for replayed in sent[:size] if replayed.origin.offset >= start][:cut]
    return size, sent


@given(st.lists(calls_without_floor(), min_size=1, max_size=12), st.randoms())
def test_calls_in_any_order_make_the_same_edge(calls, random):
    shuffled = list(calls)
    random.shuffle(shuffled)
    assert fold_all(shuffled) == fold_all(calls)


@given(st.lists(calls_without_floor(), min_size=1, max_size=8))
def test_a_replay_of_everything_changes_nothing(calls):
    edge = fold_all(calls)
    assert reduce(fold, calls, edge) == edge


@given(deliveries())
def test_counts_are_exact_under_rising_floors_and_replays(delivery):
    size, sent = delivery
    assert fold_all(sent).observations == sum(offset + 1 + 7 for offset in range(size))


@given(deliveries())
def test_nothing_is_remembered_below_the_floor(delivery):
    _, sent = delivery
    applied = fold_all(sent).applied["raw/0"]
    assert all(int(offset) >= applied.floor for offset in applied.offsets)


def test_a_position_below_the_floor_is_a_replay():
    edge = fold_all([call(4), call(9, floor=9)])
    assert fold(edge, call(4, indexes=(0, 1))).observations == edge.observations


def test_the_floor_never_falls():
    edge = fold_all([call(9, floor=9), call(11, floor=5)])
    assert edge.applied["raw/0"].floor == 9


def test_only_the_new_positions_of_a_batch_are_counted():
    edge = fold_all([call(4, indexes=(0, 1), counts=(2, 3)), call(4, indexes=(1, 2), counts=(3, 5))])
    assert edge.observations == 10


def test_the_smallest_names_are_kept_whatever_came_first():
    names = [f"{number:02}.example" for number in range(40)]
    edge = fold_all([call(number, dns_names=(name,)) for number, name in enumerate(reversed(names))])
    assert edge.dns_names == tuple(names[:MOST_KEPT])


def test_exemplars_are_the_newest_batches_of_the_first_partitions():
    edge = fold_all([call(offset, partition=partition) for partition in range(6) for offset in (3, 12, 7)])
    assert with_exemplars(edge).exemplars == ("raw/0/12", "raw/1/12", "raw/2/12", "raw/3/12")


def test_the_key_tells_apart_what_is_a_different_edge():
    one = call()
    other_port = Call(
        client=one.client, server=one.server, evidence=one.evidence, first_seen=0, last_seen=0, origin=one.origin
    )
    assert edge_key(one) != edge_key(other_port)
    assert edge_key(one) == edge_key(fold(None, one))


def test_a_new_name_says_more_and_a_later_sighting_does_not():
    edge = fold_all([call(0)])
    assert says_more(edge, None)
    assert not says_more(fold(edge, call(1, at=900)), edge)
    assert says_more(fold(edge, call(1, dns_names=("cart",))), edge)
    assert says_more(fold(edge, call(1, evidence=("syn",))), edge)
