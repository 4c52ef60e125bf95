"""Istio AuthorizationPolicy drafts, one for each workload that is called. Pure.

Source: security.istio.io/v1. An ALLOW policy denies every other caller, and callers are told apart by the service
account in their mTLS certificate; so a workload gets a policy only when the account of each of its callers is known,
and a comment otherwise. The default account of a namespace says little: many workloads may share it.
"""

from __future__ import annotations

from sink_exporter.graph import CallGraph
from sink_exporter.kube_facts import KubeFacts
from sink_exporter.network_policy import group_by_ports, write_metadata
from sink_exporter.policy_drafts import Allowance, Draft, describe_peers, draft_policies
from sink_exporter.yaml_block import Value, emit_yaml
from sink_exporter.yaml_scalars import quote_scalar

TRUST_DOMAIN = "cluster.local"


def render_istio_policies(graph: CallGraph, facts: KubeFacts, *, trust_domain: str = TRUST_DOMAIN) -> str:
    """Render one document for each workload whose callers are all known by their accounts."""
    drafts = (draft for draft in draft_policies(graph, facts) if draft.ingress)
    return "---\n".join(_document(draft, facts, trust_domain) for draft in drafts)


def _document(draft: Draft, facts: KubeFacts, trust_domain: str) -> str:
    unknown = [one for one in draft.ingress if _principal(one, facts, trust_domain) is None]
    name = f"{draft.workload.namespace}/{draft.workload.name}"
    if unknown or draft.selector.match_expressions:
        why = f"the accounts of {describe_peers(unknown)} are not known" if unknown else "Istio selects by labels alone"
        return f"# No policy for {quote_scalar(name)}: {quote_scalar(why)}.\n"
    return emit_yaml(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": write_metadata(draft, {}),
            "spec": {
                "selector": {"matchLabels": dict(sorted(draft.selector.match_labels.items()))},
                "action": "ALLOW",
                "rules": _rules(draft, facts, trust_domain),
            },
        }
    )


def _rules(draft: Draft, facts: KubeFacts, trust_domain: str) -> list[Value]:
    rules: list[Value] = []
    for ports, group in group_by_ports(draft.ingress):
        principals = sorted({principal for one in group if (principal := _principal(one, facts, trust_domain))})
        rule: dict[str, Value] = {"from": [{"source": {"principals": principals}}]}
        # Named ports mean nothing to Istio; a rule without ports allows them all.
        numbers = [str(port.number) for port in ports if not port.name]
        rules.append(
            rule | ({"to": [{"operation": {"ports": numbers}}]} if numbers and len(numbers) == len(ports) else {})
        )
    return rules


def _principal(allowance: Allowance, facts: KubeFacts, trust_domain: str) -> str | None:
    caller = allowance.peer.workload
    known = facts.find(caller)
    if allowance.peer.kind != "pods" or known is None:
        return None
    return f"{trust_domain}/ns/{caller.namespace}/sa/{known.service_account}"
