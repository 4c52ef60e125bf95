"""`whocalls watch`: every call as it becomes known, gains evidence or expires. Shell: Kafka, stdout, signals."""

from __future__ import annotations

from typing import Any

import click

from sink_exporter.difference import Difference, filter_difference, render_difference, render_difference_lines
from sink_exporter.filters import Filter
from whocalls.options import settings_options, take_settings
from whocalls.rendering import filter_options, take_filter


@click.command("watch")
@click.option("-o", "--output", type=click.Choice(["text", "jsonl"]), default="text", show_default=True)
@filter_options
@settings_options("kafka", "topics")
def watch_command(output: str, **parameters: Any) -> None:
    """Every change of the graph as it happens: + a new call, ~ other evidence or ports, - one that expired.

    \b
    Examples:
      whocalls watch -n shop
      whocalls watch --to data/redis -o jsonl
    """  # noqa: D301  (click reads the escape)
    settings = take_settings(parameters)
    wanted = take_filter(parameters, drawn=output == "text")
    from sink_exporter.edge_reader import EdgeReader  # noqa: PLC0415  (28 MB that the help does without)
    from sink_exporter.edge_table import EdgeTable  # noqa: PLC0415
    from sink_exporter.pair_changes import PairChanges  # noqa: PLC0415
    from sink_exporter.program import stopped_by_signals  # noqa: PLC0415

    pairs, table = PairChanges(), EdgeTable(track_changes=True)
    with (
        stopped_by_signals() as stopped,
        EdgeReader(settings.kafka, settings.topics, client_id="whocalls-reader", table=table) as reader,
    ):
        reader.read_to_end(stopped)
        pairs.take(table.take_changes())
        click.echo(f"watching {len(pairs)} calls of the topic {reader.topic!r}", err=True)
        while not stopped.is_set():
            reader.follow()
            _print(pairs.take(table.take_changes()), output, wanted)


def _print(difference: Difference, output: str, wanted: Filter) -> None:
    chosen = filter_difference(difference, wanted)
    text = render_difference(chosen, "text") if output == "text" else render_difference_lines(chosen)
    if text:
        click.echo(text, nl=False)
