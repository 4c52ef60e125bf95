"""NetworkPolicy drafts, one for each workload. Pure.

Source: networking.k8s.io/v1. A direction that holds a call to or from something that a NetworkPolicy cannot name (a DNS
name, a host, the API server, a workload whose labels are not known) is left open, and an annotation says why. Egress
always allows DNS: the cluster's resolver on its usual ports (OpenShift's answers on 5353) and NodeLocal DNSCache.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal

from sink_exporter.graph import CallGraph
from sink_exporter.kube_facts import NAMESPACE_LABEL, KubeFacts, Selector
from sink_exporter.policy_drafts import Allowance, Draft, Peer, PodPort, describe_peers, draft_policies
from sink_exporter.yaml_block import Value, emit_yaml

Direction = Literal["ingress", "egress", "both"]

_DNS_PEERS: tuple[Value, ...] = (
    {
        "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    },
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
)
_DNS_PORTS: tuple[Value, ...] = tuple(
    {"port": port, "protocol": transport} for transport in ("TCP", "UDP") for port in (53, 5353)
)
_CAN_SAY = frozenset(("pods", "address"))


def render_network_policies(graph: CallGraph, facts: KubeFacts, *, direction: Direction = "ingress") -> str:
    """Render one document for each workload that can be isolated without blocking what was seen."""
    policies = (_policy_of(draft, direction) for draft in draft_policies(graph, facts))
    return "---\n".join(emit_yaml(policy) for policy in policies if policy)


def _policy_of(draft: Draft, direction: Direction) -> dict[str, Value] | None:
    rules: dict[str, list[Value]] = {}
    notes: dict[str, str] = {}
    for name, key, allowances in (("Ingress", "from", draft.ingress), ("Egress", "to", draft.egress)):
        if direction not in (name.lower(), "both") or not allowances:
            continue
        unsayable = [one for one in allowances if one.peer.kind not in _CAN_SAY]
        if unsayable:
            notes[f"whocalls.dev/{name.lower()}-left-open"] = f"cannot select {describe_peers(unsayable)}"
        else:
            rules[name] = _rules(key, allowances, home=draft.workload.namespace)
            notes |= note_unknown_ports(name.lower(), allowances)
    if not rules:
        return None
    if "Egress" in rules:
        rules["Egress"].insert(0, {"to": _DNS_PEERS, "ports": _DNS_PORTS})
    return _document(draft, rules, notes)


def _document(draft: Draft, rules: dict[str, list[Value]], notes: dict[str, str]) -> dict[str, Value]:
    spec: dict[str, Value] = {"podSelector": write_selector(draft.selector), "policyTypes": tuple(rules)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": write_metadata(draft, notes),
        "spec": spec | {name.lower(): rule for name, rule in rules.items()},
    }


def write_metadata(draft: Draft, notes: dict[str, str]) -> dict[str, Value]:
    """Write the metadata of a drafted policy; the kind is in its name, for another may share the workload's."""
    return {
        "name": f"{draft.workload.name}-{draft.workload.kind.lower()}-calls",
        "namespace": draft.workload.namespace,
        "labels": {"app.kubernetes.io/managed-by": "whocalls"},
        "annotations": {"whocalls.dev/evidence": ",".join(draft.evidence)} | notes,
    }


def note_unknown_ports(side: str, allowances: Iterable[Allowance]) -> dict[str, str]:
    """Write the annotation that names the peers whose ports nobody saw, and whom every port is therefore open to."""
    unknown = [one for one in allowances if not one.ports]
    return {f"whocalls.dev/{side}-ports-not-known": describe_peers(unknown)} if unknown else {}


def write_selector(selector: Selector) -> dict[str, Value]:
    """Write a LabelSelector, its labels in the order of their keys."""
    written: dict[str, Value] = {}
    if selector.match_labels:
        written["matchLabels"] = dict(sorted(selector.match_labels.items()))
    if selector.match_expressions:
        written["matchExpressions"] = [
            {"key": one.key, "operator": one.operator} | ({"values": one.values} if one.values else {})
            for one in selector.match_expressions
        ]
    return written


def group_by_ports(allowances: Iterable[Allowance]) -> list[tuple[tuple[PodPort, ...], list[Allowance]]]:
    """Put the allowances of the same ports together; those of unknown ports first."""
    groups: dict[tuple[PodPort, ...], list[Allowance]] = {}
    for allowance in allowances:
        groups.setdefault(allowance.ports, []).append(allowance)
    return sorted(groups.items(), key=lambda group: group[0])


def _rules(key: str, allowances: tuple[Allowance, ...], *, home: str) -> list[Value]:
    rules: list[Value] = []
    for ports, group in group_by_ports(allowances):
        peers = {emit_yaml(peer): peer for peer in (_write_peer(one.peer, home) for one in group)}
        rule: dict[str, Value] = {key: [peers[text] for text in sorted(peers)]}
        rules.append(rule | ({"ports": [_write_port(port) for port in ports]} if ports else {}))
    return rules


def _write_peer(peer: Peer, home: str) -> dict[str, Value]:
    if peer.kind == "address":
        return {"ipBlock": {"cidr": single_address(peer.workload.name)}}
    pods: dict[str, Value] = {"podSelector": write_selector(peer.selector)}
    if peer.namespace == home:
        return pods
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: peer.namespace}}} | pods


def single_address(address: str) -> str:
    """Write an address as a network of its own."""
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"


def _write_port(port: PodPort) -> dict[str, Value]:
    return {"port": port.value, "protocol": port.transport}
