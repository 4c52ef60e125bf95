"""What NetworkPolicies allow, computed from their text: a second opinion on the drafts. Pure.

Source: networking.k8s.io/v1. Pods are (namespace, labels); a pod that no policy isolates in a direction is open there.
"""

from typing import Any, NamedTuple

import yaml


class Pod(NamedTuple):
    namespace: str
    labels: dict[str, str]


def load_policies(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def allows(policies: list[dict[str, Any]], client: Pod, server: Pod, port: int, transport: str = "TCP") -> bool:
    """Tell whether the client may reach this port of the server: its own egress and the other's ingress."""
    return _passes(policies, "Egress", client, server, port, transport) and _passes(
        policies, "Ingress", server, client, port, transport
    )


def _passes(policies, direction, subject, peer, port, transport):
    isolating = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == subject.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], subject.labels)
    ]
    rules = [rule for spec in isolating for rule in spec.get(direction.lower(), [])]
    side = "from" if direction == "Ingress" else "to"
    return not isolating or any(
        _has_port(rule, port, transport) and _has_peer(rule.get(side), subject, peer) for rule in rules
    )


def _has_port(rule, port, transport):
    ports = rule.get("ports")
    return not ports or any(one["port"] == port and one["protocol"] == transport for one in ports)


def _has_peer(peers, subject, peer):
    return not peers or any(_is_peer(one, subject, peer) for one in peers)


def _is_peer(one, subject, peer):
    if "ipBlock" in one:
        return False
    if "namespaceSelector" in one:
        if not _selects(one["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace}):
            return False
    elif peer.namespace != subject.namespace:
        return False
    return _selects(one.get("podSelector", {}), peer.labels)


def _selects(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(one, labels) for one in selector.get("matchExpressions", [])
    )


def _holds(one, labels):
    value = labels.get(one["key"])
    if one["operator"] == "Exists":
        return value is not None
    if one["operator"] == "DoesNotExist":
        return value is None
    return (value in one["values"]) is (one["operator"] == "In")
