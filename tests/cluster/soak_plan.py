"""What a soak consists of: who calls whom between the faults, the faults, and the call that follows each. Pure.

Ten client workloads run with one pod each. Every fault replaces the pod of the next one: the new pod has the address
that a pod of another workload had before, on the nodes in turn, and calls a server that its workload never called. So
there are as many faults with a probe as pairs, 120, and a pair is called again only after git has shown it once.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.cluster.steps import SEEN, Call, Fault, Lookup, Pause, Scenario, Start, Step, Stop, Truth
from tests.cluster.world import NODES, OUTSIDE_NAME, OUTSIDE_UNNAMED, Pod, Workload

NAME = "soak"
CLIENTS, SERVERS = 10, 12
PROBES = CLIENTS * SERVERS
_AWAY = Pause(10)


class Trouble(NamedTuple):
    """Something that fails before a probe, and what is done about it after."""

    kind: str
    begin: tuple[Step, ...] = ()
    end: tuple[Step, ...] = ()
    first_half_alone: bool = False
    """Its role has no second process: what it holds in the second half is to be one life."""


TROUBLES = (
    Trouble("nothing"),
    Trouble("processor killed", (Fault("role_killed", "processor-1"),)),
    Trouble("broker killed and started", (Fault("broker_restarts"),)),
    Trouble("exporter killed", (Fault("role_killed", "exporter"),), first_half_alone=True),
    Trouble("agent killed", (Fault("role_killed", "agent-node-a"),)),
    Trouble("API server away for 10 s", (Fault("api_away"),), (_AWAY, Fault("api_back"))),
    Trouble("watcher killed", (Fault("role_killed", "watcher"),), first_half_alone=True),
    Trouble("node cut off for 10 s", (Fault("node_lost", "node-c"), _AWAY, Fault("node_back", "node-c"))),
)
"""Of processors and agents, one is never killed: its memory is that of the whole run."""


def client_pod(number: int) -> Pod:
    """Return the pod that is started as the so-manieth: ten run at a time, on eleven addresses."""
    place, workload = number % (CLIENTS + 1), number % CLIENTS
    revision = f"{number // CLIENTS}"
    return Pod(f"client-{workload}-{revision}", f"client-{workload}", NODES[place % 3], place, revision=revision)


def _server(number: int, name: str) -> Pod:
    return Pod(f"{name}-1", name, NODES[number % 3], CLIENTS + 1 + number)


_SERVERS = (*(f"server-{number}" for number in range(SERVERS)), "known", "six")

SCENARIO = Scenario(
    NAME,
    "calls without pause",
    workloads=(
        *(Workload(f"client-{number}", families="46") for number in range(CLIENTS)),
        *(Workload(name, port=8080, service="cluster", families="6" if name == "six" else "4") for name in _SERVERS),
    ),
    pods=(
        *(_server(number, name) for number, name in enumerate(_SERVERS)),
        *(client_pod(number) for number in range(CLIENTS + PROBES)),
    ),
    steps=(),
    truth={},
    started=(*(f"{name}-1" for name in _SERVERS), *(client_pod(number).name for number in range(CLIENTS))),
)

_KNOWN = {
    "known": ("soak/known", 80, SEEN),
    "six": ("soak/six", 80, SEEN),
    OUTSIDE_NAME: (f"external {OUTSIDE_NAME}", 443, "dns syn 443/TCP"),
    OUTSIDE_UNNAMED: (f"external {OUTSIDE_UNNAMED}", 443, "syn 443/TCP"),
}
"""What is called from the beginning: its name in the truth, its port, and the evidence that is left."""
NOWHERE = "nowhere"
"""Nobody has this name: NXDOMAIN, once for each entry of the search path."""


class Traffic:
    """Says who calls whom next, and keeps the truth that follows."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._next = CLIENTS
        """The number of the next pod; the ten before it run."""
        self._names = {f"client-{number}": ["known", NOWHERE] for number in range(CLIENTS)}
        for client, name in (("client-0", "six"), ("client-1", OUTSIDE_NAME), ("client-2", OUTSIDE_UNNAMED)):
            self._names[client].append(name)
        self.truth: Truth = {}

    def background(self) -> Step:
        """Return one call or look-up of what is known, by any of the clients."""
        pod = client_pod(self._random.randrange(self._next - CLIENTS, self._next))
        name = self._random.choice(self._names[pod.workload])
        if name == NOWHERE:
            return Lookup(pod.name, name)
        return self._call(pod, name)

    def probe(self) -> tuple[Start, Stop, Call] | None:
        """Return the steps that replace a client and call what it never called; None when every pair was called."""
        number = self._next - CLIENTS
        if number == PROBES:
            return None
        pod = client_pod(self._next)
        self._next += 1
        return Start(pod.name), Stop(client_pod(number).name), self._call(pod, f"server-{number // CLIENTS}")

    def learn(self, client: str, name: str) -> None:
        """Take a call that git has shown into the background."""
        self._names[client].append(name)

    def _call(self, pod: Pod, name: str) -> Call:
        server, port, evidence = _KNOWN.get(name, (f"{NAME}/{name}", 80, SEEN))
        self.truth.setdefault(pod.workload, {})[server] = evidence
        return Call(pod.name, name, port)
