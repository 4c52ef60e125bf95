"""DNS names of a cluster, taken apart. Pure.

In: a name in lower case without trailing dot, and the cluster's domain. Out: what the name says, which is never proof
of who answers (R7). Source: Kubernetes DNS-Based Service Discovery specification 1.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from callgraph.addresses import canonical_address

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class ServiceName(NamedTuple):
    """`[host.]service.namespace.svc.domain`; the host and SRV labels in front decide nothing (R7.3)."""

    namespace: str
    service: str


class PodName(NamedTuple):
    """`a-b-c-d.namespace.pod.domain`; resolvers may answer any address for it, so it proves nothing (R7.2)."""

    namespace: str
    address: str


class Question(NamedTuple):
    """What a DNS answer was asked for, after its CNAME chain: a name of the cluster, or an outside name."""

    inside: ServiceName | PodName | None
    outside: str


def parse_name(name: str, domain: str) -> ServiceName | PodName | None:
    """Take a name of the cluster apart; None for any other name, malformed ones of the cluster included."""
    suffix = "." + domain
    if not name.endswith(suffix):
        return None
    labels = name[: -len(suffix)].split(".")
    if len(labels) >= 3 and labels[-1] == "svc" and all(_LABEL.fullmatch(label) for label in labels[-3:-1]):
        return ServiceName(labels[-2], labels[-3])
    if len(labels) == 3 and labels[-1] == "pod" and (address := undash(labels[0])):
        return PodName(labels[1], address)
    return None


def undash(label: str) -> str | None:
    """Return the address that a pod name's first label spells: `10-0-1-7`, `fd00-10--46`."""
    for separator in (".", ":"):
        try:
            return canonical_address(label.replace("-", separator))
        except ValueError:
            continue
    return None


def read_question(asked: str, cnames: Sequence[str], domain: str) -> Question:
    """Choose the name that decides (R7.7, R6.5).

    The last in-cluster name of the chain, if the chain ends there; what follows it, if it is an alias of something
    outside (ExternalName, autopath); without any in-cluster name the name that was asked for.
    """
    if not cnames:
        return Question(parse_name(asked, domain), asked)
    chain = (asked, *cnames)
    for index in range(len(chain) - 1, -1, -1):
        inside = parse_name(chain[index], domain)
        if inside is not None:
            last = index == len(chain) - 1
            return Question(inside if last else None, chain[index if last else index + 1])
    return Question(None, asked)
