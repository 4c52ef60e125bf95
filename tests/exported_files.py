"""The exporter's YAML files, read back as who calls whom. Shell: reads a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Graph = dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]]


def exported(folder: Path) -> Graph:
    """Read the files as (namespace, client) to (namespace, server) to the evidence; outside has no namespace."""
    graph: Graph = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.load_all(file.read_text(encoding="utf-8"), _LOADER):
            home = document["metadata"]["namespace"]
            for service in document["services"]:
                graph[home, service["name"]] = _servers(service, home)
    return graph


def _servers(service, home):
    inside = {(each.get("namespace", home), each["name"]): _evidence(each) for each in service.get("calls", ())}
    outside = {("", each["name"]): _evidence(each) for each in service.get("external", ())}
    return inside | outside


def _evidence(server):
    return {key: server[key] for key in ("via", "ports") if key in server}


# The same documents ten times as fast, where libyaml is there.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
