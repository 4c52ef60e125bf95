"""The reading commands: the graph from Kafka or a file, for people and for tools. Shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from callgraph.errors import ConfigurationError, InputError, WhocallsError
from sink_exporter.difference import compare_graphs, describe_arrows, render_difference
from sink_exporter.evidence_text import render_evidence, render_workloads
from sink_exporter.formats import FORMATS
from sink_exporter.gate import find_new_calls, parse_allowed_calls
from sink_exporter.kube_facts import KubeFacts, parse_kube_facts
from sink_exporter.network_policy import Direction
from sink_exporter.policy_formats import POLICY_FORMATS, render_policies
from whocalls.options import settings_options, take_settings
from whocalls.rendering import choose_part, filter_options, input_options, output_options, print_graph, write_output

DIRECTIONS = get_args(Direction)
DIFFERENCES_FOUND = 3

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
@click.argument("output", metavar="FORMAT", type=click.Choice([*FORMATS, *POLICY_FORMATS]))
@click.option("-O", "--output-file", type=click.Path(), help="Write here, not to stdout.")
@click.option(
    "--kube", help="For policies: `kubectl get …,deployments,… -A -o json`, to take selectors and ports from."
)
@click.option("--direction", type=click.Choice(DIRECTIONS), default="ingress", show_default=True, help="For policies.")
@input_options
@filter_options
@settings_options("kafka", "topics")
def export_command(input_file: str | None, kube: str | None, direction: Direction, **parameters: Any) -> None:
    """Write the graph in a format, or drafts of policies that allow what was seen."""
    settings = take_settings(parameters)
    graph, empty = _read(input_file, settings), _why_empty(input_file, settings)
    if parameters["output"] not in POLICY_FORMATS:
        print_graph(graph, empty=empty, **parameters)
        return
    if kube is None:
        raise ConfigurationError("drafts of policies need --kube FILE (selectors and ports are not in the graph)")
    form, path = parameters.pop("output"), parameters.pop("output_file")
    chosen = choose_part(graph, empty=empty, **parameters)
    write_output(render_policies(chosen, form, _read_facts(kube), direction=direction), path)


@click.command("show")
@click.argument("workload", metavar="NAME|NS/NAME")
@input_options
@settings_options("kafka", "topics")
def show_command(workload: str, input_file: str | None, **parameters: Any) -> None:
    """Who calls a workload, and whom it calls."""
    graph = _read(input_file, take_settings(parameters))
    _print_or_fail(render_workloads(graph, workload), f"no workload in the graph is meant by {workload!r}")


@click.command("why")
@click.argument("client", metavar="CLIENT")
@click.argument("server", metavar="SERVER")
@input_options
@settings_options("kafka", "topics")
def why_command(client: str, server: str, input_file: str | None, **parameters: Any) -> None:
    """The evidence of a call: names asked for, ports, nodes, first and last seen, raw batches to look at."""
    graph = _read(input_file, take_settings(parameters))
    _print_or_fail(render_evidence(graph, client, server), f"no call from {client!r} to {server!r} was seen")


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("-o", "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@settings_options("kafka", "topics")
def diff_command(before: str, after: str, output: str, **parameters: Any) -> int:
    """What differs between two graphs: files, folders of an export, or `live`. Exit code 3 where they differ."""
    settings = take_settings(parameters)
    difference = compare_graphs(_read_side(before, settings), _read_side(after, settings))
    click.echo(render_difference(difference, output), nl=False)
    return DIFFERENCES_FOUND if difference else 0


@click.command("gate")
@click.option("--baseline", required=True, metavar="FILE", help="The graph that is agreed on: a file or an export.")
@click.option("--allow", metavar="FILE", help="Rules of further calls that are fine: CLIENT -> SERVER, a rule a line.")
@input_options
@settings_options("kafka", "topics")
def gate_command(baseline: str, allow: str | None, input_file: str | None, **parameters: Any) -> int:
    """A line for every call that is new and not allowed; exit code 3 where there is one. For pipelines."""
    settings = take_settings(parameters)
    allowed = parse_allowed_calls(_read_text(allow), repr(allow)) if allow else ()
    new = find_new_calls(_read_side(baseline, settings), _read(input_file, settings), allowed)
    for line in describe_arrows(new):
        click.echo(line)
    return DIFFERENCES_FOUND if new else 0


def _print_or_fail(text: str, otherwise: str) -> None:
    if not text:
        raise WhocallsError(otherwise)
    click.echo(text, nl=False)


def _read_side(text: str, settings: Settings) -> CallGraph:
    return _read(None if text == "live" else text, settings)


def _read_facts(path: str) -> KubeFacts:
    return parse_kube_facts(_read_text(path).encode(), repr(path))


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path!r}: {error}") from error


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
