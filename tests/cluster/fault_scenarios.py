"""The scenarios in which a part of the system fails, one after another. Pure, data alone."""

from __future__ import annotations

from tests.cluster.steps import CLIENT, ON_A, ON_B, ON_C, SEEN, SERVER, Call, Fault, Pause, Scenario, Start, Stop
from tests.cluster.world import Pod, Workload


def _through(name: str, what: str, act: int, *steps: Call | Fault | Pause) -> Scenario:
    """Make a scenario in which one client calls a server before, during and after a fault."""
    return Scenario(
        name,
        what,
        workloads=(CLIENT, *(Workload(each, port=8080, service="cluster") for each in ("before", "during", "after"))),
        pods=(
            Pod("client-1", "client", ON_A, 0),
            *(Pod(f"{each}-1", each, ON_B, number) for number, each in enumerate(("before", "during", "after"))),
        ),
        steps=steps,
        truth={"client": {f"{name}/{each}": SEEN for each in ("before", "during", "after")}},
        act=act,
    )


BROKER = _through(
    "broker",
    "the broker is killed and started again",
    1,
    Call("client-1", "before"),
    Fault("broker_restarts"),
    Call("client-1", "during"),
    Pause(1),
    Call("client-1", "after"),
)

PROCESSOR = _through(
    "processor",
    "one of two processors is killed, and a new one comes",
    2,
    Call("client-1", "before"),
    Fault("role_killed", "processor-1"),
    Call("client-1", "during"),
    Pause(1),
    Call("client-1", "after"),
)

NODE_LOST = Scenario(
    "nodelost",
    "a node is cut off with a pod on it, is replaced, and comes back",
    workloads=(CLIENT, SERVER, Workload("stranger")),
    pods=(
        Pod("client-1", "client", ON_C, 0),
        Pod("client-2", "client", ON_A, 0),
        Pod("stranger-1", "stranger", ON_C, 0),
        Pod("server-1", "server", ON_B, 0),
    ),
    started=("client-1", "server-1"),
    steps=(
        Call("client-1", "server"),
        Fault("node_lost", "node-c"),
        Start("client-2"),
        Call("client-2", "server"),
        Pause(3),
        Fault("node_back", "node-c"),
        Stop("client-1"),
        Pause(4),
        Start("stranger-1"),
        Pause(4),
        Call("stranger-1", "server"),
    ),
    truth={"client": {"nodelost/server": SEEN}, "stranger": {"nodelost/server": SEEN}},
    act=3,
)

FLOOD = Scenario(
    "flood",
    "one pod sends 50,000 DNS answers a second beside normal traffic",
    workloads=(CLIENT, SERVER, Workload("flooder")),
    pods=(
        Pod("client-1", "client", ON_B, 0),
        Pod("flooder-1", "flooder", ON_B, 1),
        Pod("server-1", "server", ON_A, 0),
    ),
    steps=(Fault("flood", "flooder-1"), Call("client-1", "server")),
    truth={"client": {"flood/server": SEEN}},
    act=4,
)

API_AWAY = Scenario(
    "apiaway",
    "the API server is away for a minute, in which pods start and call",
    workloads=(CLIENT, Workload("young"), SERVER),
    pods=(
        Pod("client-1", "client", ON_A, 0),
        Pod("young-1", "young", ON_B, 0),
        Pod("server-1", "server", ON_B, 1),
    ),
    started=("client-1", "server-1"),
    steps=(
        Fault("api_away"),
        Call("client-1", "server"),
        Start("young-1"),
        Call("young-1", "server"),
        Pause(60),
        Fault("api_back"),
    ),
    truth={"client": {"apiaway/server": SEEN}, "young": {"apiaway/server": SEEN}},
    act=5,
)

FAULTS: tuple[Scenario, ...] = (BROKER, PROCESSOR, NODE_LOST, FLOOD, API_AWAY)
