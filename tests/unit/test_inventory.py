"""What the inventory remembers, and for how long."""

from __future__ import annotations

import msgspec

from callgraph.records import NodeRecord, Owner, ReplicaSetRecord, WatermarkRecord
from stream_processor.address_space import Ranges
from stream_processor.moment import ALWAYS, Moment
from stream_processor.settings import AttributionSettings
from tests.small_cluster import CLUSTER, at, attribute, build, connection, edges, node, owner, pod, service, terminated

NOW = Moment(at(10))
A, B = pod("a-0", "10.0.0.1"), pod("b-0", "10.0.0.2")


def view(*objects, **settings):
    return build(*objects, settings=AttributionSettings(**settings)).cluster(CLUSTER)


def record(of, name):
    return next(each for each in of.pods if each.name == name)


def test_record_of_a_uid_replaces_the_one_before_whatever_its_address():
    found = view(A)
    moved = msgspec.structs.replace(record(found, "a-0"), addresses=())
    found.apply(moved)
    assert found.pods.holdings("10.0.0.1") == []


def test_deletion_takes_nothing_from_another_pod_of_the_same_address():
    inventory = build(A, pod("new-0", "10.0.0.1", start=30), B)
    gone = record(inventory.cluster(CLUSTER), "a-0")
    ended = msgspec.structs.replace(gone.addresses[0], to_at=at(90))
    inventory.apply(msgspec.structs.replace(gone, addresses=(ended,), ended_at=at(90)))
    assert edges(attribute(inventory, connection("10.0.0.1", "10.0.0.2", seen=60)))[0].startswith(
        "shop/StatefulSet/new"
    )


def test_same_record_again_changes_nothing():
    found = view(A, service("a", "10.96.0.5"), node("node-1", "192.168.1.10"))
    version = found.version
    for each in [*found.pods, *found.services._services.values(), *found.space._nodes.values()]:
        found.apply(each)
    assert found.version == version


def test_changes_name_the_addresses_that_they_concern():
    found = view(A)
    version = found.version
    found.apply(msgspec.structs.replace(record(found, "a-0"), terminating=True))
    changes = found.changes_since(version)
    assert changes is not None
    assert "10.0.0.1" in changes
    assert found.changes_since(found.version) == frozenset()


def test_change_of_a_service_may_concern_anything():
    found = view(A)
    version = found.version
    found.apply(next(iter(view(service("a", "10.96.0.5")).services._services.values())))
    assert found.changes_since(version) is None


def test_changes_of_long_ago_may_concern_anything():
    found = view(A)
    version = found.version
    for number in range(5000):
        found.apply(msgspec.structs.replace(record(found, "a-0"), created_at=number))
    assert found.changes_since(version) is None


def test_replicaset_that_comes_late_renames_the_workload():
    found = view(pod("p", "10.0.0.1", owners=[owner("ReplicaSet", "cart-1")]))
    assert found.workload(record(found, "p")).kind == "ReplicaSet"
    version = found.version
    found.apply(_replicaset(Owner(kind="Deployment", name="cart", uid="u")))
    assert found.workload(record(found, "p")).name == "cart"
    assert found.changes_since(version) is None


def test_replicaset_without_pods_changes_no_answer():
    found = view(A)
    version = found.version
    found.apply(_replicaset(None))
    assert found.version == version


def test_ended_pods_are_forgotten_after_their_time():
    inventory = build(pod("a-0", "10.0.0.1", phase="Succeeded", state=terminated(-100, 20)), B)
    found = inventory.cluster(CLUSTER)
    inventory.expire(at(20 + 3600))
    assert len(found.pods) == 2
    inventory.expire(at(21 + 3600))
    assert [each.name for each in found.pods] == ["b-0"]
    assert found.pods.holdings("10.0.0.1") == []


def test_owner_is_remembered_as_long_as_any_of_its_pods():
    inventory = build(pod("p", "10.0.0.1", owners=[owner("ReplicaSet", "cart-1")]))
    found = inventory.cluster(CLUSTER)
    inventory.apply(_replicaset(Owner(kind="Deployment", name="cart", uid="u"), to_at=at(0)))
    inventory.expire(at(10_000))
    assert found.workload(record(found, "p")).name == "cart"
    inventory.apply(msgspec.structs.replace(record(found, "p"), ended_at=at(0)))
    inventory.expire(at(10_000))
    assert found._controllers == {}


