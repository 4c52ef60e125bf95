"""What NetworkPolicies allow. Pure.

In: policies as YAML or JSON, as files hold them and `kubectl get networkpolicies -A -o yaml` prints them. Out: for two
ends and a port, the policies that stand in the way.
Source: networking.k8s.io/v1, NetworkPolicySpec: an end that no policy selects in a direction is open there; one that
some select may do what any rule of theirs allows. `ipBlock` is meant for outside addresses and selects no pod here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from callgraph.errors import InputError
from sink_exporter.kube_facts import Requirement, Selector
from sink_exporter.policy_drafts import PodPort
from sink_exporter.yaml_objects import parse_objects

Side = Literal["ingress", "egress"]
API_VERSION = "networking.k8s.io/v1"
KIND = "NetworkPolicy"


class PolicyPort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port, by number, range or name; without `port` every port of the protocol."""

    port: int | str | None = None
    protocol: str = "TCP"
    end_port: int | None = None


class IpBlock(Struct, frozen=True, kw_only=True, rename={"excluded": "except"}):
    """A network, and the networks inside it that are not meant."""

    cidr: str
    excluded: tuple[str, ...] = ()


class PolicyPeer(Struct, frozen=True, kw_only=True, rename="camel"):
    """Pods of the policy's own namespace, of selected namespaces, or addresses outside."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: IpBlock | None = None


class Rule(Struct, frozen=True, kw_only=True):
    """One rule: no peers means every peer, no ports every port."""

    peers: tuple[PolicyPeer, ...] = ()
    ports: tuple[PolicyPort, ...] = ()


class Policy(Struct, frozen=True, kw_only=True):
    """A NetworkPolicy: whom it isolates, and what it allows in each direction that it isolates."""

    namespace: str
    name: str
    selector: Selector
    rules: Mapping[Side, tuple[Rule, ...]]

    @property
    def path(self) -> str:
        """The policy's namespace and name."""
        return f"{self.namespace}/{self.name}"


class End(Struct, frozen=True, kw_only=True):
    """One end of a call: pods with their labels and named ports, or (without a namespace) an address outside."""

    namespace: str = ""
    labels: Mapping[str, str] = {}
    namespace_labels: Mapping[str, str] = {}
    ports: Mapping[str, int] = {}
    address: str | None = None


class Obstacle(Struct, frozen=True, kw_only=True):
    """Policies that isolate one end in one direction, none of which allows the call."""

    side: Side
    policies: tuple[Policy, ...]


class _Meta(Struct, frozen=True):
    name: str
    namespace: str = "default"


class _IngressRule(Struct, frozen=True, rename={"peers": "from"}):
    peers: tuple[PolicyPeer, ...] | None = None
    ports: tuple[PolicyPort, ...] | None = None


class _EgressRule(Struct, frozen=True, rename={"peers": "to"}):
    peers: tuple[PolicyPeer, ...] | None = None
    ports: tuple[PolicyPort, ...] | None = None


class _Spec(Struct, frozen=True, rename="camel"):
    pod_selector: Selector | None = None
    policy_types: tuple[Literal["Ingress", "Egress"], ...] | None = None
    ingress: tuple[_IngressRule, ...] | None = None
    egress: tuple[_EgressRule, ...] | None = None


class _Document(Struct, frozen=True, rename="camel"):
    metadata: _Meta
    spec: _Spec
    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]


