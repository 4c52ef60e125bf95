"""From when to when a pod had its addresses."""

from __future__ import annotations

from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from tests.small_cluster import CLUSTER, at, decoded, pod, terminated, text


def follow(*events):
    """Apply (operation, object, arrival) events of one pod; return the last record."""
    projector, record = Projector(CLUSTER, AttributionSettings()), None
    for op, obj, arrived in events:
        record = projector.apply(op, decoded(obj), at(arrived)) or record
    return record


def spans(record):
    return [(each.address, each.from_at, each.to_at, each.firm) for each in record.addresses]


def test_interval_begins_with_the_sandbox():
    record = follow(("ADDED", pod("a-0", "10.0.0.1", start=7), 9))
    assert spans(record) == [("10.0.0.1", at(7), None, True)]


def test_interval_begins_with_the_first_container_where_that_is_earlier_init_containers_included():
    obj = pod("a-0", "10.0.0.1", start=7)
    obj["status"]["initContainerStatuses"] = [{"state": terminated(4, 6)}]
    assert spans(follow(("ADDED", obj, 9))) == [("10.0.0.1", at(4), None, True)]


def test_without_kubelet_times_the_interval_begins_weakly_with_the_start_time():
    obj = pod("a-0", "10.0.0.1", start=None)
    obj["status"]["startTime"] = text(3)
    assert spans(follow(("ADDED", obj, 9))) == [("10.0.0.1", at(3), None, False)]


def test_without_any_time_the_interval_begins_weakly_with_the_creation():
    assert spans(follow(("ADDED", pod("a-0", "10.0.0.1", start=None), 9))) == [("10.0.0.1", at(-200), None, False)]


def test_firm_start_replaces_a_weak_one():
    weak, firm = pod("a-0", "10.0.0.1", start=None), pod("a-0", "10.0.0.1", start=5)
    assert spans(follow(("ADDED", weak, 6), ("MODIFIED", firm, 7))) == [("10.0.0.1", at(5), None, True)]


def test_earliest_firm_start_is_kept_when_containers_restart():
    obj = pod("a-0", "10.0.0.1", start=5)
    later = pod("a-0", "10.0.0.1", start=5)
    later["status"] |= {"conditions": [], "containerStatuses": [{"state": {"running": {"startedAt": text(50)}}}]}
    assert follow(("ADDED", obj, 6), ("MODIFIED", later, 51)).addresses[0].from_at == at(5)


def test_crashing_container_of_an_old_kubelet_still_tells_when_it_ran():
    obj = pod("a-0", "10.0.0.1", start=5)
    obj["status"] |= {"conditions": [], "containerStatuses": [{"state": {}, "lastState": terminated(8, 9)}]}
    assert spans(follow(("ADDED", obj, 10))) == [("10.0.0.1", at(8), None, True)]


def test_deletion_timestamp_closes_nothing():
    record = follow(("ADDED", pod("a-0", "10.0.0.1", start=5, deleting=True), 6))
    assert record.terminating
    assert spans(record) == [("10.0.0.1", at(5), None, True)]


def test_finished_pod_ends_with_its_last_container():
    obj = pod("a-0", "10.0.0.1", start=5, phase="Succeeded", state=terminated(5, 8))
    assert spans(follow(("ADDED", obj, 20))) == [("10.0.0.1", at(5), at(8), True)]


def test_evicted_pod_without_containers_ends_when_the_news_first_arrives():
    obj = pod("a-0", "10.0.0.1", start=5, phase="Failed")
    obj["status"]["containerStatuses"] = []
    record = follow(("MODIFIED", obj, 20), ("MODIFIED", obj | {"spec": {}}, 30))
    assert record.ended_at == at(20)


def test_deleted_pod_ends_with_its_last_container_if_all_have_ended():
    gone = pod("a-0", "10.0.0.1", start=5, state=terminated(5, 18))
    assert follow(("ADDED", pod("a-0", "10.0.0.1", start=5), 6), ("DELETED", gone, 20)).ended_at == at(18)


def test_force_deleted_pod_ends_when_the_news_arrives():
    obj = pod("a-0", "10.0.0.1", start=5)
    assert spans(follow(("ADDED", obj, 6), ("DELETED", obj, 20))) == [("10.0.0.1", at(5), at(20), True)]


def test_deletion_of_a_finished_pod_does_not_move_its_end():
    done = pod("a-0", "10.0.0.1", start=5, phase="Succeeded")
    assert follow(("MODIFIED", done, 20), ("DELETED", done, 90)).ended_at == at(20)


