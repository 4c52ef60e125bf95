"""Missing rights, one by one: each degrades what depends on it, is said once, and heals by itself."""

from __future__ import annotations

import time

import pytest

from stream_processor.watch import RESOURCES
from tests.fake_api_server import FakeApiServer
from tests.kube_objects import a_job, a_node, a_pod, a_replica_set, a_service, a_slice
from tests.watching import wait_until, watch

SPARED = [resource.name for resource in RESOURCES if resource.name != "pods"]
OBJECTS = {
    "nodes": a_node("n"),
    "services": a_service("n"),
    "replicasets": a_replica_set("n", deployment="web"),
    "jobs": a_job("n", cron_job="tick"),
    "endpointslices": a_slice("n", a_pod("a"), service="web"),
}


@pytest.fixture
def server():
    with FakeApiServer() as server:
        server.put(a_pod("a"), *OBJECTS.values())
        yield server


@pytest.mark.parametrize("resource", SPARED)
def test_without_one_resource_the_others_go_on_and_the_watermark_names_it(server, tmp_path, resource):
    server.deny(resource)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        watching.wait_for_watermark(after=time.time_ns())
        assert watching.denied == (resource,)
        assert "a" in watching.objects()
        assert "n" not in {
            name for name, each in watching.objects().items() if type(each).__name__.lower().startswith(resource[:-1])
        }
        assert watching.status.readiness.good


@pytest.mark.parametrize("resource", SPARED)
def test_a_right_granted_later_is_used_without_a_restart(server, tmp_path, resource):
    server.deny(resource)
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.grant(resource)
        wait_until(lambda: watching.denied == ())
        assert "n" in watching.objects()
        assert watching.log.count("watch_recovered") == 1


def test_a_refusal_is_said_once_and_counted_each_time(server, tmp_path):
    server.deny("jobs")
    with watch(server, tmp_path) as watching:
        wait_until(lambda: server.count("jobs") >= 5)
        assert watching.log.count("watch_denied") == 1
        assert b'whocalls_watcher_denied{resource="jobs"} 1.0' in watching.status.exposition()
        said = dict(watching.log.lines)["watch_denied"]
        assert 'cannot watch resource "jobs" in API group "batch"' in said["why"]


def test_a_refusal_is_retried_with_its_pause_and_never_in_a_busy_loop(server, tmp_path):
    server.deny("jobs")
    begun = time.monotonic()
    with watch(server, tmp_path) as watching:
        wait_until(lambda: server.count("jobs") >= 5)
        watching.wait_for_watermark()
    assert server.count("jobs") <= (time.monotonic() - begun) / 0.2 + 1


def test_without_pods_there_is_no_watermark_and_readiness_says_which_right_is_missing(server, tmp_path):
    server.deny("pods")
    with watch(server, tmp_path) as watching:
        wait_until(lambda: server.count("pods") >= 3)
        assert watching.watermark == 0
        assert not watching.status.readiness.good
        assert 'cannot watch resource "pods"' in watching.status.readiness.why
        server.grant("pods")
        watching.wait_for_watermark()
        assert watching.status.readiness.good


def test_only_the_namespaces_with_a_role_are_known_and_the_others_are_named(server, tmp_path):
    server.put(a_pod("b", "10.0.0.6", namespace="pay"))
    server.deny("pods", namespace="pay")
    server.deny("nodes")
    with watch(server, tmp_path, namespaces=("shop", "pay")) as watching:
        watching.wait_for_watermark()
        assert watching.denied == ("nodes", "pay/pods")
        assert "a" in watching.objects()
        assert "b" not in watching.objects()


def test_a_right_taken_away_later_keeps_what_is_known(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        server.deny("services")
        server.put(a_service("still-seen", "10.96.0.11"))
        watching.wait_for("still-seen")  # an open watch goes on, as on a real server
        server.cut("services")
        wait_until(lambda: watching.denied == ("services",))
        assert watching.objects()["n"].to_at is None


def test_a_list_that_is_refused_after_its_watch_was_is_refused_too(server, tmp_path):
    server.switches.watch_list = "forbidden"
    server.deny("jobs", "list")
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        assert watching.denied == ("jobs",)


def test_an_expired_token_is_read_again_from_where_it_came(server, tmp_path):
    server.switches.users = {"first": "watcher"}
    with watch(server, tmp_path, token="first") as watching:
        watching.wait_for_watermark()
        server.switches.users = {"second": "watcher"}
        server.cut()
        wait_until(lambda: watching.log.count("watch_failed") >= 1)
        server.write_kubeconfig(tmp_path, token="second")
        watching.wait_for_watermark(after=time.time_ns())


def test_a_kubeconfig_that_is_away_when_the_token_expires_is_waited_for(server, tmp_path):
    server.switches.users = {"first": "watcher"}
    with watch(server, tmp_path, token="first") as watching:
        watching.wait_for_watermark()
        (tmp_path / "kubeconfig.yaml").unlink()
        server.switches.users = {"second": "watcher"}
        server.cut()
        wait_until(lambda: any("cannot load" in str(fields.get("why")) for _, fields in list(watching.log.lines)))
        server.write_kubeconfig(tmp_path, token="second")
        watching.wait_for_watermark(after=time.time_ns())


def test_a_resource_that_the_server_does_not_know_is_as_good_as_denied(server, tmp_path):
    server.switches.failures["endpointslices"] = [404] * 1000
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        assert watching.denied == ("endpointslices",)
