"""Whose domain an external host is of, as its name says. Pure.

It is not certain, so it decides nothing of what is in the graph: the page shows the hosts of one domain as one.
"""

from __future__ import annotations

from callgraph.addresses import is_address
from callgraph.records import Workload
from sink_exporter.graph import is_external

_SHARED_ENDINGS = frozenset(
    {"ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ne", "net", "or", "org"},
)
"""Second labels that registries of countries sell below (`example.co.uk`)."""


def find_domain(workload: Workload) -> str:
    """Return the domain that an external host belongs to, an address as it is; empty within the cluster.

    An approximation without the list of public suffixes: two labels, three below a country's shared ending.
    """
    if not is_external(workload):
        return ""
    labels = workload.name.split(".")
    if is_address(workload.name) or len(labels) < 3:
        return workload.name
    is_shared = len(labels[-1]) == 2 and labels[-2] in _SHARED_ENDINGS
    return ".".join(labels[-3 if is_shared else -2 :])
