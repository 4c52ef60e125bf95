"""The scenarios that run side by side: what happens, and who really calls whom. Pure, data alone.

A truth names the evidence that a call can leave, and the port that the server listens on. Where whocalls is blind by
its nature, the scenario names the words of `docs/concepts.md` that say so, and its truth is what is seen all the same.
"""

from __future__ import annotations

from tests.cluster.fault_scenarios import FAULTS
from tests.cluster.steps import (
    CLIENT,
    ON_A,
    ON_B,
    ON_C,
    SEEN,
    SERVER,
    Blocked,
    Call,
    Fault,
    Finish,
    Pause,
    Scenario,
    Start,
    Stop,
)
from tests.cluster.world import (
    NODE_LOCAL_RESOLVER,
    OUTSIDE_NAME,
    OUTSIDE_UNNAMED,
    RESOLVER6,
    Pod,
    Workload,
)

SHOP = Scenario(
    "shop",
    "five workloads of three kinds on three nodes",
    workloads=(
        Workload("loadgenerator"),
        Workload("frontend", port=8080, service="cluster"),
        Workload("checkout", port=5050, service="cluster"),
        Workload("redis", "StatefulSet", port=6379, service="headless"),
        Workload("agent", "DaemonSet"),
    ),
    pods=(
        Pod("load-1", "loadgenerator", ON_A, 0),
        Pod("frontend-1", "frontend", ON_A, 1),
        Pod("frontend-2", "frontend", ON_B, 0),
        Pod("checkout-1", "checkout", ON_C, 0),
        Pod("redis-0", "redis", ON_B, 1),
        Pod("agent-c", "agent", ON_C, 1),
    ),
    steps=(
        Call("load-1", "frontend"),
        Call("frontend-1", "checkout.shop"),
        Call("frontend-2", "checkout.shop.svc.cluster.local."),
        Call("checkout-1", "redis", 6379),
        Call("agent-c", "frontend"),
    ),
    truth={
        "loadgenerator": {"shop/frontend": SEEN},
        "frontend": {"shop/checkout": "dns syn 5050/TCP"},
        "checkout": {"shop/redis": "dns syn 6379/TCP"},
        "agent": {"shop/frontend": SEEN},
    },
)

OLDER = Scenario(
    "older",
    "connections older than the agents",
    workloads=(CLIENT, SERVER),
    pods=(Pod("client-1", "client", ON_A, 0), Pod("server-1", "server", ON_B, 0)),
    before=(Call("client-1", "server", keep=True),),
    steps=(),
    truth={"client": {"older/server": "socket 8080/TCP"}},
)

ROLLOUT = Scenario(
    "rollout",
    "a rolling update of client and server while calls go on",
    workloads=(CLIENT, SERVER),
    pods=(
        Pod("client-1", "client", ON_A, 0),
        Pod("client-2", "client", ON_B, 0, revision="2"),
        Pod("server-1", "server", ON_B, 1),
        Pod("server-2", "server", ON_A, 1, revision="2"),
    ),
    started=("client-1", "server-1"),
    steps=(
        Call("client-1", "server"),
        Start("server-2"),
        Call("client-1", "server"),
        Stop("server-1"),
        Call("client-1", "server"),
        Start("client-2"),
        Call("client-2", "server"),
        Stop("client-1"),
        Call("client-2", "server"),
    ),
    truth={"client": {"rollout/server": SEEN}},
)

REUSE = Scenario(
    "reuse",
    "a pod's address is given to a pod of another workload within a second",
    workloads=(Workload("early"), Workload("late"), Workload("one", port=8080, service="cluster"), SERVER),
    pods=(
        Pod("early-1", "early", ON_A, 0),
        Pod("late-1", "late", ON_A, 0),
        Pod("one-1", "one", ON_B, 0),
        Pod("server-1", "server", ON_B, 1),
    ),
    started=("early-1", "one-1", "server-1"),
    steps=(
        Pause(4),
        Call("early-1", "one"),
        Pause(4),
        Stop("early-1"),
        Start("late-1"),
        Call("late-1", "server"),
        Pause(4),
        Call("late-1", "server"),
    ),
    truth={"early": {"reuse/one": SEEN}, "late": {"reuse/server": SEEN}},
)

