"""`whocalls list` and `whocalls export`: the graph from Kafka or a file, for people and for tools. Shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sink_exporter.formats import FORMATS
from whocalls.options import settings_options, take_settings
from whocalls.rendering import filter_options, input_options, output_options, print_graph

if TYPE_CHECKING:
    from sink_exporter.graph import CallGraph
    from whocalls.configuration import Settings


@click.command("list")
@input_options
@output_options
@filter_options
@settings_options("kafka", "topics")
def list_command(input_file: str | None, **parameters: Any) -> None:
    """Who calls whom, from the call-graph topic or from a file."""
    settings = take_settings(parameters)
    print_graph(_read(input_file, settings), empty=_why_empty(input_file, settings), **parameters)


@click.command("export")
@click.argument("output", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@click.option("-O", "--output-file", type=click.Path(), help="Write here, not to stdout.")
@input_options
@filter_options
@settings_options("kafka", "topics")
def export_command(input_file: str | None, **parameters: Any) -> None:
    """Write the graph in a format."""
    settings = take_settings(parameters)
    print_graph(_read(input_file, settings), empty=_why_empty(input_file, settings), **parameters)


def _read(input_file: str | None, settings: Settings) -> CallGraph:
    from sink_exporter.program import load_graph, load_graph_from_file  # noqa: PLC0415  (help stays light)

    if input_file is not None:
        return load_graph_from_file(input_file)
    return load_graph(settings.kafka, settings.topics)


def _why_empty(input_file: str | None, settings: Settings) -> str:
    if input_file is not None:
        return f"{input_file!r} holds no call"
    return (
        f"the topic '{settings.topics.prefix}call-graph' at {settings.kafka.bootstrap_servers} holds no call yet "
        "(are agents, watcher and processor running?)"
    )
