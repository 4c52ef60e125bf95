"""The watcher against a cluster: the fake server, or the real one of $KUBECONFIG (`make test-cluster`)."""

from __future__ import annotations

import time

import pytest

from callgraph.records import EndpointSliceRecord, PodRecord, ServiceRecord, WatermarkRecord
from tests.kube_cluster import open_cluster
from tests.watching import Watching, wait_until


@pytest.fixture
def cluster(tmp_path):
    with open_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def watching(cluster):
    with Watching(cluster.kubeconfig) as watching:
        watching.wait_for_watermark()
        yield watching


def pods(watching, uid):
    return [each for each in list(watching.writer.records) if isinstance(each, PodRecord) and each.uid == uid]


def test_a_pod_of_the_cluster_is_published_with_its_address_and_closed_when_it_is_deleted(cluster, watching):
    uid = cluster.run_pod("a", "10.250.0.5")
    wait_until(lambda: pods(watching, uid) and pods(watching, uid)[-1].addresses)
    assert pods(watching, uid)[-1].addresses[0].address == "10.250.0.5"
    cluster.delete_pod("a")
    wait_until(lambda: pods(watching, uid)[-1].ended_at is not None)


def test_a_pod_made_again_under_its_name_is_another_pod(cluster, watching):
    first = cluster.run_pod("a", "10.250.0.5")
    cluster.delete_pod("a")
    second = cluster.run_pod("a", "10.250.0.5")
    wait_until(lambda: pods(watching, second) and pods(watching, first)[-1].ended_at is not None)
    assert first != second


def test_a_service_and_its_slice_are_published(cluster, watching):
    cluster.make_service("web")
    watching.wait_for("web", "web-1")
    kinds = {type(each): each for each in watching.objects().values() if each.name in ("web", "web-1")}
    assert kinds[ServiceRecord].addresses
    assert kinds[EndpointSliceRecord].service == "web"


def test_a_change_is_covered_by_a_watermark_within_seconds_and_stands_before_it(cluster, watching):
    uid = cluster.run_pod("a", "10.250.0.5")
    made_at = time.time_ns()
    watching.wait_for_watermark(after=made_at)
    records = list(watching.writer.records)
    last_pod = max(n for n, each in enumerate(records) if isinstance(each, PodRecord) and each.uid == uid)
    covering = next(n for n, each in enumerate(records) if isinstance(each, WatermarkRecord) and each.at > made_at)
    assert last_pod < covering


def test_what_a_pods_environment_holds_stays_in_the_cluster(cluster, watching):
    uid = cluster.run_pod("a", "10.250.0.5")
    wait_until(lambda: pods(watching, uid))
    assert "hunter2" not in repr(watching.writer.records)
