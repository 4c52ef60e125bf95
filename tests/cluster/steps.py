"""What a scenario consists of: steps as data. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tests.cluster.world import Pod, Workload


class Start(NamedTuple):
    """The kubelet starts a pod."""

    pod: str


class Stop(NamedTuple):
    """The pod is deleted, and its address is free at once."""

    pod: str


class Finish(NamedTuple):
    """The pod ends by itself; it is deleted a moment later."""

    pod: str


class Call(NamedTuple):
    """A pod resolves a name (or takes an address), connects, and gets a byte back."""

    pod: str
    name: str
    port: int = 80
    keep: bool = False
    """Leave the connection open."""


class Blocked(NamedTuple):
    """A pod resolves a name and tries to connect in vain."""

    pod: str
    name: str
    port: int = 80


class Lookup(NamedTuple):
    """A pod asks for a name that nobody has, with every entry of its search path."""

    pod: str
    name: str


class Pause(NamedTuple):
    """Traffic has a rhythm: seconds until the next step."""

    seconds: float


FaultName = Literal[
    "block",
    "broker_restarts",
    "role_killed",
    "node_lost",
    "node_back",
    "api_away",
    "api_back",
    "flood",
    "hostile_packets",
    "forged_answer",
]


class Fault(NamedTuple):
    """Something goes wrong; `pod` is who does it, where, or to which role."""

    name: FaultName
    pod: str = ""


Step = Start | Stop | Finish | Call | Blocked | Lookup | Pause | Fault

Truth = dict[str, dict[str, str]]
"""Client to server to evidence and ports, as `dns syn 8080/TCP`; a server outside is `external NAME`."""

Edges = set[tuple[str, str]]
"""Client and server."""


def edges_of(truth: Truth) -> Edges:
    """Return the edges of a truth, whatever their evidence."""
    return {(client, server) for client, servers in truth.items() for server in servers}


class Scenario(NamedTuple):
    """One thing that clusters do, and who really calls whom in it. The name is its namespace."""

    name: str
    what: str
    workloads: tuple[Workload, ...]
    pods: tuple[Pod, ...]
    steps: tuple[Step, ...]
    truth: Truth
    before: tuple[Step, ...] = ()
    """Happens before there is any agent."""
    act: int = 0
    """Acts follow each other; scenarios of one act run at the same time."""
    blind_spot: str = ""
    """Words of `docs/concepts.md` for what is not seen; the truth then says what is."""
    started: tuple[str, ...] | None = None
    """The pods that run from the beginning; None: all."""


# What most scenarios are made of.
SEEN = "dns syn 8080/TCP"
SERVER = Workload("server", port=8080, service="cluster")
CLIENT = Workload("client")
ON_A, ON_B, ON_C = "node-a", "node-b", "node-c"
