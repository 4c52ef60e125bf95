"""CiliumNetworkPolicy drafts, one for each workload. Pure.

Source: cilium.io/v2. Cilium has words for what a NetworkPolicy cannot name: hosts, the API server and DNS names (which
need its DNS proxy, hence the `dns` rule); only a workload whose labels are not known leaves a direction open.
"""

from __future__ import annotations

from sink_exporter.graph import CallGraph
from sink_exporter.kube_facts import KubeFacts, Selector
from sink_exporter.network_policy import (
    Direction,
    group_by_ports,
    note_unknown_ports,
    single_address,
    write_metadata,
    write_selector,
)
from sink_exporter.policy_drafts import Allowance, Draft, Peer, PodPort, describe_peers, draft_policies
from sink_exporter.yaml_block import Value, emit_yaml

_NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"
_DNS_RULE: Value = {
    "toEndpoints": [{"matchLabels": {_NAMESPACE_LABEL: "kube-system", "k8s:k8s-app": "kube-dns"}}],
    "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}],
}
_PEER_FIELDS = {"pods": "Endpoints", "name": "FQDNs", "address": "CIDR", "host": "Entities", "api-server": "Entities"}


def render_cilium_policies(graph: CallGraph, facts: KubeFacts, *, direction: Direction = "ingress") -> str:
    """Render one document for each workload that can be isolated without blocking what was seen."""
    policies = (_policy_of(draft, direction) for draft in draft_policies(graph, facts))
    return "---\n".join(emit_yaml(policy) for policy in policies if policy)


def _policy_of(draft: Draft, direction: Direction) -> dict[str, Value] | None:
    spec: dict[str, Value] = {}
    notes: dict[str, str] = {}
    for name, side, allowances in (("ingress", "from", draft.ingress), ("egress", "to", draft.egress)):
        if direction not in (name, "both") or not allowances:
            continue
        unsayable = [one for one in allowances if one.peer.kind not in _PEER_FIELDS]
        if unsayable:
            notes[f"whocalls.dev/{name}-left-open"] = f"cannot select {describe_peers(unsayable)}"
        else:
            notes |= note_unknown_ports(name, allowances)
            spec[name] = [*([_DNS_RULE] if side == "to" else []), *_rules(side, allowances, draft.workload.namespace)]
    if not spec:
        return None
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": write_metadata(draft, notes),
        "spec": {"endpointSelector": write_selector(draft.selector)} | spec,
    }


def _rules(side: str, allowances: tuple[Allowance, ...], home: str) -> list[Value]:
    """Write a rule for each set of ports and each sort of peer, which Cilium does not mix in one rule."""
    rules: list[Value] = []
    for ports, group in group_by_ports(allowances):
        fields: dict[str, dict[str, Value]] = {}
        for allowance in group:
            field = fields.setdefault(side + _PEER_FIELDS[allowance.peer.kind], {})
            field |= {repr(peer): peer for peer in _write_peers(allowance.peer, home)}
        for name, peers in sorted(fields.items()):
            rule: dict[str, Value] = {name: [peers[text] for text in sorted(peers)]}
            rules.append(rule | ({"toPorts": [{"ports": [_write_port(port) for port in ports]}]} if ports else {}))
    return rules


def _write_peers(peer: Peer, home: str) -> tuple[Value, ...]:
    if peer.kind == "address":
        return (single_address(peer.workload.name),)
    if peer.kind == "name":
        return ({"matchName": peer.workload.name},)
    if peer.kind == "api-server":
        return ("kube-apiserver",)
    if peer.kind == "host":
        return ("host", "remote-node")
    return (write_selector(_with_namespace(peer, home)),)


def _with_namespace(peer: Peer, home: str) -> Selector:
    if peer.namespace == home:
        return peer.selector
    return Selector(
        match_labels=peer.selector.match_labels | {_NAMESPACE_LABEL: peer.namespace},
        match_expressions=peer.selector.match_expressions,
    )


def _write_port(port: PodPort) -> Value:
    return {"port": str(port.value), "protocol": port.transport}
