"""Names for the nodes of drawings: stable, so that one more arrow changes no other line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from itertools import chain
from urllib.parse import quote

from callgraph.records import Workload
from sink_exporter.graph import Arrow

OUTSIDE = "outside the cluster"


def path_of(workload: Workload) -> str:
    """Return cluster, namespace, kind and name as one path that stands for this workload and no other; ASCII."""
    parts = (workload.cluster, workload.namespace, workload.kind, workload.name)
    return "/".join(quote(part, safe="", errors="backslashreplace") for part in parts)


def digest_of(text: str) -> str:
    """Return a short identifier made of letters and digits, for languages that allow nothing else."""
    return "n" + sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def list_workloads(arrows: Iterable[Arrow]) -> list[Workload]:
    """Return the workloads at either end, sorted by path."""
    return sorted(set(chain.from_iterable((arrow.client, arrow.server) for arrow in arrows)), key=path_of)