def test_witness_for_a_node_ends_with_the_pod():
    inventory = build(pod("a-0", "10.0.0.1", phase="Succeeded", state=terminated(-100, 20), host="192.168.7.7"))
    space = inventory.cluster(CLUSTER).space
    assert space.node_names("192.168.7.7", NOW) == ["node-1"]
    inventory.expire(at(10_000))
    assert space.node_names("192.168.7.7", NOW) == []


def test_address_is_a_node_s_only_while_the_node_is_there():
    inventory = build()
    view = inventory.cluster(CLUSTER)
    view.apply(a_node(from_at=at(100), to_at=at(200)))
    names = [view.space.node_names("192.168.7.7", Moment(at(second))) for second in (90, 99, 150, 201, 210)]
    assert names == [[], ["late"], ["late"], ["late"], []]


def test_pod_does_not_witness_for_a_node_that_is_known_to_be_gone():
    inventory = build(pod("a-0", "10.0.0.1", node="late", host="192.168.7.7"))
    view = inventory.cluster(CLUSTER)
    assert view.space.node_names("192.168.7.7", Moment(at(300))) == ["late"]
    view.apply(a_node(from_at=at(100), to_at=at(200)))
    assert view.space.node_names("192.168.7.7", Moment(at(300))) == []


def test_range_of_a_node_counts_from_its_beginning():
    view = build(node("node-1", "192.168.1.10", "10.0.0.0/16")).cluster(CLUSTER)
    view.apply(a_node(from_at=at(100), to_at=at(200)))
    sides = [view.space.side("10.7.0.1", Moment(at(second))) for second in (90, 99, 300)]
    assert sides == ["perhaps", "inside", "inside"]


def test_equal_parts_of_pods_are_held_once():
    labels = {"app": "cart", "tier": "backend"}
    found = view(pod("a-0", "10.0.0.1", labels=labels), pod("a-1", "10.0.0.2", labels=labels))
    first, second = record(found, "a-0"), record(found, "a-1")
    assert first.labels is second.labels
    assert first.owner is second.owner
    assert found.workload(first) is found.workload(second)


def test_watermark_never_goes_back():
    found = view(A)
    found.apply(_watermark(100))
    found.apply(_watermark(50))
    assert found.watermark == at(100)


def test_private_addresses_are_inside_while_no_range_is_known():
    assert view(A).space.side("172.16.0.1", NOW) == "inside"
    assert view(A, pod_cidrs=("10.0.0.0/8",)).space.side("172.16.0.1", NOW) == "perhaps"
    assert view(A, pod_cidrs=("10.0.0.0/8",)).space.side("fd00::1", NOW) == "inside"
    assert view(A).space.side("203.0.113.1", NOW) == "outside"


def test_configured_ranges_of_services_are_inside():
    found = view(A, pod_cidrs=("10.0.0.0/8",), service_cidrs=("172.20.0.0/16", "fd00::/108"))
    assert (found.space.side("172.20.3.4", NOW), found.space.side("fd00::3", NOW)) == ("inside", "inside")


def test_what_is_no_network_is_passed_over():
    ranges = Ranges()
    ranges.add(["nonsense", "10.0.0.0/33", "10.1.2.3/16"])
    assert ranges.since("10.1.200.200") is not None
    assert ranges.since("10.2.0.1") is None


def test_network_counted_twice_stays_until_taken_away_twice():
    ranges = Ranges()
    ranges.add(["10.0.0.0/8", "10.0.0.0/8"])
    ranges.add(["10.0.0.0/8"], count=-1)
    assert ranges.since("10.1.1.1") is not None
    ranges.add(["10.0.0.0/8"], count=-1)
    assert ranges.since("10.1.1.1") is None
    assert ranges.first_since(4) is None


def test_answer_holds_for_the_times_that_no_comparison_tells_apart():
    moment = Moment(50)
    assert (moment.within(0, 100), moment.within(60, None), moment.within(0, 40)) == (True, False, False)
    assert (moment.since, moment.until) == (40, 60)
    assert Moment(5).until == ALWAYS


def a_node(**times):
    return NodeRecord(
        cluster=CLUSTER, name="late", uid="late", addresses=("192.168.7.7",), pod_cidrs=("10.7.0.0/16",), **times
    )


def _watermark(seconds):
    return WatermarkRecord(cluster=CLUSTER, at=at(seconds))


def _replicaset(controller, *, to_at=None):
    return ReplicaSetRecord(
        cluster=CLUSTER, namespace="shop", name="cart-1", uid="ReplicaSet-cart-1", owner=controller, to_at=to_at
    )
