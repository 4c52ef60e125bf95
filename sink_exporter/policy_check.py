"""What NetworkPolicies would do to the calls that were seen, and what they allow that never was. Pure.

In: the graph, the policies, and what Kubernetes says of the workloads. Out: calls that would be blocked, with what is
in their way; calls of which nothing can be said, with the reason; allowed calls that were never seen.
A port of a Service is tried as the pod's ports that it leads to. A call whose port is not known is blocked only where
no port is open. Of what is allowed, only rules that select pods count: one for everybody or for a network names nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from callgraph.records import Workload
from sink_exporter.filters import Filter, build_check, is_infrastructure
from sink_exporter.graph import Arrow, CallGraph, is_external
from sink_exporter.kube_facts import KubeFacts, Selector
from sink_exporter.policy_drafts import PodPort, find_pod_ports, is_address, workloads_behind
from sink_exporter.policy_rules import (
    End,
    Obstacle,
    Policy,
    PolicyPort,
    PolicySet,
    Rule,
    Side,
    has_port,
    is_peer,
    selects,
)


class BlockedCall(Struct, frozen=True, kw_only=True):
    """A call that was seen and would not be possible; `port` is as it was seen, empty where it is not known."""

    client: Workload
    server: Workload
    port: str
    obstacles: tuple[Obstacle, ...]


class UnclearCall(Struct, frozen=True, kw_only=True):
    """A call that was seen, of which nothing can be said."""

    client: Workload
    server: Workload
    reason: str


class UnseenCall(Struct, frozen=True, kw_only=True):
    """A call that policies allow by name and that was never seen; without a port: on any."""

    client: Workload
    server: Workload
    port: PolicyPort | None
    policies: tuple[str, ...]


class PolicyReport(Struct, frozen=True, kw_only=True):
    """Each part sorted by client, server and port."""

    blocked: tuple[BlockedCall, ...] = ()
    unclear: tuple[UnclearCall, ...] = ()
    unseen: tuple[UnseenCall, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether policies and calls differ."""
        return bool(self.blocked or self.unseen)


def check_policies(graph: CallGraph, policies: Iterable[Policy], facts: KubeFacts) -> PolicyReport:
    """Hold policies and calls against each other."""
    check = _Check(PolicySet(policies), facts)
    findings = [finding for arrow in graph.arrows for finding in check.judge(arrow)]
    blocked = (one for one in findings if isinstance(one, BlockedCall))
    unclear = {(one.client, one.server): one for one in findings if isinstance(one, UnclearCall)}
    return PolicyReport(
        blocked=tuple(sorted(blocked, key=_order_of)),
        unclear=tuple(sorted(unclear.values(), key=_order_of)),
        unseen=tuple(sorted(check.find_unseen(graph), key=_order_of)),
    )


def filter_report(report: PolicyReport, wanted: Filter) -> PolicyReport:
    """Keep what passes a filter."""
    check = build_check(wanted)

    def passes(finding: BlockedCall | UnclearCall | UnseenCall) -> bool:
        return check(Arrow(client=finding.client, server=finding.server))

    return PolicyReport(
        blocked=tuple(filter(passes, report.blocked)),
        unclear=tuple(filter(passes, report.unclear)),
        unseen=tuple(filter(passes, report.unseen)),
    )


class _Grant(NamedTuple):
    """Who may call whom, on which port, by one rule."""

    client: Workload
    server: Workload
    port: PolicyPort | None


