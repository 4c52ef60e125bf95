"""Objects cut down to records, and what is known per UID."""

from __future__ import annotations

import json

import msgspec
import pytest

from callgraph.codec import encode
from callgraph.records import InventoryRecord
from stream_processor.kube_types import decode_event, decode_kind, decode_list, decode_object
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from tests.small_cluster import CLUSTER, at, controlled, decoded, endpoints, node, owner, pod, service


@pytest.fixture
def projector():
    return Projector(CLUSTER, AttributionSettings())


def test_secrets_of_a_pod_are_never_in_its_record(projector):
    obj = pod("a-0", "10.0.0.1", annotations={"token": "hunter2", "intents.otterize.com/workload-name": "cart"})
    obj["spec"]["containers"] = [{"args": ["hunter2"], "env": [{"name": "PASSWORD", "value": "hunter2"}]}]
    record = projector.apply("ADDED", decoded(obj), at(0))
    assert b"hunter2" not in encode(InventoryRecord(object=record))
    assert record.overrides == {"intents.otterize.com/workload-name": "cart"}


def test_update_that_changes_nothing_of_use_gives_no_record(projector):
    obj = pod("a-0", "10.0.0.1")
    projector.apply("ADDED", decoded(obj), at(0))
    obj["status"]["message"] = "ready"
    assert projector.apply("MODIFIED", decoded(obj), at(5)) is None


def test_raw_bytes_are_decoded_by_the_kind_that_they_name(projector):
    assert projector.apply("ADDED", json.dumps(pod("a-0", "10.0.0.1")).encode(), at(0)).name == "a-0"
    assert projector.apply("ADDED", b'{"kind": "ConfigMap", "metadata": {}}', at(0)) is None


def test_broken_bytes_raise_the_one_decoding_error(projector):
    with pytest.raises(msgspec.DecodeError):
        projector.apply("ADDED", b'{"kind": "Pod", "metadata": {"name": 5}}', at(0))


def test_relist_closes_what_is_gone(projector):
    projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1")), at(0))
    (closed,) = projector.relist("Pod", [], at(100))
    assert (closed.ended_at, closed.addresses[0].to_at) == (at(100), at(100))


def test_relist_tells_apart_two_pods_of_one_name(projector):
    projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1", uid="old")), at(0))
    records = projector.relist("Pod", [decoded(pod("a-0", "10.0.0.2", uid="new"))], at(100))
    assert [(each.uid, each.ended_at) for each in records] == [("new", None), ("old", at(100))]


def test_relist_of_a_namespace_leaves_the_others_alone(projector):
    projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1", namespace="shop")), at(0))
    projector.apply("ADDED", decoded(pod("b-0", "10.0.0.2", namespace="other")), at(0))
    assert [each.name for each in projector.relist("Pod", [], at(100), namespace="shop")] == ["a-0"]


def test_pod_that_a_relist_missed_opens_again_when_it_is_seen(projector):
    obj = decoded(pod("a-0", "10.0.0.1"))
    projector.apply("ADDED", obj, at(0))
    projector.relist("Pod", [], at(100))
    (opened,) = projector.relist("Pod", [obj], at(200))
    assert (opened.ended_at, opened.ended_after, opened.addresses[0].to_at) == (None, None, None)


def test_relist_says_until_when_the_vanished_pod_was_certainly_there(projector):
    projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1")), at(0))
    projector.promise(at(90))
    (closed,) = projector.relist("Pod", [], at(100))
    assert (closed.ended_after, closed.ended_at) == (at(90), at(100))


def test_old_event_of_a_deleted_pod_does_not_bring_it_back(projector):
    obj = decoded(pod("a-0", "10.0.0.1"))
    projector.apply("ADDED", obj, at(0))
    projector.apply("DELETED", obj, at(20))
    assert projector.apply("MODIFIED", obj, at(21)) is None
    assert projector.apply("DELETED", obj, at(22)) is None


def test_restored_record_is_closed_by_the_next_relist(projector):
    record = projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1")), at(0))
    second = Projector(CLUSTER, AttributionSettings())
    second.restore(record)
    assert [each.uid for each in second.relist("Pod", [], at(50))] == [record.uid]


def test_restored_record_is_not_published_again_when_nothing_changed(projector):
    record = projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1")), at(0))
    second = Projector(CLUSTER, AttributionSettings())
    second.restore(record)
    assert second.apply("ADDED", decoded(pod("a-0", "10.0.0.1")), at(50)) is None


