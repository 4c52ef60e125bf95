"""What a pod is called: R4 and R5. See `build`."""

from __future__ import annotations

from typing import Any

from tests.identity_cases.build import FRONTEND_ID, SHOP, case, conn, watch
from tests.small_cluster import FRONTEND, NODES, Json, controlled, owner, pod


def owned(name: str, *owners: Json, **fields: Any) -> list[Json]:
    """Return a cluster in which the pod at 10.0.0.9 has these owners."""
    return [*NODES, FRONTEND, pod(name, "10.0.0.9", owners=list(owners), **fields)]


CALL = conn(10, "10.0.0.5", "10.0.0.9")


def called(kind: str, name: str) -> tuple[str, str]:
    """Return the edge to whatever the pod at 10.0.0.9 belongs to."""
    return FRONTEND_ID, f"shop/{kind}/{name}"


WORKLOAD, SERVICE_NAME = "intents.otterize.com/workload-name", "intents.otterize.com/service-name"
RS = owner("ReplicaSet", "web-5f4d8c9b6")
HASH = {"pod-template-hash": "5f4d8c9b6"}
TICK = owner("Job", "tick-29453760")
CASES = [
    case(
        "R4.1 An owner that is no controller owns nothing.",
        owned("web-x", owner("ReplicaSet", "web-5f4d8c9b6", controller=False)),
        [CALL],
        called("Pod", "web-x"),
    ),
    case(
        "R4.1 The controller is matched by UID, not by name.",
        [
            *owned("web-x", {**RS, "uid": "another"}, labels=HASH),
            controlled("ReplicaSet", "web-5f4d8c9b6", owner("Rollout", "web")),
        ],
        [CALL],
        called("Deployment", "web"),
    ),
    case(
        "R4.2 A foreign kind that owns pods is the workload.",
        owned("kafka-1", owner("StrimziPodSet", "kafka")),
        [CALL],
        called("StrimziPodSet", "kafka"),
    ),
    case(
        "R4.2 A foreign kind that owns a ReplicaSet is the workload.",
        [*owned("web-x", RS, labels=HASH), controlled("ReplicaSet", "web-5f4d8c9b6", owner("CloneSet", "web"))],
        [CALL],
        called("CloneSet", "web"),
    ),
    case(
        "R4.3 A ReplicaSet that is not watched, without a hash, is the workload.",
        owned("web-x", owner("ReplicaSet", "web")),
        [CALL],
        called("ReplicaSet", "web"),
        forbidden=["ReplicaSet"],
    ),
    case(
        "R4.3 A hash of other characters says nothing.",
        owned("web-x", owner("ReplicaSet", "web-canary1"), labels={"pod-template-hash": "canary1"}),
        [CALL],
        called("ReplicaSet", "web-canary1"),
        forbidden=["ReplicaSet"],
    ),
    case(
        "R4.3 A hash that is not the end of the name says nothing.",
        owned("web-x", owner("ReplicaSet", "web-5f4d8c9b6"), labels={"pod-template-hash": "66b6c48dd5"}),
        [CALL],
        called("ReplicaSet", "web-5f4d8c9b6"),
        forbidden=["ReplicaSet"],
    ),
    case(
        "R4.3 A name without a hash suffix but that looks like one stays.",
        owned("web-x", owner("ReplicaSet", "web-5f4d8c9b6")),
        [CALL],
        called("ReplicaSet", "web-5f4d8c9b6"),
        forbidden=["ReplicaSet"],
    ),
    case(
        "R4.3 The hash is cut off once, whatever the name is.",
        owned("x", owner("ReplicaSet", "web-5f4d8c9b6-5f4d8c9b6"), labels=HASH),
        [CALL],
        called("Deployment", "web-5f4d8c9b6"),
        forbidden=["ReplicaSet"],
    ),
    case(
        "R4.4 A Job that is not watched is read from its minutes.",
        owned("tick-29453760-x", TICK),
        [CALL],
        called("CronJob", "tick"),
        forbidden=["Job"],
    ),
    case(
        "R4.4 Minutes of more than a week away are none.",
        owned("tick-29443560-x", owner("Job", "tick-29443560")),
        [CALL],
        called("Job", "tick-29443560"),
        forbidden=["Job"],
    ),
    case(
        "R4.4 A Job that is watched and stands alone is the workload.",
        [*owned("tick-29453760-x", TICK), controlled("Job", "tick-29453760")],
        [CALL],
        called("Job", "tick-29453760"),
    ),
    case(
        "R4.4 A manual run shows as its CronJob where Jobs are watched.",
        [
            *owned("tick-manual-x", owner("Job", "tick-manual-abc")),
            controlled("Job", "tick-manual-abc", owner("CronJob", "tick")),
        ],
        [CALL],
        called("CronJob", "tick"),
    ),
    case(
        "R4.4 A manual run shows as its Job where they are not.",
        owned("tick-manual-x", owner("Job", "tick-manual-abc")),
        [CALL],
        called("Job", "tick-manual-abc"),
        forbidden=["Job"],
    ),
    case(
        "R4.6 A mirror pod is named without its node.",
        owned("proxy-node-1", owner("Node", "node-1")),
        [CALL],
        called("Pod", "proxy"),
    ),
    case(
        "R4.6 A mirror pod on the host's network is named by its port.",
        [
            *SHOP,
            pod(
                "kube-apiserver-node-1",
                "192.168.1.10",
                owners=[owner("Node", "node-1")],
                namespace="kube-system",
                host_network=True,
                ports=[{"containerPort": 6443, "hostPort": 6443}],
            ),
        ],
        [conn(10, "10.0.0.5", "192.168.1.10", 6443)],
        (FRONTEND_ID, "kube-system/Pod/kube-apiserver"),
    ),
    case(
        "R4.7 Nothing above a StatefulSet is asked for.",
        owned("prom-0", owner("StatefulSet", "prom")),
        [CALL],
        called("StatefulSet", "prom"),
    ),
    case(
        "R4.8 A ReplicationController of OpenShift is its DeploymentConfig.",
        owned("web-3-x", owner("ReplicationController", "web-3"), labels={"deploymentconfig": "web"}),
        [CALL],
        called("DeploymentConfig", "web"),
    ),
    case(
        "R4.8 Any other ReplicationController is itself.",
        owned("web-3-x", owner("ReplicationController", "web-3")),
        [CALL],
        called("ReplicationController", "web-3"),
    ),
    case(
        "R4.9 A ReplicaSet that is gone is remembered for its pods.",
        [*owned("web-x", RS), controlled("ReplicaSet", "web-5f4d8c9b6", owner("Deployment", "web"))],
        [
            watch(20, "DELETED", pod("web-x", "10.0.0.9", owners=[RS])),
            watch(21, "DELETED", controlled("ReplicaSet", "web-5f4d8c9b6", owner("Deployment", "web"))),
            conn(10, "10.0.0.5", "10.0.0.9", at=600),
        ],
        called("Deployment", "web"),
    ),
    case(
        "R4.9 A Job that is gone is remembered for its pods.",
        [*owned("tick-x", owner("Job", "tick-abc")), controlled("Job", "tick-abc", owner("CronJob", "tick"))],
        [
            watch(20, "DELETED", controlled("Job", "tick-abc", owner("CronJob", "tick"))),
            conn(10, "10.0.0.5", "10.0.0.9", at=60),
        ],
        called("CronJob", "tick"),
    ),
    case(
        "R4.3 A ReplicaSet that comes after its pod names it all the same.",
        owned("web-x", RS),
        [watch(8, "ADDED", controlled("ReplicaSet", "web-5f4d8c9b6", owner("Deployment", "web"))), CALL],
        called("Deployment", "web"),
    ),
    case(
        "R5.1 What is no RFC 1123 name is passed over.",
        owned("db-0", owner("StatefulSet", "db"), annotations={WORKLOAD: "Not A Name"}),
        [CALL],
        called("StatefulSet", "db"),
    ),
    case(
        "R5.1 The next annotation stands in for one that is no name.",
        owned("db-0", owner("StatefulSet", "db"), annotations={WORKLOAD: "not_a_name", SERVICE_NAME: "store"}),
        [CALL],
        called("StatefulSet", "store"),
    ),
    case(
        "R5.1 The workload's name comes before the service's.",
        owned("db-0", owner("StatefulSet", "db"), annotations={WORKLOAD: "first", SERVICE_NAME: "second"}),
        [CALL],
        called("StatefulSet", "first"),
    ),
    case(
        "R5.1 An empty annotation is none.",
        owned("db-0", owner("StatefulSet", "db"), annotations={WORKLOAD: ""}),
        [CALL],
        called("StatefulSet", "db"),
    ),
    case(
        "R5.2 The configured label names only where no annotation does.",
        owned(
            "db-0",
            owner("StatefulSet", "db"),
            labels={"serving.knative.dev/service": "label"},
            annotations={WORKLOAD: "note"},
        ),
        [CALL],
        called("StatefulSet", "note"),
        overrideLabels=["serving.knative.dev/service"],
    ),
    case(
        "R5.3 An override that is taken away names no more.",
        owned("db-0", owner("StatefulSet", "db"), annotations={WORKLOAD: "note"}),
        [watch(5, "MODIFIED", pod("db-0", "10.0.0.9", owners=[owner("StatefulSet", "db")])), CALL],
        called("StatefulSet", "db"),
    ),
    case(
        "R5.3 The last value names what was seen before it, too.",
        owned("db-0", owner("StatefulSet", "db")),
        [
            watch(
                20,
                "MODIFIED",
                pod("db-0", "10.0.0.9", owners=[owner("StatefulSet", "db")], annotations={WORKLOAD: "note"}),
            ),
            conn(10, "10.0.0.5", "10.0.0.9", at=30),
        ],
        called("StatefulSet", "note"),
    ),
]
