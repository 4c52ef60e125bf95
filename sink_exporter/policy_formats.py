"""The formats that need Kubernetes objects beside the graph: drafts of policies, to be read before use. Pure."""

from __future__ import annotations

from callgraph.errors import ConfigurationError
from sink_exporter.cilium_policy import render_cilium_policies
from sink_exporter.graph import CallGraph
from sink_exporter.istio_policy import render_istio_policies
from sink_exporter.kube_facts import KubeFacts
from sink_exporter.network_policy import Direction, render_network_policies

POLICY_FORMATS: dict[str, str] = {
    "networkpolicy": "NetworkPolicy drafts, networking.k8s.io/v1.",
    "cilium": "CiliumNetworkPolicy drafts, cilium.io/v2.",
    "istio": "AuthorizationPolicy drafts, security.istio.io/v1 (ingress only).",
}


def render_policies(graph: CallGraph, name: str, facts: KubeFacts, *, direction: Direction = "ingress") -> str:
    """Render drafts in the format of this name. Raises ConfigurationError."""
    if name == "networkpolicy":
        return render_network_policies(graph, facts, direction=direction)
    if name == "cilium":
        return render_cilium_policies(graph, facts, direction=direction)
    if name == "istio":
        return render_istio_policies(graph, facts)
    raise ConfigurationError(f"there is no policy format {name!r} (there are {', '.join(POLICY_FORMATS)})")
