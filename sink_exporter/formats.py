"""Every format that the graph is written in. Pure.

`tracked` formats hold nothing that changes by itself, so they belong in a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from callgraph.errors import ConfigurationError
from sink_exporter.client_intents import render_client_intents, render_client_intents_json
from sink_exporter.graph import CallGraph
from sink_exporter.render_backstage import render_backstage
from sink_exporter.render_csv import render_csv
from sink_exporter.render_dot import render_dot
from sink_exporter.render_graphml import render_graphml
from sink_exporter.render_json import render_json, render_json_lines
from sink_exporter.render_mermaid import render_mermaid
from sink_exporter.render_text import render_text
from sink_exporter.render_wide import render_wide
from sink_exporter.render_yaml import render_yaml


class Format(Struct, frozen=True, kw_only=True):
    """One format: what it is for, the file that an export writes it to, and its renderer.

    `drawn` ones are looked at, not read again: commands leave infrastructure out of them unless it is asked for.
    """

    about: str
    file: str
    render: Callable[[CallGraph], str]
    tracked: bool = True
    drawn: bool = False


FORMATS: dict[str, Format] = {
    "text": Format(about="For people: who calls whom.", file="callgraph.txt", render=render_text, drawn=True),
    "wide": Format(
        about="The same as a table, with evidence.",
        file="callgraph.wide.txt",
        render=render_wide,
        tracked=False,
        drawn=True,
    ),
    "yaml": Format(about="For a repository: a file for each namespace.", file="callgraph.yaml", render=render_yaml),
    "json": Format(about="One document with all evidence.", file="callgraph.json", render=render_json, tracked=False),
    "jsonl": Format(about="The same, a call a line.", file="callgraph.jsonl", render=render_json_lines, tracked=False),
    "csv": Format(about="For spreadsheets: a row for each port.", file="callgraph.csv", render=render_csv),
    "clientintents": Format(
        about="Otterize ClientIntents, k8s.otterize.com/v2beta1.",
        file="clientintents.yaml",
        render=render_client_intents,
    ),
    "clientintents-json": Format(
        about="The same as JSON, as otterize-cli writes it.",
        file="clientintents.json",
        render=render_client_intents_json,
    ),
    "mermaid": Format(
        about="For a README: a flowchart, capped.", file="callgraph.mmd", render=render_mermaid, drawn=True
    ),
    "dot": Format(about="For Graphviz.", file="callgraph.dot", render=render_dot, drawn=True),
    "graphml": Format(about="For Gephi, yEd and networkx.", file="callgraph.graphml", render=render_graphml),
    "backstage": Format(
        about="Snippets of `dependsOn` for Backstage's components.",
        file="backstage.yaml",
        render=render_backstage,
    ),
}


def find_format(name: str) -> Format:
    """Return the format of this name. Raises ConfigurationError."""
    if name not in FORMATS:
        raise ConfigurationError(f"there is no export format {name!r} (there are {', '.join(FORMATS)})")
    return FORMATS[name]


def are_tracked(names: Iterable[str]) -> bool:
    """Tell whether all these formats hold nothing that changes by itself. Raises ConfigurationError."""
    return all(chosen.tracked for chosen in tuple(map(find_format, names)))


def render_graph(graph: CallGraph, name: str) -> str:
    """Render the graph in the format of this name. Raises ConfigurationError."""
    return find_format(name).render(graph)
