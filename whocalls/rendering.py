"""What the reading commands share: filters, formats, where the output goes. Shell: writes to stdout or a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec.structs import replace

from callgraph.errors import ConfigurationError
from sink_exporter.files import write_atomically
from sink_exporter.filters import Filter, filter_graph
from sink_exporter.formats import FORMATS, render_graph
from sink_exporter.graphviz import PICTURES, draw_picture
from sink_exporter.labels import LabelColumns, group_by_label
from sink_exporter.render_csv import render_csv
from sink_exporter.render_wide import render_wide
from whocalls.moments import parse_moment

if TYPE_CHECKING:
    from sink_exporter.graph import CallGraph
    from sink_exporter.kube_facts import KubeFacts

F = TypeVar("F", bound=Callable[..., Any])

_WITH_LABELS = {"csv": render_csv, "wide": render_wide}


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
        click.option(
            "--include-external/--no-external", "external", default=True, show_default=True, help="Calls to outside."
        ),
        click.option(
            "--infrastructure/--no-infrastructure",
            default=None,
            help="Calls of DNS, the API server, scrapers and the like. [default: not in what is drawn for people]",
        ),
        click.option(
            "--since", metavar="TIME", help="Calls seen since: 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def label_options(command: F) -> F:
    """Add what concerns the labels of workloads."""
    command = click.option(
        "--group-by", metavar="LABEL", help="Show the values of a label in place of the workloads that carry it."
    )(command)
    return click.option(
        "-L", "--label-columns", multiple=True, metavar="LABEL", help="A column more for each end (csv, wide)."
    )(command)


def kube_option(command: F) -> F:
    """Add `--kube FILE`."""
    return click.option(
        "--kube",
        metavar="FILE",
        help="For labels and policies: `kubectl get deployments,pods,services,… -A -o json`. [default: the inventory]",
    )(command)


def take_filter(parameters: dict[str, Any], *, drawn: bool = False) -> Filter:
    """Take the filters out of a command's parameters; what is drawn for people hides infrastructure by itself.

    Raises ConfigurationError.
    """
    names = ("namespaces", "clients", "servers", "exclude", "external")
    fields = {name: parameters.pop(name) for name in names}
    infrastructure, since = parameters.pop("infrastructure"), parameters.pop("since")
    return Filter(
        **fields,
        infrastructure=not drawn if infrastructure is None else infrastructure,
        since=parse_moment(since, now=time.time_ns()) if since else None,
    )


def print_graph(graph: CallGraph, parameters: dict[str, Any], *, empty: str, facts: Callable[[], KubeFacts]) -> None:
    """Filter the graph and write it in the format asked for; an empty one says why on stderr.

    `facts` are asked for only where labels are. Raises ConfigurationError.
    """
    form, path = parameters.pop("output"), parameters.pop("output_file")
    keys, group_by = parameters.pop("label_columns"), parameters.pop("group_by")
    if keys and form not in _WITH_LABELS:
        raise ConfigurationError(f"labels stand in columns of {' and '.join(_WITH_LABELS)}, not of {form} (-o wide)")
    drawn = form in PICTURES or FORMATS[form].drawn
    chosen = choose_part(graph, take_filter(parameters, drawn=drawn), empty=empty)
    if group_by:
        chosen = group_by_label(chosen, group_by, facts().labels_of)
    if keys:
        write_output(_WITH_LABELS[form](chosen, LabelColumns(keys=keys, labels_of=facts().labels_of)), path)
    elif form in PICTURES:
        write_output(draw_picture(render_graph(chosen, "dot"), form, arrows=len(chosen.arrows)), path)
    else:
        write_output(render_graph(chosen, form), path)


def choose_part(graph: CallGraph, wanted: Filter, *, empty: str) -> CallGraph:
    """Filter the graph; says on stderr why it is empty, and how much infrastructure was hidden."""
    chosen = filter_graph(graph, wanted)
    hidden = 0
    if not wanted.infrastructure:
        hidden = len(filter_graph(graph, replace(wanted, infrastructure=True)).arrows) - len(chosen.arrows)
    if hidden:
        click.echo(f"{hidden} calls of infrastructure are hidden (--infrastructure shows them)", err=True)
    elif not chosen.arrows:
        click.echo(empty if not graph.arrows else "no call passes the filters", err=True)
    if wanted.since is not None and any(arrow.last_seen is None for arrow in chosen.arrows):
        click.echo("the input does not say when some calls were seen: --since kept them", err=True)
    return chosen


def write_output(content: str | bytes, path: str | None) -> None:
    """Write to a file, whole or not at all, or to stdout."""
    if path in (None, "-"):
        click.echo(content, nl=False)
    else:
        write_atomically(Path(str(path)), content.encode() if isinstance(content, str) else content)
