"""`whocalls map`: captures and Kubernetes objects to the graph, with no broker. Shell: reads files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from callgraph.errors import ConfigurationError
from callgraph.records import ConnectionObservation, DnsObservation
from whocalls.cluster_facts import load_facts
from whocalls.options import settings_options, take_settings
from whocalls.rendering import filter_options, label_options, output_options, print_graph

if TYPE_CHECKING:
    from capture_agent.sources import FileSource

_KINDS = ("live", "pcap:", "proc:", "coredns-log:", "calico-log:")


@click.command("map")
@click.argument("sources", metavar="CAPTURE...", nargs=-1)
@click.option("--kube", required=True, help="Objects, as `kubectl get pods,services,… -A -o json` prints them.")
@click.option("--sockets", multiple=True, metavar="FOLDER", help="Saved tree of /proc/*/net files.")
@click.option("--events", default="", help="Watch events, one JSON a line, applied after the objects.")
@click.option("--node", default="", help="Node that the captures were made on (where two pods share an address).")
@output_options
@filter_options
@label_options
@settings_options("attribution")
def map_command(
    sources: tuple[str, ...],
    kube: str,
    sockets: tuple[str, ...],
    events: str,
    node: str,
    **parameters: Any,
) -> None:
    """Captures and Kubernetes objects to the graph, offline.

    A capture is a pcap or pcapng file, or KIND:PATH with the kinds pcap, proc, coredns-log and calico-log.

    \b
    Example:
      kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json > objects.json
      tcpdump -i any -w capture.pcap 'port 53 or (tcp[13] & 0x12 = 2)'
      whocalls map capture.pcap --kube objects.json
    """  # noqa: D301  (click reads the escape)
    from sink_exporter.graph import build_graph  # noqa: PLC0415  (help must not load the processor)
    from stream_processor.object_files import read_objects  # noqa: PLC0415
    from whocalls.offline import build_inventory, map_observations  # noqa: PLC0415

    sources += tuple(f"proc:{folder}" for folder in sockets)
    if not sources:
        raise ConfigurationError("whocalls map has nothing to look at (name a capture, or --sockets FOLDER)")
    settings = take_settings(parameters)
    read = read_objects(kube, events, cluster=settings.cluster, attribution=settings.attribution)
    inventory = build_inventory(read.objects, settings.attribution, cluster=settings.cluster)
    refused: Counter[str] = Counter()
    edges = map_observations(
        _observe(sources, settings.agent.capture.resolver_ports, refused),
        inventory,
        settings.attribution,
        cluster=settings.cluster,
        node=node,
        refused=refused,
    )
    _report("objects left out", Counter(read.skipped))
    _report("seen, but not attributed", refused)
    print_graph(
        build_graph(edges),
        parameters,
        empty="no call was attributed",
        facts=lambda: load_facts(kube, settings, live=False),
    )


def _observe(
    sources: Iterable[str], resolver_ports: tuple[int, ...], refused: Counter[str]
) -> Iterator[DnsObservation | ConnectionObservation]:
    from capture_agent.learned_names import LearnedNames, name_connections  # noqa: PLC0415
    from capture_agent.program import observe_file  # noqa: PLC0415

    names = LearnedNames()
    for source in sources:
        for seen in name_connections(observe_file(_parse_file(source), resolver_ports), names):
            if isinstance(seen, DnsObservation | ConnectionObservation):
                yield seen
            else:
                refused[seen.reason] += 1


def _parse_file(text: str) -> FileSource:
    """Read the name of a capture, or KIND:PATH as `whocalls agent --source` does."""
    from capture_agent.sources import FileSource, parse_source  # noqa: PLC0415

    source = parse_source(text) if text.startswith(_KINDS) else FileSource("pcap", text)
    if not isinstance(source, FileSource):
        raise ConfigurationError("whocalls map reads files (`whocalls up` captures live)")
    return source


def _report(what: str, counts: Counter[str]) -> None:
    if counts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        click.echo(f"{what}: {reasons}", err=True)
