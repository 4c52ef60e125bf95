"""What NetworkPolicies allow, computed from their text: a second opinion on drafts and on our own rules. Pure.

Source: networking.k8s.io/v1. Pods are (namespace, labels); a pod that no policy isolates in a direction is open there.
"""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml


class Pod(NamedTuple):
    """A pod; with an empty namespace, something outside at an address."""

    namespace: str
    labels: dict[str, str]
    ports: Mapping[str, int] = MappingProxyType({})
    address: str | None = None
    namespace_labels: Mapping[str, str] = MappingProxyType({})


def load_policies(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def allows(policies: list[dict[str, Any]], client: Pod, server: Pod, port: int, transport: str = "TCP") -> bool:
    """Tell whether the client may reach this port of the server: its own egress and the other's ingress."""
    wanted = (port, transport, {name for name, number in server.ports.items() if number == port})
    return _passes(policies, "Egress", client, server, wanted) and _passes(policies, "Ingress", server, client, wanted)


def _passes(policies, direction, subject, peer, wanted):
    isolating = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == subject.namespace
        and direction in _types(policy["spec"])
        and _selects(policy["spec"]["podSelector"], subject.labels)
    ]
    rules = [rule for spec in isolating for rule in spec.get(direction.lower(), [])]
    side = "from" if direction == "Ingress" else "to"
    return not isolating or any(_has_port(rule, wanted) and _has_peer(rule.get(side), subject, peer) for rule in rules)


def _types(spec):
    return spec.get("policyTypes") or ["Ingress", "Egress" if spec.get("egress") else "Ingress"]


def _has_port(rule, wanted):
    number, transport, names = wanted
    for one in rule.get("ports") or [{"protocol": transport}]:
        low = one.get("port")
        right = low is None or low in names or (low != str(low) and low <= number <= one.get("endPort", low))
        if right and one.get("protocol", "TCP") == transport:
            return True
    return False


def _has_peer(peers, subject, peer):
    return not peers or any(_is_peer(one, subject, peer) for one in peers)


def _is_peer(one, subject, peer):
    if "ipBlock" in one:
        return peer.address is not None and _in_block(one["ipBlock"], ipaddress.ip_address(peer.address))
    if peer.namespace == "":
        return False
    if "namespaceSelector" in one:
        labels = {"kubernetes.io/metadata.name": peer.namespace, **peer.namespace_labels}
        if not _selects(one["namespaceSelector"], labels):
            return False
    elif peer.namespace != subject.namespace:
        return False
    return _selects(one.get("podSelector", {}), peer.labels)


def _in_block(block, address):
    holes = block.get("except", [])
    return address in ipaddress.ip_network(block["cidr"]) and all(
        address not in ipaddress.ip_network(hole) for hole in holes
    )


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