def test_deleted_pod_never_seen_before_has_its_whole_interval():
    gone = pod("a-0", "10.0.0.1", start=5, state=terminated(5, 18))
    assert spans(follow(("DELETED", gone, 20))) == [("10.0.0.1", at(5), at(18), True)]


def test_changed_address_ends_at_the_start_of_the_new_sandbox():
    record = follow(("ADDED", pod("a-0", "10.0.0.1", start=5), 6), ("MODIFIED", pod("a-0", "10.0.0.2", start=60), 62))
    assert spans(record) == [("10.0.0.1", at(5), at(60), True), ("10.0.0.2", at(60), None, True)]


def test_changed_address_without_a_new_transition_ends_with_the_first_container_of_the_new_sandbox():
    moved = pod("a-0", "10.0.0.2", start=5, state={"running": {"startedAt": text(61)}})
    record = follow(("ADDED", pod("a-0", "10.0.0.1", start=5), 6), ("MODIFIED", moved, 62))
    assert [span[1:3] for span in spans(record)] == [(at(5), at(61)), (at(61), None)]


def test_address_that_is_not_reported_for_a_while_is_not_given_up():
    record = follow(("ADDED", pod("a-0", "10.0.0.1", start=5), 6), ("MODIFIED", pod("a-0", None, start=5), 30))
    assert spans(record) == [("10.0.0.1", at(5), None, True)]


def test_every_address_of_a_dual_stack_pod_is_indexed_in_canonical_form():
    obj = pod("a-0", "10.0.0.1", start=5)
    obj["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "FD00:10:0::46"}]
    assert [span[0] for span in spans(follow(("ADDED", obj, 6)))] == ["10.0.0.1", "fd00:10::46"]


def test_host_network_pod_has_no_address_of_its_own_but_witnesses_for_its_node():
    record = follow(("ADDED", pod("a-0", "192.168.1.10", host_network=True, host=""), 6))
    assert (record.addresses, record.host_addresses) == ((), ("192.168.1.10",))


def test_address_of_the_host_is_never_the_pods():
    assert follow(("ADDED", pod("a-0", "192.168.1.10", host="192.168.1.10"), 6)).addresses == ()


def test_end_before_the_start_makes_an_empty_interval():
    obj = pod("a-0", "10.0.0.1", start=5, phase="Failed", state=terminated(5, 3))
    assert spans(follow(("ADDED", obj, 6))) == [("10.0.0.1", at(5), at(5), True)]


def test_deleted_pod_of_which_one_container_still_runs_ends_when_the_news_arrives():
    gone = pod("a-0", "10.0.0.1", start=5, state=terminated(5, 8))
    gone["status"]["containerStatuses"].append({"state": {"running": {"startedAt": text(5)}}})
    assert follow(("DELETED", gone, 20)).ended_at == at(20)


def test_earlier_run_of_a_container_does_not_pull_back_a_known_sandbox():
    obj = pod("a-0", "10.0.0.1", start=5)
    obj["status"]["containerStatuses"][0]["lastState"] = terminated(2, 3)
    assert follow(("ADDED", obj, 6)).addresses[0].from_at == at(5)


def test_containers_of_a_former_sandbox_do_not_pull_back_the_new_one():
    moved = pod("a-0", "10.0.0.2", start=60)
    again = pod("a-0", "10.0.0.2", start=60)
    again["status"]["initContainerStatuses"] = [{"state": terminated(4, 6)}]
    record = follow(("ADDED", pod("a-0", "10.0.0.1", start=5), 6), ("MODIFIED", moved, 62), ("MODIFIED", again, 63))
    assert [span[1:3] for span in spans(record)] == [(at(5), at(60)), (at(60), None)]


def test_pod_whose_end_went_unseen_keeps_that_mark_while_nothing_new_is_told():
    projector = Projector(CLUSTER, AttributionSettings())
    projector.apply("ADDED", decoded(pod("a-0", "10.0.0.1", start=5)), at(6))
    projector.promise(at(90))
    (closed,) = projector.relist("Pod", [], at(100))
    later = projector.apply("DELETED", decoded(pod("a-0", "10.0.0.1", start=5, deleting=True)), at(120))
    assert (later.ended_after, later.ended_at) == (closed.ended_after, closed.ended_at) == (at(90), at(100))
