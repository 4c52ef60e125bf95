"""`whocalls map`: captures and Kubernetes objects to the graph, with no broker. Shell: reads files.

The same pure functions as in the distributed programs, called one after the other: observe → resolve → fold → graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from callgraph.errors import ConfigurationError
from callgraph.records import (
    BatchCounters,
    ConnectionBatch,
    ConnectionObservation,
    DnsAnswerBatch,
    DnsObservation,
    Edge,
    ObservationBatch,
)
from stream_processor.settings import AttributionSettings
from whocalls.options import settings_options, take_settings
from whocalls.rendering import filter_options, output_options, print_graph

Observation = DnsObservation | ConnectionObservation

_BATCH = 500


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
    captures: tuple[Path, ...], kube: str, sockets: tuple[Path, ...], events: str, node: str, **parameters: Any
) -> None:
    """Captures (pcap, pcapng) and Kubernetes objects to the graph, offline.

    \b
    Example:
      kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json > objects.json
      tcpdump -i any -w capture.pcap 'port 53 or tcp[13] & 0x12 = 2'
      whocalls map capture.pcap --kube objects.json
    """
    from sink_exporter.graph import build_graph  # noqa: PLC0415  (each command loads what it needs)

    if not captures and not sockets:
        raise ConfigurationError("whocalls map needs a capture or --sockets (it has nothing to look at)")
    settings = take_settings({name: parameters.pop(name) for name in list(parameters) if name.startswith("setting__")} | {"config": parameters.pop("config", None)})
    refused: Counter[str] = Counter()
    observations = _observe(captures, sockets, refused)
    edges = map_observations(observations, kube, events, settings.attribution, cluster=settings.cluster, node=node, refused=refused)
    graph = build_graph(edges)
    _report(refused)
    print_graph(graph, empty="no call was found", **parameters)


def map_observations(  # noqa: PLR0913  (everything that the whole line takes)
    observations: Iterable[Observation],
    kube: str,
    events: str,
    attribution: AttributionSettings,
    *,
    cluster: str,
    node: str,
    refused: Counter[str],
) -> list[Edge]:
    """Attribute and fold observations against a file of objects; refusals are counted by reason."""
    from stream_processor.attribution import Attribution, Origin  # noqa: PLC0415
    from stream_processor.calls import calls_of  # noqa: PLC0415
    from stream_processor.fold import edge_key, fold  # noqa: PLC0415
    from stream_processor.inventory import Inventory  # noqa: PLC0415
    from stream_processor.object_files import read_inventory  # noqa: PLC0415

    inventory = Inventory(attribution)
    for record in read_inventory(kube, events, cluster=cluster, attribution=attribution):
        inventory.apply(record)
    state = Attribution(inventory, attribution)
    edges: dict[bytes, Edge] = {}
    for offset, batch in enumerate(_batches(observations, cluster=cluster, node=node)):
        state.offer(batch, Origin(_topic(batch), 0, offset), now=batch.sent_at)
        decisions = state.advance(now=batch.sent_at)
        refused.update(refusal.reason for decision in decisions for refusal in decision.refusals)
        for call in calls_of(decisions, floor=offset):
            key = edge_key(call)
            edges[key] = fold(edges.get(key), call)
    return list(edges.values())


def _observe(captures: Iterable[Path], sockets: Iterable[Path], refused: Counter[str]) -> Iterator[Observation]:
    from capture_agent.observe import observe_capture  # noqa: PLC0415
    from capture_agent.proc_tree import observe_proc_tree  # noqa: PLC0415
    from capture_agent.replay import read_frames  # noqa: PLC0415

    for capture in captures:
        for seen in observe_capture(read_frames(capture)):
            if isinstance(seen, Observation):
                yield seen
            else:
                refused[seen.reason] += 1
    for folder in sockets:
        yield from observe_proc_tree(folder)


def _batches(observations: Iterable[Observation], *, cluster: str, node: str) -> Iterator[ObservationBatch]:
    """Gather observations of a kind into batches, as an agent sends them."""
    waiting: dict[type, list[Any]] = {DnsObservation: [], ConnectionObservation: []}
    for observation in observations:
        kind = type(observation)
        waiting[kind].append(observation)
        if len(waiting[kind]) == _BATCH:
            yield _batch(waiting[kind], cluster=cluster, node=node)
            waiting[kind] = []
    for rest in waiting.values():
        if rest:
            yield _batch(rest, cluster=cluster, node=node)


def _batch(observations: list[Any], *, cluster: str, node: str) -> ObservationBatch:
    kind = DnsAnswerBatch if isinstance(observations[0], DnsObservation) else ConnectionBatch
    return kind(
        cluster=cluster,
        node=node,
        boot_id="map",
        sequence=0,
        sent_at=max(observation.observed_at for observation in observations),
        observations=tuple(observations),
        counters=BatchCounters(received=len(observations), published=len(observations)),
    )


def _topic(batch: ObservationBatch) -> str:
    return "dns-answers" if isinstance(batch, DnsAnswerBatch) else "connections"


def _report(refused: Counter[str]) -> None:
    if refused:
        click.echo("not attributed: " + ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items())), err=True)
