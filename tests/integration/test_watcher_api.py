"""The watcher against a fake API server: lists, watches, breaks. What it would write is kept, not sent to a broker."""

from __future__ import annotations

import time

import pytest

from callgraph.records import PodRecord, WatermarkRecord
from tests.fake_api_server import FakeApiServer
from tests.kube_objects import a_job, a_node, a_pod, a_replica_set, a_service, a_slice
from tests.watching import QUICK, wait_until, watch


@pytest.fixture
def server():
    with FakeApiServer() as server:
        yield server


def fill(server: FakeApiServer) -> None:
    pod = a_pod("a")
    server.put(pod, a_service("web"), a_slice("web-1", pod, service="web"), a_node("node-1"))
    server.put(a_replica_set("web-66b6c48dd5", deployment="web"), a_job("tick-29923177", cron_job="tick"))


def test_all_six_kinds_are_published_before_the_first_watermark(server, tmp_path):
    fill(server)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        first = next(n for n, each in enumerate(watching.writer.records) if isinstance(each, WatermarkRecord))
        assert {each.name for each in watching.writer.records[:first]} == {
            "a",
            "web",
            "web-1",
            "node-1",
            "web-66b6c48dd5",
            "tick-29923177",
        }


def test_env_args_and_foreign_annotations_are_never_published(server, tmp_path):
    fill(server)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        assert "hunter2" not in repr(watching.writer.records)


