from __future__ import annotations

import msgspec

from callgraph.records import PodRecord
from stream_processor.feed import KEPT_NANOSECONDS, Changed, Feed, Listed, ListEnded, ListStarted, Scope
from stream_processor.kube_types import PodJson
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from stream_processor.watch import RESOURCES
from stream_processor.watch_messages import Change
from tests.kube_objects import BORN, SECOND, a_pod

PODS = Scope(next(each for each in RESOURCES if each.kind == "Pod"), None)
LATER = BORN + 3600 * SECOND


def decoded(name: str, **how: str) -> PodJson:
    return msgspec.convert(a_pod(name, **how), PodJson)


def list_pods(feed: Feed, *pods: PodJson, at: int, scope: Scope = PODS) -> dict[str, PodRecord]:
    messages = [ListStarted(scope), Listed(scope, list(pods), at), ListEnded(scope, at)]
    return {record.name: record for message in messages for record in feed.take(message)}


def new_feed() -> Feed:
    return Feed(Projector("east", AttributionSettings()))


def test_a_second_list_says_nothing_of_what_is_as_it_was():
    feed = new_feed()
    list_pods(feed, decoded("a"), at=LATER)
    assert list_pods(feed, decoded("a"), at=LATER + SECOND) == {}


def test_what_a_list_lacks_is_closed_when_it_ends():
    feed = new_feed()
    list_pods(feed, decoded("a"), decoded("b", address="10.0.0.6"), at=LATER)
    changed = list_pods(feed, decoded("b", address="10.0.0.6"), at=LATER + SECOND)
    assert {name: record.ended_at for name, record in changed.items()} == {"a": LATER + SECOND}


def test_a_list_that_broke_off_closes_nothing():
    feed = new_feed()
    list_pods(feed, decoded("a"), at=LATER)
    feed.take(ListStarted(PODS))
    assert list_pods(feed, decoded("a"), at=LATER + SECOND) == {}


def test_a_list_of_one_namespace_closes_nothing_in_another():
    feed = new_feed()
    shop, pay = PODS._replace(namespace="shop"), PODS._replace(namespace="pay")
    list_pods(feed, decoded("a"), at=LATER, scope=shop)
    assert list_pods(feed, at=LATER + SECOND, scope=pay) == {}


def test_a_pod_deleted_during_a_streaming_list_is_over():
    feed = new_feed()
    feed.take(ListStarted(PODS))
    feed.take(Changed(PODS, [Change("ADDED", decoded("a"), "1")], LATER))
    feed.take(Changed(PODS, [Change("DELETED", decoded("a"), "2")], LATER + SECOND))
    assert feed.take(ListEnded(PODS, LATER + 9 * SECOND)) == []


def test_what_vanished_while_the_watcher_was_away_is_closed_by_the_first_list():
    feed = new_feed()
    published = list_pods(new_feed(), decoded("a"), at=LATER)["a"]
    feed.restore(published)
    assert list_pods(feed, at=LATER + SECOND)["a"].ended_at == LATER + SECOND


def test_a_pod_is_forgotten_a_day_after_it_was_gone():
    feed = new_feed()
    list_pods(feed, decoded("a"), at=LATER)
    feed.take(Changed(PODS, [Change("DELETED", decoded("a"), "2")], LATER))
    assert feed.expire(LATER + KEPT_NANOSECONDS) == []
    assert feed.expire(LATER + KEPT_NANOSECONDS + 1) == [("Pod", "uid-a")]
    assert feed.expire(LATER + 2 * KEPT_NANOSECONDS) == []


def test_a_pod_that_was_over_before_a_restart_is_forgotten_too():
    feed = new_feed()
    before = new_feed()
    list_pods(before, decoded("a"), at=LATER)
    feed.restore(list_pods(before, at=LATER)["a"])
    list_pods(feed, at=LATER + SECOND)
    assert feed.expire(LATER + KEPT_NANOSECONDS + 1) == [("Pod", "uid-a")]
    assert feed.counts().get("Pod", 0) == 0


def test_a_completed_pod_is_kept_for_as_long_as_it_is_listed():
    feed = new_feed()
    completed = a_pod("a")
    completed["status"]["phase"] = "Succeeded"
    pod = msgspec.convert(completed, PodJson)
    feed.restore(list_pods(new_feed(), pod, at=LATER)["a"])
    list_pods(feed, pod, at=LATER + SECOND)
    assert feed.expire(LATER + 2 * KEPT_NANOSECONDS) == []


def test_an_end_that_nobody_saw_lies_after_the_last_watermark():
    feed = new_feed()
    list_pods(feed, decoded("a"), at=LATER)
    feed.promise(LATER + 5 * SECOND)
    closed = list_pods(feed, at=LATER + 60 * SECOND)["a"]
    assert (closed.ended_after, closed.ended_at) == (LATER + 5 * SECOND, LATER + 60 * SECOND)


def test_watermarks_promise_nothing_of_what_was_not_read():
    feed = new_feed()
    list_pods(feed, decoded("a"), at=LATER)
    feed.promise(LATER + 5 * SECOND)
    for seconds in (6, 7):
        feed.promise(LATER + seconds * SECOND, except_for=[PODS])
    assert list_pods(feed, at=LATER + 60 * SECOND)["a"].ended_after == LATER + 5 * SECOND
