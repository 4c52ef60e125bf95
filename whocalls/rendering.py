"""What the reading commands share: filters, formats, where the output goes. Shell: writes to stdout or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sink_exporter.files import write_atomically
from sink_exporter.filters import Filter, filter_graph
from sink_exporter.formats import FORMATS, render_graph

if TYPE_CHECKING:
    from sink_exporter.graph import CallGraph

F = TypeVar("F", bound=Callable[..., Any])


def input_options(command: F) -> F:
    """Add `--input FILE|-`."""
    return click.option(
        "--input", "input_file", metavar="FILE", help="Read an export (file, folder or - for stdin), not Kafka."
    )(command)


def output_options(command: F) -> F:
    """Add `-o FORMAT` and `-O PATH`."""
    command = click.option("-O", "--output-file", type=click.Path(), help="Write here, not to stdout.")(command)
    return click.option("-o", "--output", type=click.Choice(list(FORMATS)), default="text", show_default=True)(command)


def filter_options(command: F) -> F:
    """Add the filters that every reading command understands alike."""
    options = (
        click.option(
            "-n", "--namespace", "namespaces", multiple=True, help="Calls with an end in this namespace (glob)."
        ),
        click.option("--from", "clients", multiple=True, help="Calls from this client: NAME or NS/NAME (glob)."),
        click.option("--to", "servers", multiple=True, help="Calls to this server: NAME or NS/NAME (glob)."),
        click.option("--exclude", multiple=True, help="Leave out calls with this end: NAME or NS/NAME (glob)."),
        click.option("--external/--no-external", default=True, show_default=True, help="Show calls to outside."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def print_graph(graph: CallGraph, *, output: str, output_file: str | None, empty: str, **filters: Any) -> None:
    """Filter the graph and write it in the format asked for; an empty one says why on stderr."""
    write_output(render_graph(choose_part(graph, empty=empty, **filters), output), output_file)


def choose_part(graph: CallGraph, *, empty: str, **filters: Any) -> CallGraph:
    """Filter the graph; an empty one says why on stderr."""
    chosen = filter_graph(graph, Filter(**filters))
    if not chosen.arrows:
        click.echo(empty if not graph.arrows else "no call passes the filters", err=True)
    return chosen


def write_output(text: str, path: str | None) -> None:
    """Write to a file, whole or not at all, or to stdout."""
    if path in (None, "-"):
        click.echo(text, nl=False)
    else:
        write_atomically(Path(str(path)), text.encode())
