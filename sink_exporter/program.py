"""The exporter as a process, and the graph for commands that read it once. Shell: signals, the clock, stdin.

The topic is read to its end before anything is written; then it is followed, and what changed is written at most once
in each interval.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from callgraph.errors import InputError, WhocallsError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from sink_exporter.coverage import Coverage, summarize_coverage
from sink_exporter.edge_reader import EdgeReader
from sink_exporter.edge_table import EdgeTable
from sink_exporter.filters import Filter, filter_graph
from sink_exporter.formats import are_tracked
from sink_exporter.graph import CallGraph, EdgeKey, build_graph, edge_key
from sink_exporter.graph_files import merge_graphs, parse_graph
from sink_exporter.layout import NAMESPACE_FOLDER
from sink_exporter.publishers import Publisher, open_publisher
from sink_exporter.settings import ExporterSettings
from sink_exporter.status_page import Status, serve_status

_DAY = 86_400_000_000_000


class _Run(NamedTuple):
    """What one run of the exporter works with."""

    publisher: Publisher
    status: Status
    log: Logger


def run_exporter(
    *,
    kafka: KafkaSettings,
    topics: TopicSettings,
    exporter: ExporterSettings,
    log: Logger,
    once: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Write the call graph until SIGTERM, or once. Raises WhocallsError.

    `stop` ends it from another thread; without it, SIGTERM and SIGINT do.
    """
    are_tracked(exporter.formats)  # an unknown format is refused before anything is read
    status = Status(service_graph_series=exporter.service_graph_series)
    with (
        stopped_by_signals(stop) as stopped,
        serve_status(exporter.listen, status),
        open_publisher(exporter, log) as publisher,
        EdgeReader(kafka, topics) as reader,
    ):
        run = _Run(publisher, status, log)
        status.table = reader.table
        with _without_collections():
            complete = reader.read_to_end(stopped)
        log.info("call_graph_read", topic=reader.topic, complete=complete, **_count(reader.table))
        if not complete:
            return
        _export(reader, exporter, run)
        if not once:
            _follow(reader, exporter, run, stopped)


def publish_once(graph: CallGraph, *, exporter: ExporterSettings, log: Logger) -> None:
    """Write a graph that did not come from Kafka. Raises WhocallsError."""
    with open_publisher(exporter, log) as publisher:
        publisher.publish(filter_graph(graph, _wanted(exporter, now=time.time_ns())))
        publisher.stamp(graph.coverage)


def load_graph(kafka: KafkaSettings, topics: TopicSettings) -> CallGraph:
    """Read the call graph from Kafka as it is now. Raises UnreachableError or TopicError."""
    return _graph_of(_read(kafka, topics))


def read_table(kafka: KafkaSettings, topics: TopicSettings) -> EdgeTable:
    """Read the topic to its end: the edges, how many records there were, and what was skipped and why."""
    return _read(kafka, topics).table


def load_graph_from_file(path: str) -> CallGraph:
    """Read a graph from a file, a folder of an export, or stdin (`-`). Raises InputError."""
    if path == "-":
        return parse_graph(sys.stdin.buffer.read(), "stdin")
    try:
        if Path(path).is_dir():
            return merge_graphs(parse_graph(file.read_bytes(), repr(str(file))) for file in _list_graphs(Path(path)))
        return parse_graph(Path(path).read_bytes(), repr(path))
    except OSError as error:
        raise InputError(f"cannot read the graph from {path!r}: {error.strerror}") from error


def _list_graphs(folder: Path) -> list[Path]:
    """Return the canonical files of an export, or of a folder that holds nothing else."""
    namespaces = folder / NAMESPACE_FOLDER
    return sorted((namespaces if namespaces.is_dir() else folder).glob("*.yaml"))


def _follow(reader: EdgeReader, exporter: ExporterSettings, run: _Run, stopped: threading.Event) -> None:
    due = time.monotonic() + exporter.interval_seconds
    exported = find_revision(reader.table, exporter)
    while not stopped.is_set():
        reader.follow()
        run.status.beat()
        if time.monotonic() >= due:
            revision = find_revision(reader.table, exporter)
            exported = revision if _try_export(reader, exporter, run, changed=revision != exported) else exported
            due = time.monotonic() + exporter.interval_seconds
    if find_revision(reader.table, exporter) != exported:
        _export(reader, exporter, run)


def find_revision(table: EdgeTable, exporter: ExporterSettings) -> tuple[int, frozenset[EdgeKey]]:
    """Return what changes when the files may: a number, and the edges that were not seen for too long."""
    number = table.shape_revision if are_tracked(exporter.formats) else table.revision
    since = _wanted(exporter, now=time.time_ns()).since
    if since is None:
        return number, frozenset()
    return number, frozenset(edge_key(edge) for edge in table.edges() if edge.last_seen < since)


def _wanted(exporter: ExporterSettings, *, now: int) -> Filter:
    return Filter(
        namespaces=exporter.namespaces,
        exclude=exporter.exclude,
        external=exporter.include_external,
        infrastructure=exporter.include_infrastructure,
        since=now - int(exporter.retain_days * _DAY) if exporter.retain_days else None,
    )


def _try_export(reader: EdgeReader, exporter: ExporterSettings, run: _Run, *, changed: bool) -> bool:
    """Export what changed here or there.

    What fails may be healed by the next time (a remote that is away, a full disk, a wrong override); until then the
    last export stands.
    """
    try:
        if changed or run.publisher.is_outdated():
            _export(reader, exporter, run)
        else:
            _stamp(summarize_coverage(reader.coverage.records()), run)
    except WhocallsError as error:
        run.status.failures += 1
        run.log.warning("export_postponed", reason=str(error))
        return False
    return True


def _export(reader: EdgeReader, exporter: ExporterSettings, run: _Run) -> None:
    with _without_collections():
        graph = filter_graph(_graph_of(reader), _wanted(exporter, now=time.time_ns()))
        run.status.files_written += run.publisher.publish(graph)
    _stamp(graph.coverage, run)
    run.status.exported = True
    skipped = reader.table.skipped
    if skipped.total() > run.status.skips_told:
        run.status.skips_told = skipped.total()
        run.log.warning("records_skipped", **skipped)


def _stamp(coverage: Coverage | None, run: _Run) -> None:
    """Say what the export rests on, and that it is what the graph is now."""
    run.publisher.stamp(coverage)
    run.status.coverage, run.status.succeeded_at = coverage, time.time()


def _read(kafka: KafkaSettings, topics: TopicSettings) -> EdgeReader:
    with EdgeReader(kafka, topics, client_id="whocalls-reader") as reader, _without_collections():
        reader.read_to_end()
        return reader


def _graph_of(reader: EdgeReader) -> CallGraph:
    graph, coverage = build_graph(reader.table.edges()), summarize_coverage(reader.coverage.records())
    return msgspec.structs.replace(graph, coverage=coverage)


def _count(table: EdgeTable) -> dict[str, Any]:
    return {"records": table.records, "edges": len(table), "skipped": dict(table.skipped)}


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the cycle collector from walking a growing graph that has no cycles: it took half of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def stopped_by_signals(stop: threading.Event | None = None) -> Iterator[threading.Event]:
    """Yield the event that ends the loop; set by SIGTERM and SIGINT where nobody else does it."""
    if stop is not None:
        yield stop
        return
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
