import msgspec

from callgraph.records import Applied, Edge, Workload
from stream_processor.edge_store import EdgeStore


def edge(name, observations=1):
    client = Workload(cluster="here", namespace="shop", kind="Deployment", name=name)
    return Edge(client=client, server=client, observations=observations)


def filled(count, most_objects):
    store = EdgeStore(most_objects=most_objects)
    for number in range(count):
        store.put(b"%d" % number, edge(f"w{number}", number))
    return store


def test_every_edge_comes_back_as_it_was_whatever_it_is_kept_as():
    store = filled(20, most_objects=3)
    assert [store.get(b"%d" % number) for number in range(20)] == [edge(f"w{number}", number) for number in range(20)]
    assert len(store) == 20


def test_no_field_of_an_edge_is_lost_in_bytes():
    whole = Edge(
        client=Workload(cluster="here", namespace="shop", kind="Deployment", name="frontend"),
        server=Workload(cluster="there", namespace="", kind="External", name="api.example"),
        server_port=443,
        network_transport="tcp",
        evidence=("dns", "syn"),
        dns_names=("api.example",),
        services=("shop/egress",),
        nodes=("node-1", "node-2"),
        first_seen=1_767_225_600_000_000_001,
        last_seen=1_767_225_600_000_000_002,
        observations=2**40,
        exemplars=("raw/3/40",),
        applied={"raw/3": Applied(floor=7, offsets={"40": "1f"})},
    )
    assert all(getattr(whole, field.name) != field.default for field in msgspec.structs.fields(Edge))
    store = EdgeStore()
    store.pack(b"whole", whole)
    assert store.get(b"whole") == whole
    assert store.get(b"whole") is not whole


def test_no_more_objects_are_kept_than_allowed():
    store = filled(20, most_objects=3)
    assert len(store._objects) == 3


def test_the_edge_used_last_stays_an_object():
    store = filled(3, most_objects=3)
    assert store.get(b"0") is store.get(b"0")
    store.put(b"3", edge("w3"))
    assert store.get(b"0") is store.get(b"0")
    assert store.get(b"1") is not store.get(b"1")


def test_a_newer_edge_replaces_the_one_in_bytes():
    store = filled(2, most_objects=1)
    store.put(b"0", edge("w0", 99))
    assert store.get(b"0").observations == 99
    assert len(store) == 2


def test_a_removed_edge_is_gone_as_object_and_as_bytes():
    store = filled(2, most_objects=1)
    store.remove(b"0")
    store.remove(b"1")
    assert (len(store), store.get(b"0"), store.get(b"1")) == (0, None, None)