def test_deleted_objects_are_named_for_forgetting_after_their_time(projector):
    obj = decoded(pod("a-0", "10.0.0.1"))
    projector.apply("DELETED", obj, at(20))
    day = 86_400
    assert projector.expire(at(20 + day)) == []
    assert projector.expire(at(21 + day)) == [("Pod", obj.metadata.uid)]


def test_only_the_controlling_owner_is_recorded(projector):
    obj = pod("w-0", "10.0.0.1", owners=[owner("Workflow", "x", controller=False), owner("StatefulSet", "w")])
    assert projector.apply("ADDED", decoded(obj), at(0)).owner.kind == "StatefulSet"


def test_static_pod_is_known_by_what_the_kubelet_calls_it(projector):
    obj = pod("etcd-node-1", None, owners=[owner("Node", "node-1")], annotations={"kubernetes.io/config.hash": "h4sh"})
    assert projector.apply("ADDED", decoded(obj), at(0)).static_uid == "h4sh"


def test_service_record_holds_all_its_addresses(projector):
    obj = service("cart", "10.96.5.5", externalIPs=["198.51.100.8"], balancer=["198.51.100.7"])
    obj["spec"]["clusterIPs"].append("fd00::5")
    record = projector.apply("ADDED", decoded(obj), at(0))
    assert record.addresses == ("10.96.5.5", "fd00::5")
    assert record.external_addresses == ("198.51.100.7", "198.51.100.8")


def test_headless_service_has_no_address(projector):
    assert projector.apply("ADDED", decoded(service("db", None)), at(0)).addresses == ()


def test_endpoint_that_left_stays_with_the_time_of_its_leaving(projector):
    first, second = pod("a-0", "10.0.0.1"), pod("a-1", "10.0.0.2")
    projector.apply("ADDED", decoded(endpoints("a", first)), at(0))
    record = projector.apply("MODIFIED", decoded(endpoints("a", second)), at(50))
    assert [(each.addresses, each.from_at, each.to_at) for each in record.endpoints] == [
        (("10.0.0.2",), at(50), None),
        (("10.0.0.1",), 0, at(50)),
    ]


def test_endpoint_that_left_long_ago_is_forgotten(projector):
    first = pod("a-0", "10.0.0.1")
    projector.apply("ADDED", decoded(endpoints("a", first)), at(0))
    projector.apply("MODIFIED", decoded(endpoints("a")), at(50))
    record = projector.apply("MODIFIED", decoded(endpoints("a", pod("a-2", "10.0.0.3"))), at(50 + 3601))
    assert [each.addresses for each in record.endpoints] == [("10.0.0.3",)]


def test_metadata_alone_is_enough_for_replicasets_and_jobs(projector):
    record = projector.apply("ADDED", decoded(controlled("Job", "tick-1", owner("CronJob", "tick"))), at(0))
    assert record.owner.name == "tick"


def test_node_record_holds_addresses_and_ranges_but_no_host_names(projector):
    record = projector.apply("ADDED", decoded(node("node-1", "192.168.1.10", "10.0.0.0/24")), at(0))
    assert (record.addresses, record.pod_cidrs) == (("192.168.1.10",), ("10.0.0.0/24",))


def test_deleted_service_is_over_when_the_news_arrives(projector):
    assert projector.apply("DELETED", decoded(service("cart", "10.96.5.5")), at(9)).to_at == at(9)


def test_nulls_of_the_api_server_are_empty_lists(projector):
    raw = b'{"kind":"EndpointSlice","metadata":{"name":"a","uid":"u","labels":null},"endpoints":null,"ports":null}'
    assert projector.apply("ADDED", raw, at(0)).endpoints == ()


def test_list_page_is_decoded_item_by_item():
    page = decode_list(b'{"metadata":{"resourceVersion":"7","continue":"next"},"items":[{"metadata":{"name":"a"}}]}')
    assert (page.metadata.resource_version, page.metadata.continue_) == ("7", "next")
    assert [decode_kind("Pod", item).metadata.name for item in page.items] == ["a"]


def test_watch_line_is_decoded_down_to_its_object():
    event = decode_event(b'{"type":"ADDED","object":{"kind":"Service","metadata":{"name":"a"}}}')
    assert (event.type, decode_object(event.object).metadata.name) == ("ADDED", "a")


def test_target_of_an_alias_is_kept_as_a_name_is_compared(projector):
    obj = service("pay", None, type="ExternalName", externalName="API.Stripe.Example.")
    assert projector.apply("ADDED", decoded(obj), at(0)).external_name == "api.stripe.example"