class _Check:
    """The policies, the workloads, and what is known of each."""

    def __init__(self, policies: PolicySet, facts: KubeFacts) -> None:
        self._policies = policies
        self._facts = facts
        self._end_of = lru_cache(maxsize=None)(self._build_end)
        self._meant: dict[bytes, tuple[str, ...]] = {}
        self._houses: dict[str, list[Workload]] = {}
        for (namespace, kind, name), known in facts.workloads.items():
            if not known.host_network:
                workload = Workload(cluster="", namespace=namespace, kind=kind, name=name)
                self._houses.setdefault(namespace, []).append(workload)

    def judge(self, arrow: Arrow) -> Iterator[BlockedCall | UnclearCall]:
        """Say what the policies do to a call; nothing where it passes."""
        servers = tuple(workloads_behind(arrow.server, self._facts)) or (arrow.server,)
        for server in servers:
            ends = _place(arrow.client), _place(server)
            if self._is_isolated(*ends):
                yield from self._judge_pair(*ends, arrow.ports or ("",))

    def find_unseen(self, graph: CallGraph) -> Iterator[UnseenCall]:
        """Find what rules allow, both directions agree to, and nobody did."""
        seen = self._list_seen(graph)
        granting: dict[_Grant, set[str]] = {}
        for policy in self._policies.policies:
            for grant in self._list_grants(policy):
                granting.setdefault(grant, set()).add(policy.path)
        for grant, policies in granting.items():
            if self._is_open(grant) and not self._was_used(grant, seen):
                yield UnseenCall(
                    client=grant.client, server=grant.server, port=grant.port, policies=tuple(sorted(policies))
                )

    def _judge_pair(
        self, client: Workload, server: Workload, ports: tuple[str, ...]
    ) -> Iterator[BlockedCall | UnclearCall]:
        if reason := self._find_doubt(client, server):
            yield UnclearCall(client=client, server=server, reason=reason)
            return
        for port in ports:
            if obstacles := self._find_obstacles(client, server, port):
                yield BlockedCall(client=client, server=server, port=port, obstacles=obstacles)

    def _is_isolated(self, client: Workload, server: Workload) -> bool:
        sides: tuple[tuple[Side, Workload], ...] = (("egress", client), ("ingress", server))
        return any(self._policies.isolating(self._end_of(end), side) for side, end in sides)

    def _find_doubt(self, client: Workload, server: Workload) -> str:
        """Say why nothing can be said of a call; empty where something can."""
        for end in (client, server):
            known = self._facts.find(end)
            if is_external(end):
                if not is_address(end.name) and self._find_obstacles(client, server, ""):
                    return "policies know addresses, not DNS names"
            elif known is None:
                return f"the labels of {_path(end)} are not known"
            elif known.host_network:
                return f"{_path(end)} is on the network of its host"
        return ""

    def _find_obstacles(self, client: Workload, server: Workload, port: str) -> tuple[Obstacle, ...]:
        """Try every port of the pod that the call may have reached; the way is free if one is."""
        tried: list[PodPort | None] = [*self._pod_ports(port, server)] if port else [None]
        found = [self._policies.obstacles(self._end_of(client), self._end_of(server), one) for one in tried]
        return min(found, key=len)

    def _pod_ports(self, port: str, server: Workload) -> Iterator[PodPort]:
        if is_external(server):
            number, _, transport = port.partition("/")
            yield PodPort(transport or "TCP", int(number))
        else:
            yield from find_pod_ports(port, server, self._facts)

    def _list_seen(self, graph: CallGraph) -> dict[tuple[Workload, Workload], tuple[PodPort, ...]]:
        """Return the pod's ports of every pair that was seen; none where a port is not known."""
        seen: dict[tuple[Workload, Workload], tuple[PodPort, ...]] = {}
        for arrow in graph.calls:
            for server in tuple(workloads_behind(arrow.server, self._facts)) or (arrow.server,):
                ports = (one for port in arrow.ports for one in self._pod_ports(port, server))
                seen[_place(arrow.client), _place(server)] = tuple(ports)
        return seen

    def _list_grants(self, policy: Policy) -> Iterator[_Grant]:
        subjects = [
            one for one in self._list_workloads(policy.namespace) if selects(policy.selector, self._end_of(one).labels)
        ]
        for side, rules in policy.rules.items():
            for rule in rules:
                for peer in self._list_peers(rule, policy.namespace):
                    for subject in subjects:
                        ends = (peer, subject) if side == "ingress" else (subject, peer)
                        if peer != subject:
                            yield from (_Grant(*ends, port) for port in rule.ports or (None,))

    def _list_peers(self, rule: Rule, home: str) -> list[Workload]:
        """Return the workloads that a rule selects, but not infrastructure: DNS is allowed to all and never a call."""
        found: dict[Workload, None] = {}
        for peer in rule.peers:
            houses = (home,) if peer.namespace_selector is None else self._list_houses(peer.namespace_selector)
            candidates = (one for house in houses for one in self._list_workloads(house))
            found |= {one: None for one in candidates if is_peer(peer, self._end_of(one), home=home)}
        return [one for one in found if not is_infrastructure(one)]

    def _list_houses(self, selector: Selector) -> tuple[str, ...]:
        """Return the namespaces that a selector means; thousands of peers name the same few."""
        key = msgspec.json.encode(selector)
        if key not in self._meant:
            labels = {house: self._facts.namespace_labels(house) for house in self._houses}
            self._meant[key] = tuple(house for house in labels if selects(selector, labels[house]))
        return self._meant[key]

    def _list_workloads(self, namespace: str) -> list[Workload]:
        return self._houses.get(namespace, [])

    def _is_open(self, grant: _Grant) -> bool:
        client, server = self._end_of(grant.client), self._end_of(grant.server)
        return not self._policies.obstacles(client, server, _as_pod_port(grant.port, server))

    def _was_used(self, grant: _Grant, seen: dict[tuple[Workload, Workload], tuple[PodPort, ...]]) -> bool:
        ports = seen.get((_place(grant.client), _place(grant.server)))
        if ports is None:
            return False
        rule = Rule(ports=(grant.port,) if grant.port else ())
        return not ports or any(has_port(rule, port, self._end_of(grant.server).ports) for port in ports)

    def _build_end(self, workload: Workload) -> End:
        if is_external(workload):
            return End(address=workload.name if is_address(workload.name) else None)
        known = self._facts.find(workload)
        return End(
            namespace=workload.namespace,
            labels=known.labels if known else {},
            namespace_labels=self._facts.namespace_labels(workload.namespace),
            ports=known.ports if known else {},
        )


def _place(workload: Workload) -> Workload:
    """Return a workload as policies and facts know it: they are of one cluster, which has no name there."""
    return replace(workload, cluster="")


def _path(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _as_pod_port(port: PolicyPort | None, server: End) -> PodPort | None:
    if port is None or port.port is None:
        return None
    if isinstance(port.port, str):
        return PodPort(port.protocol, server.ports.get(port.port, 0), port.port)
    return PodPort(port.protocol, port.port)


def _order_of(finding: BlockedCall | UnclearCall | UnseenCall) -> tuple[str, ...]:
    client, server = finding.client, finding.server
    return client.namespace, client.name, client.kind, server.namespace, server.name, server.kind, repr(finding)