class PolicySet:
    """Policies, ready to be asked."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.policies = tuple(policies)
        self._by_namespace: dict[str, list[Policy]] = {}
        for policy in self.policies:
            self._by_namespace.setdefault(policy.namespace, []).append(policy)

    def isolating(self, end: End, side: Side) -> tuple[Policy, ...]:
        """Return the policies that isolate an end in a direction."""
        return tuple(
            policy
            for policy in self._by_namespace.get(end.namespace, ())
            if side in policy.rules and selects(policy.selector, end.labels)
        )

    def obstacles(self, client: End, server: End, port: PodPort | None) -> tuple[Obstacle, ...]:
        """Return what stands in the way of a call; without a port: of a call to every port."""
        return tuple(self._find_obstacles(client, server, port))

    def _find_obstacles(self, client: End, server: End, port: PodPort | None) -> Iterator[Obstacle]:
        sides: tuple[tuple[Side, End, End], ...] = (("egress", client, server), ("ingress", server, client))
        for side, subject, peer in sides:
            isolating = self.isolating(subject, side)
            passes = any(
                has_port(rule, port, server.ports) and has_peer(rule, peer, home=policy.namespace)
                for policy in isolating
                for rule in policy.rules[side]
            )
            if isolating and not passes:
                yield Obstacle(side=side, policies=isolating)


def parse_policies(content: bytes, name: str) -> tuple[Policy, ...]:
    """Read NetworkPolicies, a document each or in a `List`. Raises InputError."""
    complaint = f"{name} does not hold NetworkPolicies of {API_VERSION}"
    documents = parse_objects(content, _Document, complaint)
    try:
        return tuple(_policy_of(document) for document in documents)
    except ValueError as error:
        raise InputError(f"{complaint}: {error}") from error


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Tell whether a selector means these labels; an empty one means all."""
    return selector.match_labels.items() <= labels.items() and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def has_peer(rule: Rule, end: End, *, home: str) -> bool:
    """Tell whether a rule of a policy in the namespace `home` means this end."""
    return not rule.peers or any(is_peer(peer, end, home=home) for peer in rule.peers)


def is_peer(peer: PolicyPeer, end: End, *, home: str) -> bool:
    """Tell whether one entry of `from` or `to` means this end."""
    if peer.ip_block:
        return end.address is not None and _is_inside(end.address, peer.ip_block)
    if not end.namespace:
        return False
    if peer.namespace_selector is None:
        at_home = end.namespace == home
    else:
        at_home = selects(peer.namespace_selector, end.namespace_labels)
    return at_home and selects(peer.pod_selector or Selector(), end.labels)


def has_port(rule: Rule, port: PodPort | None, named: Mapping[str, int]) -> bool:
    """Tell whether a rule allows a port, or any port at all; `named` are the ports that the server's pods name."""
    return not rule.ports or port is None or any(_is_port(one, port, named) for one in rule.ports)


def _is_port(allowed: PolicyPort, port: PodPort, named: Mapping[str, int]) -> bool:
    if allowed.protocol != port.transport:
        return False
    if allowed.port is None:
        return True
    if isinstance(allowed.port, str):
        return allowed.port == port.name or named.get(allowed.port) == port.number
    return allowed.port <= port.number <= (allowed.end_port or allowed.port)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    if requirement.operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (requirement.operator == "Exists")
    return (value in requirement.values) is (requirement.operator == "In")


def _is_inside(address: str, block: IpBlock) -> bool:
    inside = ipaddress.ip_address(address)
    return inside in _network(block.cidr) and not any(inside in _network(hole) for hole in block.excluded)


@lru_cache(maxsize=4_096)
def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(cidr, strict=False)


def _policy_of(document: _Document) -> Policy:
    spec = document.spec
    types = spec.policy_types or ("Ingress", *(("Egress",) if spec.egress else ()))
    rules: dict[Side, tuple[Rule, ...]] = {}
    if "Ingress" in types:
        rules["ingress"] = tuple(map(_rule_of, spec.ingress or ()))
    if "Egress" in types:
        rules["egress"] = tuple(map(_rule_of, spec.egress or ()))
    return Policy(
        namespace=document.metadata.namespace,
        name=document.metadata.name,
        selector=spec.pod_selector or Selector(),
        rules=rules,
    )


def _rule_of(rule: _IngressRule | _EgressRule) -> Rule:
    """Take a rule as it was written; raises ValueError for what is no network."""
    for block in (peer.ip_block for peer in rule.peers or () if peer.ip_block):
        _ = [_network(cidr) for cidr in (block.cidr, *block.excluded)]
    return Rule(peers=rule.peers or (), ports=rule.ports or ())
