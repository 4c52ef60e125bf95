"""Whose an address is, and from when to when: R1 to R3. See `build`."""

from __future__ import annotations

from tests.identity_cases.build import (
    CART,
    FRONTEND_ID,
    NEW,
    OLD,
    SHOP,
    TO_CART,
    case,
    conn,
    dns,
    external,
    gone,
    relist,
    watch,
)
from tests.small_cluster import FRONTEND, NODES, Json, pod, terminated, text


def _without(obj: Json, key: str) -> Json:
    return {**obj, "status": {name: value for name, value in obj["status"].items() if name != key}}


def _init(obj: Json, started: float) -> Json:
    return {
        **obj,
        "status": {**obj["status"], "initContainerStatuses": [{"state": {"running": {"startedAt": text(started)}}}]},
    }


def _crashed(obj: Json, before: float | None) -> Json:
    status = {**obj["status"], "conditions": []}
    if before is not None:
        status["containerStatuses"] = [{**status["containerStatuses"][0], "lastState": terminated(before, before + 1)}]
    return {**obj, "status": status}


CASES = [
    case(
        "R1.1 A pod that lists no podIPs is known by its podIP.",
        [*NODES, FRONTEND, _without(CART, "podIPs")],
        [conn(10, "10.0.0.5", "10.0.1.7")],
        TO_CART,
    ),
    case(
        "R1.1 A zone is no part of an address.",
        [*NODES, FRONTEND, pod("six-0", "fd00:10::46")],
        [conn(10, "fd00:10:0::46%eth0", "10.0.0.5")],
        ("shop/StatefulSet/six", FRONTEND_ID),
    ),
    case(
        "R1.2 A pod whose address is its host's has none of its own.",
        [*SHOP, pod("agent-0", "192.168.1.10")],
        [conn(10, "192.168.1.10", "10.0.1.7")],
        refused=[(0, "client", "ambiguous_host_network")],
    ),
    case(
        "R1.2 A pod on the host's network is never found by its address.",
        [FRONTEND, pod("agent-0", "192.168.7.7", host_network=True, host="192.168.7.7")],
        [conn(10, "192.168.7.7", "10.0.0.5")],
        refused=[(0, "client", "ambiguous_host_network")],
    ),
    case(
        "R1.3 A new sandbox ends the old address.",
        [*NODES, FRONTEND, pod("moved-0", "10.0.0.80")],
        [
            conn(10, "10.0.0.80", "10.0.0.5"),
            watch(31, "MODIFIED", pod("moved-0", "10.0.0.81", start=30)),
            conn(40, "10.0.0.80", "10.0.0.5"),
            conn(41, "10.0.0.81", "10.0.0.5"),
            conn(12, "10.0.0.81", "10.0.0.5", at=42),
        ],
        ("shop/StatefulSet/moved", FRONTEND_ID),
        refused=[(2, "client", "no_owner_at_time"), (4, "client", "no_owner_at_time")],
    ),
    case(
        "R1.3 The old address may be another pod's at once.",
        [*NODES, FRONTEND, pod("moved-0", "10.0.0.80")],
        [
            watch(31, "MODIFIED", pod("moved-0", "10.0.0.81", start=30)),
            watch(32, "ADDED", pod("next-0", "10.0.0.80", start=31)),
            conn(40, "10.0.0.80", "10.0.0.5"),
            conn(41, "10.0.0.5", "10.0.0.80"),
        ],
        ("shop/StatefulSet/next", FRONTEND_ID),
        (FRONTEND_ID, "shop/StatefulSet/next"),
    ),
    case(
        "R1.4 A secondary network is not looked at.",
        [
            *NODES,
            FRONTEND,
            pod("multi-0", "10.0.0.9", annotations={"k8s.v1.cni.cncf.io/network-status": '[{"ips": ["172.31.9.9"]}]'}),
        ],
        [conn(10, "172.31.9.9", "10.0.0.5"), conn(11, "10.0.0.5", "172.31.9.9")],
        (FRONTEND_ID, external("172.31.9.9")),
        refused=[(0, "client", "external_client")],
    ),
    case(
        "R2.1 An init container counts before the pod runs.",
        [*NODES, FRONTEND],
        [
            watch(12, "MODIFIED", _init(pod("slow-0", "10.0.0.9", start=None, phase="Pending"), 8)),
            conn(9, "10.0.0.9", "10.0.0.5", at=13),
            conn(3, "10.0.0.9", "10.0.0.5", at=13),
        ],
        ("shop/StatefulSet/slow", FRONTEND_ID),
        refused=[(2, "client", "no_owner_at_time")],
    ),
    case(
        "R2.1 Without kubelet times the start time counts.",
        [*NODES, FRONTEND, pod("bare-0", "10.0.0.9", start=None)],
        [conn(10, "10.0.0.9", "10.0.0.5")],
        ("shop/StatefulSet/bare", FRONTEND_ID),
    ),
    case(
        "R2.1 A container that starts again does not move the start.",
        [*NODES, FRONTEND, _crashed(pod("crash-0", "10.0.0.9", start=-50), None)],
        [
            watch(31, "MODIFIED", _crashed(pod("crash-0", "10.0.0.9", start=30), None)),
            conn(10, "10.0.0.9", "10.0.0.5", at=40),
        ],
        ("shop/StatefulSet/crash", FRONTEND_ID),
    ),
    case(
        "R2.1 A container that crashed before we looked tells its earlier start.",
        [*NODES, FRONTEND, _crashed(pod("crash-0", "10.0.0.9", start=8), -50)],
        [conn(2, "10.0.0.9", "10.0.0.5", at=20)],
        ("shop/StatefulSet/crash", FRONTEND_ID),
    ),
    case(
        "R2.3 A failed pod without a finished container ends when the news arrives.",
        [*NODES, FRONTEND, OLD],
        [
            watch(20, "MODIFIED", pod("old-0", "10.0.0.80", start=None, phase="Failed")),
            conn(10, "10.0.0.80", "10.0.0.5", at=40),
            conn(30, "10.0.0.80", "10.0.0.5"),
        ],
        ("shop/StatefulSet/old", FRONTEND_ID),
        refused=[(2, "client", "no_owner_at_time")],
    ),
    case(
        "R2.4 A deleted pod ends with its last container, not with the news.",
        [*NODES, FRONTEND, OLD],
        [
            watch(50, "DELETED", gone(20)),
            conn(10, "10.0.0.80", "10.0.0.5", at=60),
            conn(40, "10.0.0.80", "10.0.0.5", at=60),
        ],
        ("shop/StatefulSet/old", FRONTEND_ID),
        refused=[(2, "client", "no_owner_at_time")],
    ),
    case(
        "R2.4 A deletion that comes late takes nothing from the next pod.",
        [*NODES, FRONTEND, OLD],
        [watch(26, "ADDED", NEW), watch(35, "DELETED", gone(20)), conn(40, "10.0.0.80", "10.0.0.5")],
        ("shop/StatefulSet/new", FRONTEND_ID),
    ),
    case(
        "R2.4 Of the same name, only the deleted UID ends.",
        [*NODES, FRONTEND, OLD],
        [
            watch(26, "ADDED", pod("old-0", "10.0.0.81", start=25, uid="second")),
            watch(27, "DELETED", gone(20)),
            conn(40, "10.0.0.81", "10.0.0.5"),
        ],
        ("shop/StatefulSet/old", FRONTEND_ID),
    ),
    case(
        "R2.4 An old event of a deleted pod, seen again, does not bring it back.",
        [*NODES, FRONTEND, OLD],
        [watch(21, "DELETED", gone(20)), watch(22, "MODIFIED", OLD), conn(40, "10.0.0.80", "10.0.0.5")],
        refused=[(2, "client", "no_owner_at_time")],
    ),
    case(
        "R2.5 What a relist lacks ends at the relist.",
        [*NODES, FRONTEND, OLD],
        [relist(20, FRONTEND), conn(10, "10.0.0.80", "10.0.0.5", at=60), conn(30, "10.0.0.80", "10.0.0.5", at=60)],
        ("shop/StatefulSet/old", FRONTEND_ID),
        refused=[(2, "client", "no_owner_at_time")],
    ),
    case(
        "R2.5 An empty relist ends every pod.",
        [*NODES, FRONTEND, OLD],
        [relist(20), conn(30, "10.0.0.80", "10.0.0.5", at=60)],
        refused=[(1, "client", "no_owner_at_time")],
    ),
    case(
        "R2.5 A relist of pods ends nothing else.",
        SHOP,
        [relist(20, FRONTEND, CART), dns(30, "cart.shop.svc.cluster.local", "10.96.5.5")],
        TO_CART,
    ),
    case(
        "R2.6 A newer pod with running containers cuts the older one on its node.",
        [*NODES, FRONTEND, OLD],
        [
            watch(26, "ADDED", NEW),
            conn(40, "10.0.0.80", "10.0.0.5"),
            conn(41, "10.0.0.5", "10.0.0.80"),
            conn(10, "10.0.0.80", "10.0.0.5", at=60),
        ],
        ("shop/StatefulSet/new", FRONTEND_ID),
        (FRONTEND_ID, "shop/StatefulSet/new"),
        ("shop/StatefulSet/old", FRONTEND_ID),
    ),
    case(
        "R2.6 Without evidence it cuts nothing.",
        [*NODES, FRONTEND, OLD],
        [watch(26, "ADDED", pod("new-0", "10.0.0.80", start=None)), conn(40, "10.0.0.5", "10.0.0.80")],
        refused=[(1, "server", "ambiguous_owner")],
    ),
    case(
        "R2.6 On another node it cuts one that is terminating.",
        [*NODES, FRONTEND, pod("old-0", "10.0.0.80", start=-1000, deleting=True)],
        [watch(26, "ADDED", pod("new-0", "10.0.0.80", start=25, node="node-2")), conn(40, "10.0.0.5", "10.0.0.80")],
        (FRONTEND_ID, "shop/StatefulSet/new"),
    ),
    case(
        "R2.6 On another node it does not cut one that is not.",
        [*NODES, FRONTEND, OLD],
        [
            watch(26, "ADDED", pod("new-0", "10.0.0.80", start=25, node="node-2")),
            conn(40, "10.0.0.5", "10.0.0.80"),
            conn(41, "10.0.0.80", "10.0.0.5"),
            conn(42, "10.0.0.80", "10.0.0.5", node="node-2"),
        ],
        ("shop/StatefulSet/old", FRONTEND_ID),
        ("shop/StatefulSet/new", FRONTEND_ID),
        refused=[(1, "server", "ambiguous_owner")],
    ),
    case(
        "R2 A closed interval is kept for events that come a quarter of an hour late.",
        [*NODES, FRONTEND, OLD],
        [watch(20, "DELETED", gone(20)), conn(10, "10.0.0.80", "10.0.0.5", at=920)],
        ("shop/StatefulSet/old", FRONTEND_ID),
    ),
    case(
        "R3.4 The end has its tolerance as well.",
        [*NODES, FRONTEND, OLD],
        [watch(20.5, "DELETED", gone(20)), conn(21.5, "10.0.0.80", "10.0.0.5"), conn(22.5, "10.0.0.80", "10.0.0.5")],
        ("shop/StatefulSet/old", FRONTEND_ID),
        refused=[(2, "client", "no_owner_at_time")],
    ),
    case(
        "R3.4 Between two pods that are both within reach there is no edge.",
        [*NODES, FRONTEND, OLD],
        [
            watch(20.5, "DELETED", gone(20)),
            watch(22.5, "ADDED", pod("new-0", "10.0.0.80", start=22)),
            conn(21, "10.0.0.80", "10.0.0.5"),
        ],
        refused=[(2, "client", "ambiguous_owner")],
    ),
    case(
        "R3.3 A pod that becomes known within the late window gets its event.",
        [*NODES, FRONTEND],
        [conn(10, "10.0.0.9", "10.0.0.5"), watch(36, "ADDED", pod("late-0", "10.0.0.9", start=9))],
        ("shop/StatefulSet/late", FRONTEND_ID),
    ),
    case(
        "R3.3 As a server it waits just as long.",
        [*NODES, FRONTEND],
        [conn(10, "10.0.0.5", "10.0.0.9"), watch(36, "ADDED", pod("late-0", "10.0.0.9", start=9))],
        (FRONTEND_ID, "shop/StatefulSet/late"),
    ),
    case(
        "R3.5 The node that saw it decides between two live clients.",
        [*NODES, FRONTEND, OLD, pod("twin-0", "10.0.0.80", node="node-2", start=-900)],
        [conn(10, "10.0.0.80", "10.0.0.5", node="node-2"), conn(11, "10.0.0.5", "10.0.0.80")],
        ("shop/StatefulSet/twin", FRONTEND_ID),
        refused=[(1, "server", "ambiguous_owner")],
    ),
    case(
        "R3.5 On a third node nothing decides.",
        [*NODES, FRONTEND, OLD, pod("twin-0", "10.0.0.80", node="node-2", start=-900)],
        [conn(10, "10.0.0.80", "10.0.0.5", node="node-3")],
        refused=[(0, "client", "ambiguous_owner")],
    ),
]
