"""From a pod to its workload, by owner references alone."""

from __future__ import annotations

import pytest

from stream_processor.settings import AttributionSettings
from tests.small_cluster import CLUSTER, build, controlled, owner, pod

MINUTE_OF_BIRTH = 29_453_756
"""2025-12-31T23:56Z, minutes since 1970: when the small cluster's pods are made, but for seconds."""


def workload(obj, *others, **settings):
    view = build(obj, *others, settings=AttributionSettings(**settings)).cluster(CLUSTER)
    found = view.workload(view.pods.get(obj["metadata"]["uid"]))
    return found.kind, found.name


def test_replicaset_that_is_known_leads_to_its_deployment():
    rs = controlled("ReplicaSet", "cart-7fdc5fd5c", owner("Deployment", "cart"))
    assert workload(pod("p", "10.0.0.1", owners=[owner("ReplicaSet", "cart-7fdc5fd5c")]), rs) == ("Deployment", "cart")


def test_replicaset_that_is_known_and_stands_alone_is_the_workload():
    obj = pod(
        "p", "10.0.0.1", owners=[owner("ReplicaSet", "web-66b6c48dd5")], labels={"pod-template-hash": "66b6c48dd5"}
    )
    assert workload(obj, controlled("ReplicaSet", "web-66b6c48dd5")) == ("ReplicaSet", "web-66b6c48dd5")


def test_owner_is_matched_by_uid_not_by_name():
    other = controlled("ReplicaSet", "cart-1", owner("Deployment", "other"))
    obj = pod("p", "10.0.0.1", owners=[owner("ReplicaSet", "cart-1", uid="another")])
    assert workload(obj, other) == ("ReplicaSet", "cart-1")


def test_foreign_kind_owning_a_replicaset_is_the_workload():
    rs = controlled("ReplicaSet", "pay-5f4d8c9b6", owner("Rollout", "pay"))
    assert workload(pod("p", "10.0.0.1", owners=[owner("ReplicaSet", "pay-5f4d8c9b6")]), rs) == ("Rollout", "pay")


def test_foreign_kind_owning_a_pod_is_the_workload():
    assert workload(pod("p", "10.0.0.1", owners=[owner("StrimziPodSet", "kafka")])) == ("StrimziPodSet", "kafka")


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("cart-7fdc5fd5c", {"pod-template-hash": "7fdc5fd5c"}, ("Deployment", "cart")),
        ("pay-5f4d8c9b6", {"rollouts-pod-template-hash": "5f4d8c9b6"}, ("Rollout", "pay")),
        ("cart-7fdc5fd5c", {"pod-template-hash": "5f4d8c9b6"}, ("ReplicaSet", "cart-7fdc5fd5c")),
        ("cart-blue", {"pod-template-hash": "blue"}, ("ReplicaSet", "cart-blue")),
        ("cart-7fdc5fd5c", {}, ("ReplicaSet", "cart-7fdc5fd5c")),
    ],
)
def test_replicaset_that_is_not_known_is_read_from_the_template_hash(name, labels, expected):
    assert workload(pod("p", "10.0.0.1", owners=[owner("ReplicaSet", name)], labels=labels)) == expected


def test_job_that_is_known_leads_to_its_cronjob():
    job = controlled("Job", "tick-29453760", owner("CronJob", "tick"))
    assert workload(pod("p", "10.0.0.1", owners=[owner("Job", "tick-29453760")]), job) == ("CronJob", "tick")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"tick-{MINUTE_OF_BIRTH}", ("CronJob", "tick")),
        (f"tick-{MINUTE_OF_BIRTH - 7 * 24 * 60 + 10}", ("CronJob", "tick")),
        (f"tick-{MINUTE_OF_BIRTH - 7 * 24 * 60 - 10}", ("Job", f"tick-{MINUTE_OF_BIRTH - 7 * 24 * 60 - 10}")),
        ("backup-20251231", ("Job", "backup-20251231")),
        ("migrate", ("Job", "migrate")),
    ],
)
def test_job_that_is_not_known_is_read_from_its_minutes(name, expected):
    assert workload(pod("p", "10.0.0.1", owners=[owner("Job", name)])) == expected


def test_pod_without_a_controller_is_itself_the_workload():
    obj = pod("debug", "10.0.0.1", owners=[owner("Workflow", "x", controller=False)])
    assert workload(obj) == ("Pod", "debug")


def test_mirror_pod_is_named_without_its_node():
    assert workload(pod("etcd-node-1", None, owners=[owner("Node", "node-1")])) == ("Pod", "etcd")


def test_nothing_above_a_statefulset_is_climbed_to():
    assert workload(pod("p-0", "10.0.0.1", owners=[owner("StatefulSet", "prometheus-k8s")]))[0] == "StatefulSet"


def test_replication_controller_of_openshift_is_its_deployment_config():
    obj = pod("p", "10.0.0.1", owners=[owner("ReplicationController", "web-3")], labels={"deploymentconfig": "web"})
    assert workload(obj) == ("DeploymentConfig", "web")
    plain = pod("p", "10.0.0.1", owners=[owner("ReplicationController", "web-3")])
    assert workload(plain) == ("ReplicationController", "web-3")


def test_annotation_names_the_workload_and_leaves_its_kind():
    obj = pod("cart-0", "10.0.0.1", annotations={"intents.otterize.com/workload-name": "basket"})
    assert workload(obj) == ("StatefulSet", "basket")


def test_first_annotation_that_is_a_name_wins():
    annotations = {"intents.otterize.com/workload-name": "No Name!", "intents.otterize.com/service-name": "legacy"}
    assert workload(pod("cart-0", "10.0.0.1", annotations=annotations)) == ("StatefulSet", "legacy")


def test_annotations_are_a_setting():
    obj = pod("cart-0", "10.0.0.1", annotations={"example.com/name": "basket"})
    assert workload(obj) == ("StatefulSet", "cart")
    assert workload(obj, override_annotations=("example.com/name",)) == ("StatefulSet", "basket")


def test_labels_name_the_workload_only_when_configured():
    obj = pod("cart-0", "10.0.0.1", labels={"app.kubernetes.io/name": "redis"})
    assert workload(obj) == ("StatefulSet", "cart")
    assert workload(obj, override_labels=("app.kubernetes.io/name",)) == ("StatefulSet", "redis")
