"""What resolving an observation comes to: calls with both ends known, or refusals with their reasons. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from callgraph.records import Evidence, Transport, Workload

Reason = Literal[
    "no_owner_at_time",  # somebody had the address, but not then (R3.2)
    "unknown_client_ip",  # inside the cluster, and nobody is known to have had it (R11)
    "unknown_server_ip",
    "ambiguous_owner",  # more than one workload may have had it (R3.4, R3.5)
    "ambiguous_host_network",  # a node's address, and nothing tells who on the node (R9)
    "external_client",  # came in from outside (R11)
    "dns_infrastructure",  # an answer on its way to a resolver (R8.1)
    "dns_transport",  # a connection to port 53 (R8.2)
    "not_an_answer",  # names no address and no target (R7.6)
    "loopback",  # loopback, link-local, multicast (R13)
    "self_call",  # a pod and itself (R13)
    "direction_unknown",  # the agent could not tell who opened the connection
    "malformed_address",
    "inventory_behind",  # the watermark stayed away for too long
    "overflow",  # too many observations waited
]


class Refusal(Struct, frozen=True, gc=False):
    """Why there is no call; `wait`: news of the next seconds may still tell.

    `side` is `event` where neither end is to blame, because the whole is no call.
    """

    side: Literal["client", "server", "event"]
    address: str
    reason: Reason
    wait: bool = False


class Attributed(Struct, frozen=True, gc=False):
    """One call with both ends known.

    `service` is `namespace/name` of the Service gone through; `backends` are the workloads behind it where they are
    several, and `server` is then the Service itself. Port and transport are None where only a DNS answer speaks.
    """

    client: Workload
    server: Workload
    evidence: Evidence
    service: str | None = None
    dns_name: str | None = None
    server_port: int | None = None
    network_transport: Transport | None = None
    backends: tuple[Workload, ...] = ()


class Resolution(Struct, frozen=True, gc=False):
    """All that one observation says: a DNS answer may name several servers. `wait`: it may still change."""

    attributed: tuple[Attributed, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    wait: bool = False
