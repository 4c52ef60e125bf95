"""`whocalls serve`: the live page, over the call-graph topic or a file. Shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from whocalls.options import input_options, settings_options, take_settings

if TYPE_CHECKING:
    from sink_exporter.graph import CallGraph
    from whocalls.configuration import Settings


@click.command("serve")
@input_options
@click.option("--baseline", metavar="SIDE", help="What to compare to in the view of changes, as `diff` takes it.")
@settings_options("kafka", "topics", "log", "page")
def serve_command(input_file: str | None, baseline: str | None, **parameters: Any) -> None:
    """The live page: who calls whom, in a browser. On loopback unless page.listen says otherwise."""
    from callgraph.telemetry import LeanLogger  # noqa: PLC0415  (help stays light)
    from sink_exporter.page_program import PageSource, run_page  # noqa: PLC0415

    settings = take_settings(parameters)
    source = PageSource(
        settings.kafka,
        settings.topics,
        graph=None if input_file is None else _read_input(input_file),
        baseline=None if baseline is None else _read_baseline(baseline, settings),
    )
    run_page(source, settings.page, LeanLogger(settings.log, role="page"))


def _read_input(path: str) -> CallGraph:
    from sink_exporter.program import load_graph_from_file  # noqa: PLC0415  (git and forges: 3 MB, kept while it serves)

    return load_graph_from_file(path)


def _read_baseline(side: str, settings: Settings) -> CallGraph:
    from sink_exporter.graph import CallGraph  # noqa: PLC0415  (help stays light)
    from whocalls.sides import as_graph, read_side  # noqa: PLC0415

    return as_graph(read_side(side, settings), CallGraph())