CRON = Scenario(
    "cron",
    "CronJob pods that live for two seconds",
    workloads=(Workload("report", "CronJob"), SERVER),
    pods=(
        Pod("report-1", "report", ON_A, 0, revision="1"),
        Pod("report-2", "report", ON_B, 0, revision="2"),
        Pod("server-1", "server", ON_A, 1),
    ),
    started=("server-1",),
    steps=(
        *(Start("report-1"), Call("report-1", "server"), Pause(1.5), Finish("report-1")),
        *(Start("report-2"), Call("report-2", "server"), Pause(1.5), Finish("report-2")),
    ),
    truth={"report": {"cron/server": SEEN}},
)

HOST_NETWORK = Scenario(
    "hostnetwork",
    "a client in the network of its node, beside what else runs there",
    workloads=(Workload("monitor", "DaemonSet", host_network=True), CLIENT, SERVER),
    pods=(
        Pod("monitor-b", "monitor", ON_B, 0),
        Pod("client-1", "client", ON_B, 0),
        Pod("server-1", "server", ON_A, 0),
    ),
    before=(Call("monitor-b", "server", keep=True),),
    steps=(Call("monitor-b", "server"), Call("client-1", "server")),
    truth={"client": {"hostnetwork/server": SEEN}},
    blind_spot="Clients with `hostNetwork: true`",
)

HEADLESS = Scenario(
    "headless",
    "a headless StatefulSet, called as a whole and pod by pod",
    workloads=(CLIENT, Workload("db", "StatefulSet", port=5432, service="headless")),
    pods=(
        Pod("client-1", "client", ON_A, 0),
        Pod("db-0", "db", ON_A, 1),
        Pod("db-1", "db", ON_B, 0),
    ),
    steps=(
        Call("client-1", "db", 5432),
        Call("client-1", "db-1.db", 5432),
        Call("db-1", "db-0.db.headless.svc", 5432),
    ),
    truth={
        "client": {"headless/db": "dns syn 5432/TCP"},
        "db": {"headless/db": "dns syn 5432/TCP"},
    },
)

EXTERNAL_NAME = Scenario(
    "externalname",
    "a Service that is another name for a host outside",
    workloads=(CLIENT, Workload("billing", external_name=OUTSIDE_NAME)),
    pods=(Pod("client-1", "client", ON_C, 0),),
    steps=(Call("client-1", "billing", 443),),
    truth={"client": {f"external {OUTSIDE_NAME}": "dns syn 443/TCP"}},
)

DUAL_STACK = Scenario(
    "dualstack",
    "a server with both families, and one with IPv6 alone",
    workloads=(
        Workload("client", families="46"),
        Workload("modern", families="6"),
        Workload("server", port=8080, service="cluster", families="46"),
        Workload("six", port=8080, service="cluster", families="6"),
    ),
    pods=(
        Pod("client-1", "client", ON_A, 0),
        Pod("modern-1", "modern", ON_C, 0, resolver=RESOLVER6),
        Pod("server-1", "server", ON_B, 0),
        Pod("six-1", "six", ON_B, 1),
    ),
    steps=(
        Call("client-1", "server"),
        Call("client-1", "six"),
        Call("modern-1", "six"),
    ),
    truth={
        "client": {"dualstack/server": SEEN, "dualstack/six": SEEN},
        "modern": {"dualstack/six": SEEN},
    },
)

