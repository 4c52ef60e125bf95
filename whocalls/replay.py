"""`whocalls replay`: the graph once more, from the observations that Kafka keeps, with today's rules. Shell.

The inventory is read to its end first; then each raw topic from the moment on. The functions are those of the
processor (`whocalls.offline`). Nothing is committed, and the graph of the running processor is left alone.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from msgspec.structs import replace

from callgraph.codec import decode, encode, schema_header
from callgraph.errors import ConfigurationError, DecodeError
from callgraph.records import Edge, ObservationBatch
from callgraph.topics import TopicName, find_topic, full_name
from whocalls.cluster_facts import decode_inventory
from whocalls.moments import parse_moment
from whocalls.options import settings_options, take_settings

if TYPE_CHECKING:
    from stream_processor.inventory import Inventory
    from whocalls.configuration import Settings
    from whocalls.offline import Rebuilding
    from whocalls.topic_span import TopicSpan

_CLIENT_ID = "whocalls-replay"
_RAW: tuple[TopicName, ...] = ("dns-answers", "connections")
_BATCHES: Any = ObservationBatch
_CLOCKS_DIFFER_BY = 60_000_000_000
"""Between the clock that stamped a record and the one that stamped its observations, in nanoseconds."""
_SAY_EVERY_SECONDS = 2.0
_ROOM_SECONDS = 0.1


class Span(NamedTuple):
    """Of which observations the graph is rebuilt: [from_at, to_at), in nanoseconds; None is the end."""

    from_at: int
    to_at: int | None


@click.command("replay")
@click.option(
    "--from",
    "since",
    required=True,
    metavar="TIME",
    help="Observations from this time on: 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d.",
)
@click.option("--to", "until", metavar="TIME", help="Observations before this time; without it, all that there are.")
@click.option(
    "--into",
    default="-",
    show_default=True,
    metavar="TOPIC|FILE",
    help="Full name of a topic; or a file of JSON Lines: a path with a slash or the ending .jsonl, or - for stdout.",
)
@settings_options("kafka", "topics", "attribution")
def replay_command(since: str, until: str | None, into: str, **parameters: Any) -> None:
    """The graph once more, from the raw observations that Kafka keeps, with today's rules.

    \b
    Examples:
      whocalls replay --from 7d | whocalls list --input -
      whocalls replay --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z --into ./noon.jsonl
      whocalls replay --from 7d --into again.call-graph --topics-create true
    """  # noqa: D301  (click reads the escape)
    settings = take_settings(parameters)
    now = time.time_ns()
    span = Span(parse_moment(since, now=now), parse_moment(until, now=now) if until else None)
    if span.to_at is not None and span.to_at <= span.from_at:
        raise ConfigurationError(f"nothing lies between --from {since} and --to {until} (the end must come later)")
    if _is_topic(into):
        _prepare_topic(into, settings)
    edges = rebuild_edges(settings, span)
    if _is_topic(into):
        _write_topic(into, edges, settings)
    else:
        _write_lines(into, edges)
    _say(f"wrote {len(edges)} edges to {'stdout' if into == '-' else into}")


def rebuild_edges(settings: Settings, span: Span) -> list[Edge]:
    """Read what Kafka keeps of a span of time, and return its edges, by key. Raises WhocallsError."""
    from callgraph.broker import Broker  # noqa: PLC0415  (28 MB that the help does without)
    from whocalls.offline import Rebuilding, close_edges  # noqa: PLC0415

    only_there = replace(settings.topics, create=False)
    wanted = [find_topic(name) for name in ("inventory", *_RAW)]
    Broker(settings.kafka, client_id=_CLIENT_ID).require_topics(wanted, only_there)
    counts = _Counts(Counter(), Counter())
    rebuilding = Rebuilding(_read_inventory(settings, counts), settings.attribution)
    ends: dict[str, int] = {}
    for name in _RAW:
        ends |= _replay_topic(full_name(name, settings.topics), settings, span, rebuilding=rebuilding, counts=counts)
    rebuilding.finish()
    _report(rebuilding, counts)
    return close_edges((rebuilding.edges[key] for key in sorted(rebuilding.edges)), ends)


class _Counts(NamedTuple):
    """What was read: observations by topic, and what did not decode, by reason."""

    observations: Counter[str]
    undecodable: Counter[str]


def _read_inventory(settings: Settings, counts: _Counts) -> Inventory:
    from stream_processor.inventory import Inventory  # noqa: PLC0415
    from whocalls.topic_span import TopicSpan  # noqa: PLC0415

    inventory = Inventory(settings.attribution)
    with TopicSpan(settings.kafka, full_name("inventory", settings.topics), client_id=_CLIENT_ID) as records:
        for record in decode_inventory(_with_progress(records), counts.undecodable):
            inventory.apply(record)
    return inventory


def _replay_topic(
    topic: str, settings: Settings, span: Span, *, rebuilding: Rebuilding, counts: _Counts
) -> dict[str, int]:
    """Take in one raw topic; return the offset after its last record, by `topic/partition`."""
    from stream_processor.attribution import Origin  # noqa: PLC0415
    from whocalls.offline import cut_batch  # noqa: PLC0415
    from whocalls.topic_span import TopicSpan  # noqa: PLC0415

    # A batch is stamped after all that is in it; how long after, nobody knows, so reading goes on to the end.
    with TopicSpan(settings.kafka, topic, client_id=_CLIENT_ID, from_at=span.from_at - _CLOCKS_DIFFER_BY) as records:
        for record in _with_progress(records):
            try:
                batch: ObservationBatch = decode(record.value(), _BATCHES)
            except DecodeError as error:
                counts.undecodable[error.reason] += 1
                continue
            cut = cut_batch(batch, from_at=span.from_at, to_at=span.to_at)
            counts.observations[topic] += len(cut.observations)
            rebuilding.take(cut, Origin(topic, record.partition(), record.offset()))
        return {f"{topic}/{partition}": end for partition, end in records.ends.items()}


def _with_progress(records: TopicSpan) -> Iterator[Any]:
    """Yield the records, and say now and then how far it is."""
    said_at = time.monotonic()
    for number, record in enumerate(records.records()):
        yield record
        if time.monotonic() - said_at >= _SAY_EVERY_SECONDS:
            said_at = time.monotonic()
            _say(f"{records.topic}: {number + 1} of {records.size} records")


def _report(rebuilding: Rebuilding, counts: _Counts) -> None:
    for topic in sorted(counts.observations):
        _say(f"{topic}: {counts.observations[topic]} observations in the span")
    if not counts.observations.total():
        _say("no observation lies in the span (times are those of the observations; the topics keep 7 days)")
    for what, reasons in (("seen, but not attributed", rebuilding.refused), ("left out", counts.undecodable)):
        if reasons:
            _say(f"{what}: {', '.join(f'{count} {reason}' for reason, count in sorted(reasons.items()))}")


def _is_topic(into: str) -> bool:
    return into != "-" and "/" not in into and not into.endswith(".jsonl")


def _prepare_topic(name: str, settings: Settings) -> None:
    """See that the topic is there before the work is done. Raises WhocallsError."""
    from callgraph.broker import Broker  # noqa: PLC0415  (28 MB that the help does without)

    if name == full_name("call-graph", settings.topics):
        raise ConfigurationError(
            f"{name!r} belongs to the running processor (replay into another topic, PREFIX.call-graph, and read it "
            "with --topics-prefix PREFIX.)"
        )
    Broker(settings.kafka, client_id=_CLIENT_ID).require_copy(name, find_topic("call-graph"), settings.topics)


def _write_topic(topic: str, edges: Iterable[Edge], settings: Settings) -> None:
    """Write edges as the processor does, and wait until Kafka has them. Raises TopicError or UnreachableError."""
    from confluent_kafka import Producer  # noqa: PLC0415

    from callgraph.clients import producer_config  # noqa: PLC0415
    from callgraph.complaints import Complaint, refused_delivery  # noqa: PLC0415
    from stream_processor.fold import edge_key  # noqa: PLC0415

    failures: list[Complaint] = []

    def note(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(Complaint(error.name(), error.str()))

    patience = {"message.timeout.ms": int(settings.kafka.connect_seconds * 1000)}
    producer = Producer(producer_config(settings.kafka, client_id=_CLIENT_ID) | patience)
    headers = schema_header(Edge)
    for edge in edges:
        value = encode(edge, settings.topics.codec)
        while True:
            try:
                producer.produce(topic, value, edge_key(edge), headers=headers, on_delivery=note)
            except BufferError:
                producer.poll(_ROOM_SECONDS)
            else:
                break
        producer.poll(0)
    producer.flush()
    if failures:
        raise refused_delivery(failures[0], topic=topic, servers=settings.kafka.bootstrap_servers)


def _write_lines(into: str, edges: Iterable[Edge]) -> None:
    """Write edge records as JSON Lines. Raises OutputError."""
    from sink_exporter.files import write_atomically  # noqa: PLC0415

    lines = b"".join(encode(edge) + b"\n" for edge in edges)
    if into == "-":
        sys.stdout.buffer.write(lines)
        sys.stdout.flush()
    else:
        write_atomically(Path(into), lines)


def _say(line: str) -> None:
    click.echo(f"replay: {line}", err=True)