def test_a_pod_that_comes_and_goes_is_published_with_its_whole_interval(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.put(a_pod("a"))
        watching.wait_for("a")
        before = time.time_ns()
        server.remove("pods", "a", namespace="shop")
        watching.wait_for_end_of("a")
        assert before - 10**9 < watching.objects()["a"].ended_at < time.time_ns()


def test_the_watermark_goes_on_while_nothing_happens(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        watching.wait_for_watermark(after=time.time_ns())
        assert watching.watermark <= time.time_ns() - QUICK.safety_seconds * 1e9


def test_a_change_stands_before_every_watermark_that_covers_it(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        done = {}
        for n in range(20):
            server.put(a_pod(f"p{n}", f"10.0.1.{n}"))
            done[f"p{n}"] = time.time_ns()
        watching.wait_for_watermark(after=max(done.values()))
        position = {each.name: n for n, each in enumerate(watching.writer.records) if isinstance(each, PodRecord)}
        for n, each in enumerate(list(watching.writer.records)):
            if isinstance(each, WatermarkRecord):
                assert all(position[name] < n for name, at in done.items() if at <= each.at)


def test_a_watermark_waits_for_changes_that_are_read_but_not_written_and_for_those_not_even_read(tmp_path):
    count = 3000  # of which a third waits on the queue, and a third in the kernel
    with FakeApiServer(history=count) as server, watch(server, tmp_path, watch=_with(safety_seconds=1.0)) as watching:
        watching.wait_for_watermark()
        watching.writer.put_seconds = 0.001
        server.put(*[a_pod(f"p{n}", f"10.{n // 250}.{n % 250}.1") for n in range(count)])
        done_at = time.time_ns()
        watching.wait_for_watermark(after=done_at)
        records = list(watching.writer.records)
        covering = next(n for n, each in enumerate(records) if isinstance(each, WatermarkRecord) and each.at > done_at)
        assert sum(isinstance(each, PodRecord) for each in records[:covering]) == count


def test_a_watch_may_be_silent_for_longer_than_its_initial_list_might(server, tmp_path):
    with watch(server, tmp_path, watch=_with(sync_seconds=0.5)) as watching:
        watching.wait_for_watermark()
        watching.wait_for_watermark(after=time.time_ns() + 10**9)
        assert watching.log.count("watch_failed") == 0


def test_initial_objects_come_by_a_streaming_list_where_it_is_served(server, tmp_path):
    fill(server)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
    assert server.count("pods", watch=False) == 0


@pytest.mark.parametrize("refusal", ["forbidden", "failing", "ignored"])
def test_a_server_without_streaming_lists_is_read_in_pages(server, tmp_path, refusal):
    server.switches.watch_list = refusal
    server.switches.bookmark_seconds = 0.3
    server.put(*[a_pod(f"p{n}", f"10.0.1.{n}") for n in range(7)])
    with watch(server, tmp_path, watch=_with(page_size=3)) as watching:
        watching.wait_for_watermark()
        assert {f"p{n}" for n in range(7)} <= watching.objects().keys()
        server.put(a_pod("late", "10.0.2.1"))
        watching.wait_for("late")
    assert server.count("pods", watch=False) == 3


def test_pages_are_asked_for_compressed(server, tmp_path):
    server.switches.watch_list = "forbidden"
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
    lists = [asked for asked in server.asked if asked.query.get("limit")]
    assert lists
    assert all("gzip" in asked.headers["Accept-Encoding"] for asked in lists)


def test_replica_sets_and_jobs_are_asked_for_as_metadata_only(server, tmp_path):
    fill(server)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
    shapes = {asked.path.rpartition("/")[2]: asked.headers["Accept"] for asked in server.asked if asked.query}
    assert "as=PartialObjectMetadata;" in shapes["replicasets"]
    assert "as=PartialObjectMetadata;" in shapes["jobs"]
    assert shapes["pods"] == "application/json"


def test_a_cut_watch_resumes_where_it_was(server, tmp_path):
    server.put(a_pod("a"))
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.cut("pods")
        server.put(a_pod("b", "10.0.0.6"))
        watching.wait_for("b")
        watching.wait_for_watermark(after=time.time_ns())
        assert sum(each.name == "a" for each in watching.writer.records if isinstance(each, PodRecord)) == 1
        assert watching.log.count("watch_recovered") == 1


def test_while_a_watch_is_broken_no_watermark_is_published(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.switches.failures["services"] = [500] * 1000
        server.cut("services")
        wait_until(lambda: watching.log.count("watch_failed") >= 1)
        stopped = time.time_ns()
        wait_until(lambda: len(server.switches.failures["services"]) < 995)
        assert watching.watermark < stopped
        server.switches.failures.clear()
        watching.wait_for_watermark(after=time.time_ns())


def test_too_old_a_version_is_relisted_and_what_vanished_meanwhile_is_closed(server, tmp_path):
    server.put(a_pod("a"), a_pod("b", "10.0.0.6"))
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.stop()
        server.store.remove("pods", "shop", "a")
        server.store.forget_history()
        server.start()
        watching.wait_for_end_of("a")
        watching.wait_for_watermark(after=time.time_ns())
        assert watching.objects()["b"].ended_at is None


def test_the_same_name_after_a_gap_is_another_pod(server, tmp_path):
    server.put(a_pod("a"))
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.stop()
        server.store.remove("pods", "shop", "a")
        server.store.put(a_pod("a", uid="uid-of-the-second"))
        server.store.forget_history()
        server.start()
        wait_until(lambda: any(getattr(each, "uid", "") == "uid-of-the-second" for each in watching.writer.records))
        watching.wait_for_watermark(after=time.time_ns())
        ended = {each.uid: each.ended_at for each in watching.writer.records if isinstance(each, PodRecord)}
        assert ended["uid-a"] is not None
        assert ended["uid-of-the-second"] is None


def test_a_frozen_server_stops_the_watermark_though_its_connections_live(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.freeze("*")
        frozen_at = time.time_ns()
        wait_until(lambda: time.time_ns() > frozen_at + 1.5e9)
        assert watching.watermark < frozen_at + 0.5e9
        server.thaw()
        watching.wait_for_watermark(after=time.time_ns())


def test_a_frozen_watch_is_given_up_after_the_silence_and_begun_anew(server, tmp_path):
    server.switches.bookmark_seconds = 0.2
    with watch(server, tmp_path, watch=_with(silence_seconds=1.0)) as watching:
        watching.wait_for_watermark()
        server.freeze("pods")
        server.put(a_pod("a"))
        wait_until(lambda: watching.log.count("watch_failed") >= 1)
        server.thaw()
        watching.wait_for("a")
        watching.wait_for_watermark(after=time.time_ns())


def test_a_watch_from_a_version_of_the_future_is_relisted(server, tmp_path):
    server.put(a_pod("a"))
    server.switches.bookmark_seconds = 0.2
    server.switches.future_seconds = 0.1
    with watch(server, tmp_path, watch=_with(silence_seconds=1.0)) as watching:
        watching.wait_for_watermark()
        server.stop()
        server.store.revision -= 500  # etcd was restored from a backup
        server.store.forget_history()
        server.start()
        before = time.time_ns()
        watching.wait_for_watermark(after=before)
        server.put(a_pod("b", "10.0.0.6"))
        watching.wait_for("b")


def test_an_object_that_does_not_decode_is_counted_and_the_others_are_kept(server, tmp_path):
    server.put(a_pod("a"))
    bad = a_pod("bad")
    bad["status"]["podIPs"] = "not a list"
    server.put(bad)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        assert "a" in watching.objects()
        assert "bad" not in watching.objects()
        assert b'whocalls_watcher_undecodable_total{resource="pods"} 1.0' in watching.status.exposition()


def test_two_namespaces_are_watched_one_by_one_and_relisted_apart(server, tmp_path):
    server.put(a_pod("a"), a_pod("b", "10.0.0.6", namespace="pay"), a_pod("c", "10.0.0.7", namespace="other"))
    with watch(server, tmp_path, namespaces=("shop", "pay")) as watching:
        watching.wait_for("a", "b")
        watching.wait_for_watermark()
        server.compact()
        server.cut("pods")
        watching.wait_for_watermark(after=time.time_ns())
        assert "c" not in watching.objects()
        assert watching.objects()["a"].ended_at is None
        assert watching.objects()["b"].ended_at is None


def _with(**changes):
    return type(QUICK)(**{name: getattr(QUICK, name) for name in QUICK.__struct_fields__} | changes)


def test_an_object_larger_than_any_buffer_is_passed_on_without_waiting_for_the_next(server, tmp_path):
    """What ends a chunk is left in the kernel where the chunk was read exactly, and looks like the next one."""
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.put(a_pod("large", annotations={"example.org/large": "x" * 20_000}))
        watching.wait_for("large")
        watching.wait_for_watermark(after=time.time_ns())


def test_a_long_pause_ends_when_the_server_is_back_after_it_was_away(server, tmp_path):
    server.deny("pods")
    with watch(server, tmp_path, watch=_with(denied_retry_seconds=3600.0)) as watching:
        wait_until(lambda: watching.log.count("watch_failed") >= 1)
        server.grant("pods")
        server.stop()
        gone_at = time.monotonic()
        wait_until(lambda: time.monotonic() - gone_at > 2, what="twenty heartbeats without an answer")
        server.start()
        watching.wait_for_watermark()