NODE_LOCAL = Scenario(
    "nodelocal",
    "NodeLocal DNSCache on the client's node",
    workloads=(CLIENT, SERVER),
    pods=(
        Pod("client-1", "client", ON_A, 0, resolver=NODE_LOCAL_RESOLVER),
        Pod("server-1", "server", ON_C, 0),
    ),
    steps=(Call("client-1", "server"),),
    truth={"client": {"nodelocal/server": SEEN}},
)

TRUNCATED = Scenario(
    "truncated",
    "an answer of forty addresses: DNS over TCP after truncation",
    workloads=(CLIENT, Workload("wide", "StatefulSet", port=8080, service="headless")),
    pods=(Pod("client-1", "client", ON_A, 0), Pod("wide-0", "wide", ON_B, 0, stands_for=39)),
    steps=(Call("client-1", "wide", 8080),),
    truth={"client": {"truncated/wide": SEEN}},
)

BLOCKED = Scenario(
    "blocked",
    "the name is answered and the connection dropped by a policy",
    workloads=(CLIENT, SERVER),
    pods=(Pod("client-1", "client", ON_A, 0), Pod("server-1", "server", ON_B, 0)),
    steps=(Fault("block", "server-1"), Blocked("client-1", "server")),
    truth={"client": {"blocked/server": SEEN}},
    blind_spot="that the server accepted",
)

EXTERNAL = Scenario(
    "external",
    "calls to outside, by name and by address",
    workloads=(CLIENT, Workload("mirror")),
    pods=(Pod("client-1", "client", ON_B, 0), Pod("mirror-1", "mirror", ON_A, 0)),
    steps=(Call("client-1", OUTSIDE_NAME, 443), Call("mirror-1", OUTSIDE_UNNAMED, 443)),
    truth={
        "client": {f"external {OUTSIDE_NAME}": "dns syn 443/TCP"},
        "mirror": {f"external {OUTSIDE_UNNAMED}": "syn 443/TCP"},
    },
)

SKEWED = Scenario(
    "skewed",
    "the clock of node-c is 1.5 s ahead",
    workloads=(CLIENT, SERVER, Workload("young")),
    pods=(
        Pod("client-1", "client", ON_C, 0),
        Pod("young-1", "young", ON_C, 1),
        Pod("server-1", "server", ON_C, 2),
    ),
    started=("client-1", "server-1"),
    steps=(Call("client-1", "server"), Start("young-1"), Call("young-1", "server")),
    truth={"client": {"skewed/server": SEEN}, "young": {"skewed/server": SEEN}},
)

HOSTILE = Scenario(
    "hostile",
    "a pod sends another one DNS packets that are none",
    workloads=(CLIENT, SERVER, Workload("attacker")),
    pods=(
        Pod("client-1", "client", ON_A, 0),
        Pod("attacker-1", "attacker", ON_A, 1),
        Pod("server-1", "server", ON_B, 0),
    ),
    steps=(Fault("hostile_packets", "attacker-1"), Call("client-1", "server")),
    truth={"client": {"hostile/server": SEEN}},
)

FORGED = Scenario(
    "forged",
    "a pod sends another one a well-formed answer that nobody asked for",
    workloads=(CLIENT, SERVER, Workload("attacker")),
    pods=(
        Pod("client-1", "client", ON_B, 0),
        Pod("attacker-1", "attacker", ON_B, 1),
        Pod("server-1", "server", ON_A, 0),
    ),
    steps=(Fault("forged_answer", "attacker-1"), Call("client-1", "server")),
    truth={"client": {"forged/server": SEEN, "external forged.example.com": "dns"}},
    blind_spot="A pod can send packets that look like DNS answers",
)

SCENARIOS: tuple[Scenario, ...] = (
    SHOP,
    OLDER,
    ROLLOUT,
    REUSE,
    CRON,
    HOST_NETWORK,
    HEADLESS,
    EXTERNAL_NAME,
    DUAL_STACK,
    NODE_LOCAL,
    TRUNCATED,
    BLOCKED,
    EXTERNAL,
    SKEWED,
    HOSTILE,
    FORGED,
    *FAULTS,
)
