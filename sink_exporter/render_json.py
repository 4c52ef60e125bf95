"""The call graph as JSON, with the evidence of every arrow. Pure.

One document; each arrow on a line of its own, after what the graph rests on, where that is known. Times are RFC 3339 in
UTC with nanoseconds, because a number of that size does not survive JavaScript and jq.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sink_exporter.graph import Arrow, CallGraph
from sink_exporter.json_text import encode_json
from sink_exporter.render_yaml import API_VERSION, KIND
from sink_exporter.timestamps import format_time


def render_json(graph: CallGraph) -> str:
    """Render the graph as one JSON document."""
    coverage = f'"coverage":{encode_json(graph.coverage)},\n' if graph.coverage else ""
    owners = f'"owners":{encode_json(_owners(graph))},\n' if graph.owners else ""
    return (
        f'{{"apiVersion":"{API_VERSION}","kind":"{KIND}",\n{coverage}{owners}'
        f'"calls":[{_lines(graph.calls)}],\n"external":[{_lines(graph.external)}]}}\n'
    )


def render_json_lines(graph: CallGraph) -> str:
    """Render the graph as JSON Lines, one arrow on each."""
    return "".join(f"{encode_arrow(arrow)}\n" for arrow in graph.arrows)


def encode_arrow(arrow: Arrow) -> str:
    """Encode one arrow on one line."""
    fields: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(arrow).items()
        if value is not False and value not in ((), None)
    }
    for name in ("first_seen", "last_seen"):
        if name in fields:
            fields[name] = format_time(fields[name])
    return encode_json(fields)


def _owners(graph: CallGraph) -> list[dict[str, Any]]:
    ordered = sorted(graph.owners.items(), key=lambda item: (*msgspec.structs.astuple(item[0]), item[1]))
    return [{"workload": workload, "owner": owner} for workload, owner in ordered]


def _lines(arrows: Iterable[Arrow]) -> str:
    """Write a line for each; the brackets stand on lines of their own, so that a first arrow changes no other line."""
    lines = ",\n".join(encode_arrow(arrow) for arrow in arrows)
    return f"\n{lines}\n" if lines else "\n"
