"""`whocalls map`: captures and Kubernetes objects to the graph, with no broker. Shell: reads files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from callgraph.errors import ConfigurationError
from callgraph.records import ConnectionObservation, DnsObservation
from whocalls.options import settings_options, take_settings
from whocalls.rendering import filter_options, output_options, print_graph


@click.command("map")
@click.argument("captures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--kube", required=True, help="Objects, as `kubectl get pods,services,… -A -o json` prints them.")
@click.option("--sockets", multiple=True, type=click.Path(path_type=Path), help="Saved tree of /proc/*/net files.")
@click.option("--events", default="", help="Watch events, one JSON a line, applied after the objects.")
@click.option("--node", default="", help="Node that the captures were made on (where two pods share an address).")
@output_options
@filter_options
@settings_options("attribution")
def map_command(
    captures: tuple[Path, ...],
    kube: str,
    sockets: tuple[Path, ...],
    events: str,
    node: str,
    **parameters: Any,
) -> None:
    r"""Captures (pcap, pcapng) and Kubernetes objects to the graph, offline.

    \b
    Example:
      kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json > objects.json
      tcpdump -i any -w capture.pcap 'port 53 or (tcp[13] & 0x12 = 2)'
      whocalls map capture.pcap --kube objects.json
    """
    from sink_exporter.graph import build_graph  # noqa: PLC0415  (help must not load the processor)
    from stream_processor.object_files import read_objects  # noqa: PLC0415
    from whocalls.offline import build_inventory, map_observations  # noqa: PLC0415

    if not captures and not sockets:
        raise ConfigurationError("whocalls map has nothing to look at (name a capture, or --sockets FOLDER)")
    settings = take_settings(parameters)
    read = read_objects(kube, events, cluster=settings.cluster, attribution=settings.attribution)
    inventory = build_inventory(read.objects, settings.attribution, cluster=settings.cluster)
    refused: Counter[str] = Counter()
    edges = map_observations(
        _observe(captures, sockets, refused),
        inventory,
        settings.attribution,
        cluster=settings.cluster,
        node=node,
        refused=refused,
    )
    _report("objects left out", Counter(read.skipped))
    _report("seen, but not attributed", refused)
    print_graph(build_graph(edges), empty="no call was attributed", **parameters)


def _observe(
    captures: Iterable[Path], sockets: Iterable[Path], refused: Counter[str]
) -> Iterator[DnsObservation | ConnectionObservation]:
    from capture_agent.capture_file import observe_capture  # noqa: PLC0415

    from capture_agent.proc_tree import observe_proc_tree  # noqa: PLC0415
    from capture_agent.replay import read_frames  # noqa: PLC0415

    for capture in captures:
        for seen in observe_capture(read_frames(capture)):
            if isinstance(seen, DnsObservation | ConnectionObservation):
                yield seen
            else:
                refused[seen.reason] += 1
    for folder in sockets:
        yield from observe_proc_tree(folder)


def _report(what: str, counts: Counter[str]) -> None:
    if counts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        click.echo(f"{what}: {reasons}", err=True)
