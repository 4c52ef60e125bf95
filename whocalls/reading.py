"""The reading commands: the graph from Kafka or a file, for people and for tools. Shell."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from callgraph.errors import ConfigurationError, InputError, WhocallsError
from sink_exporter.difference import DIFFERENCE_FORMS, describe_arrows, filter_difference, render_difference
from sink_exporter.evidence_text import render_evidence, render_workloads
from sink_exporter.filters import Filter, filter_graph
from sink_exporter.formats import FORMATS
from sink_exporter.gate import find_new_calls, parse_allowed_calls
from sink_exporter.graph import CallGraph
from sink_exporter.graphviz import PICTURES
from sink_exporter.network_policy import Direction
from sink_exporter.policy_check import PolicyReport, check_policies, filter_report
from sink_exporter.policy_formats import POLICY_FORMATS, render_policies
from sink_exporter.policy_report import render_policy_report
from sink_exporter.policy_rules import PolicySet
from sink_exporter.render_json import render_json_lines
from whocalls.cluster_facts import load_facts
from whocalls.git_export import git_options
from whocalls.options import input_options, settings_options, take_settings
from whocalls.rendering import (
    choose_part,
    filter_options,
    kube_option,
    label_options,
    output_options,
    print_graph,
    take_filter,
    write_output,
)
from whocalls.sides import LIVE, Side, as_graph, comes_from_kafka, compare_sides, read_side

DIRECTIONS = get_args(Direction)
DIFFERENCES_FOUND = 3
PAGE = "html"
"""The page is a format of `export` only: it is built from files of the package, and is no text for a repository."""

if TYPE_CHECKING:
    from sink_exporter.kube_facts import KubeFacts
    from whocalls.configuration import Settings


@click.command("list")
@input_options
@output_options
@filter_options
@label_options
@kube_option
@settings_options("kafka", "topics")
def list_command(input_file: str | None, kube: str | None, **parameters: Any) -> None:
    """Who calls whom, from the call-graph topic or from a file.

    \b
    Examples:
      whocalls list -n shop
      whocalls list --from checkout --since 1h -o wide -L team
      whocalls list --group-by team -o mermaid
    """  # noqa: D301  (click reads the escape)
    settings = take_settings(parameters)
    print_graph(
        _read(input_file, settings),
        parameters,
        empty=_why_empty(input_file, settings),
        facts=_facts_from(kube, input_file, settings),
    )


@click.command("export")
@click.argument(
    "output", metavar="[FORMAT]", type=click.Choice([*FORMATS, *PICTURES, PAGE, *POLICY_FORMATS]), required=False
)
@git_options
@click.option("-O", "--output-file", type=click.Path(), help="Write here, not to stdout.")
@click.option("--direction", type=click.Choice(DIRECTIONS), default="ingress", show_default=True, help="For policies.")
@click.option("--baseline", metavar="SIDE", help="For html: what to compare to, as `diff` takes it.")
@input_options
@filter_options
@label_options
@kube_option
@settings_options("kafka", "topics")
def export_command(input_file: str | None, kube: str | None, direction: Direction, **parameters: Any) -> None:
    """Write the graph in a format, as a picture, or as drafts of policies; or keep it in a repository.

    \b
    Examples:
      whocalls export mermaid -n shop -O shop.mmd
      whocalls export --git git@github.com:you/maps.git --branch main --path callgraph --interval 5m
    """  # noqa: D301  (click reads the escape)
    settings = take_settings(parameters)
    graph, empty = _read(input_file, settings), _why_empty(input_file, settings)
    facts = _facts_from(kube, input_file, settings)
    baseline = parameters.pop("baseline")
    if parameters["output"] == PAGE:
        other = as_graph(read_side(baseline, settings), graph) if baseline else None
        _export_page(graph, parameters, empty=empty, baseline=other)
        return
    if parameters["output"] not in POLICY_FORMATS:
        print_graph(graph, parameters, empty=empty, facts=facts)
        return
    form, path = parameters.pop("output"), parameters.pop("output_file")
    if parameters.pop("label_columns") or parameters.pop("group_by"):
        raise ConfigurationError("policies are drafted for workloads, not for labels (leave out -L and --group-by)")
    chosen = choose_part(graph, take_filter(parameters), empty=empty)
    write_output(render_policies(chosen, form, facts(), direction=direction), path)


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
@click.option("-o", "--output", type=click.Choice(["text", "jsonl"]), default="text", show_default=True)
@input_options
@settings_options("kafka", "topics")
def why_command(client: str, server: str, output: str, input_file: str | None, **parameters: Any) -> None:
    """The evidence of a call: names asked for, ports, nodes, first and last seen, raw batches to look at."""
    graph = _read(input_file, take_settings(parameters))
    meant = filter_graph(graph, Filter(clients=(client,), servers=(server,)))
    text = render_json_lines(meant) if output == "jsonl" else render_evidence(meant, client, server)
    _print_or_fail(text, f"no call from {client!r} to {server!r} was seen")


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("-o", "--output", type=click.Choice(DIFFERENCE_FORMS), default="text", show_default=True)
@filter_options
@kube_option
@settings_options("kafka", "topics", "attribution")
def diff_command(before: str, after: str, output: str, kube: str | None, **parameters: Any) -> int:
    """What differs between two graphs, or between calls and what was declared. Exit code 3 where they differ.

    \b
    Each side is one of
      live                  the call graph in Kafka, as it is now
      PATH                  a file or a folder: a graph, ClientIntents, NetworkPolicies
      git:REVISION:PATH     the same, as git knows it (also REVISION:PATH)
      TIME                  all that was seen until then, from the raw topics: 2h, 2026-01-31T12:00:00Z
      FROM..TO              what was seen between two times
    \b
    Examples:
      whocalls diff git:HEAD~1:callgraph callgraph
      whocalls diff 7d..1d 1d.. -o markdown
      whocalls diff intents/ live
      whocalls diff policies/ live
    """  # noqa: D301  (click reads the escape)
    settings = take_settings(parameters)
    wanted = take_filter(parameters)
    one, other = read_side(before, settings), read_side(after, settings)
    if isinstance(one, PolicySet) or isinstance(other, PolicySet):
        facts = load_facts(kube, settings, live=comes_from_kafka(before) or comes_from_kafka(after))
        report = _check_policies(one, other, facts, wanted)
        click.echo(render_policy_report(report, output), nl=False)
        return DIFFERENCES_FOUND if report else 0
    difference = filter_difference(compare_sides(one, other), wanted)
    click.echo(render_difference(difference, output), nl=False)
    return DIFFERENCES_FOUND if difference else 0


@click.command("gate")
@click.option("--baseline", required=True, metavar="SIDE", help="The graph that is agreed on, named as for `diff`.")
@click.option("--allow", metavar="FILE", help="Rules of further calls that are fine: CLIENT -> SERVER, a rule a line.")
@click.option("--input", "now", metavar="SIDE", default=LIVE, show_default=True, help="The graph that is held to it.")
@filter_options
@settings_options("kafka", "topics", "attribution")
def gate_command(baseline: str, allow: str | None, now: str, **parameters: Any) -> int:
    """A line for every call that is new and not allowed; exit code 3 where there is one. For pipelines."""
    settings = take_settings(parameters)
    wanted = take_filter(parameters)
    allowed = parse_allowed_calls(_read_text(allow), repr(allow)) if allow else ()
    agreed = read_side(baseline, settings)
    graph = filter_graph(as_graph(read_side(now, settings), CallGraph()), wanted)
    new = find_new_calls(as_graph(agreed, graph), graph, allowed)
    for line in describe_arrows(new):
        click.echo(line)
    return DIFFERENCES_FOUND if new else 0


def _check_policies(one: Side, other: Side, facts: KubeFacts, wanted: Filter) -> PolicyReport:
    policies, calls = (one, other) if isinstance(one, PolicySet) else (other, one)
    if not isinstance(policies, PolicySet) or not isinstance(calls, CallGraph):
        raise ConfigurationError("policies are compared with a graph of calls that were seen (diff POLICIES live)")
    return filter_report(check_policies(calls, policies.policies, facts), wanted)


def _export_page(graph: CallGraph, parameters: dict[str, Any], *, empty: str, baseline: CallGraph | None) -> None:
    """Write the page; it hides infrastructure by itself, where it can be shown again."""
    from sink_exporter.page_source import render_page  # noqa: PLC0415  (0.05 s that no other format needs)

    if parameters["label_columns"] or parameters["group_by"]:
        raise ConfigurationError("the page shows workloads, not labels (leave out -L and --group-by)")
    chosen = choose_part(graph, take_filter(parameters), empty=empty)
    write_output(render_page(chosen, baseline), parameters["output_file"])


def _print_or_fail(text: str, otherwise: str) -> None:
    if not text:
        raise WhocallsError(otherwise)
    click.echo(text, nl=False)


def _facts_from(kube: str | None, input_file: str | None, settings: Settings) -> Callable[[], KubeFacts]:
    return cache(lambda: load_facts(kube, settings, live=input_file is None))


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
