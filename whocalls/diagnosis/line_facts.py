"""What the topics and the processors' pages say. Shell: confluent-kafka, HTTP."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from callgraph.broker import Broker
from callgraph.codec import decode
from callgraph.errors import DecodeError, TopicError, UnreachableError, WhocallsError
from callgraph.records import (
    ConnectionBatch,
    CoverageRecord,
    DnsAnswerBatch,
    InventoryRecord,
    NodeRecord,
    ObservationBatch,
    WatermarkRecord,
)
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TopicName, full_name
from whocalls.diagnosis.line import LineFacts, NodeReport
from whocalls.topic_span import TopicSpan

_RAW: tuple[tuple[TopicName, type[DnsAnswerBatch | ConnectionBatch]], ...] = (
    ("dns-answers", DnsAnswerBatch),
    ("connections", ConnectionBatch),
)
_HTTP_SECONDS = 5.0
_DAY = 86_400_000_000_000


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where the line is, and whose group the reader borrows: it assigns itself, and commits nothing."""

    cluster: str
    kafka: KafkaSettings
    topics: TopicSettings
    group: str


def gather_line(line: Line, *, window_seconds: float, metrics: Iterable[str]) -> LineFacts:
    """Read what the agents sent in the window, the inventory, and the pages at the URLs."""
    now = time.time_ns()
    try:
        Broker(line.kafka, client_id="whocalls-doctor").topics()  # whose sentences are better than a reader's
        reports = _read_reports(line, from_at=now - int(window_seconds * 1e9))
        nodes, watermark = _read_inventory(line)
        observations, unresolved = _read_coverage(line, from_at=now - _DAY)
    except WhocallsError as error:
        return LineFacts(trouble=str(error), is_unreachable=isinstance(error, UnreachableError))
    metrics = tuple(metrics)
    pages, page_trouble = _read_pages(metrics)
    return LineFacts(
        now=time.time_ns(),
        window_seconds=window_seconds,
        reports=reports,
        nodes=nodes,
        watermark_at=watermark.at if watermark else None,
        from_file=watermark is not None and watermark.source == "file",
        denied=watermark.denied if watermark else (),
        observations=observations,
        unresolved=unresolved,
        pages=pages,
        page_trouble=page_trouble,
        pages_asked=bool(metrics),
    )


def add_batch(reports: Mapping[str, NodeReport], batch: ObservationBatch) -> dict[str, NodeReport]:
    """Add a batch to what is known of its node."""
    before = reports.get(batch.node, NodeReport(last_sent_at=0))
    counters = batch.counters
    added = NodeReport(
        last_sent_at=max(before.last_sent_at, batch.sent_at),
        received=before.received + counters.received,
        kernel_dropped=before.kernel_dropped + counters.kernel_dropped,
        overflowed=before.overflowed + counters.dropped.get("overflow", 0),
    )
    return {**reports, batch.node: added}


def _read_reports(line: Line, *, from_at: int) -> dict[str, NodeReport]:
    reports: dict[str, NodeReport] = {}
    for name, kind in _RAW:
        with TopicSpan(line.kafka, full_name(name, line.topics), client_id=line.group, from_at=from_at) as span:
            for message in span.records():
                try:
                    batch = decode(message.value(), kind)
                except DecodeError:
                    continue  # the processor sends it to the dead letters
                if batch.cluster == line.cluster:
                    reports = add_batch(reports, batch)
    return reports


def _read_inventory(line: Line) -> tuple[tuple[str, ...], WatermarkRecord | None]:
    """Return the nodes that are there now, and the last watermark."""
    nodes: dict[str, bool] = {}
    watermark = None
    with TopicSpan(line.kafka, full_name("inventory", line.topics), client_id=line.group) as span:
        for message in span.records():
            if message.value() is None or not _concerns(message.key()):
                continue
            try:
                found = decode(message.value(), InventoryRecord).object
            except DecodeError:
                continue
            if found.cluster != line.cluster:
                continue
            if isinstance(found, NodeRecord):
                nodes[found.name] = found.to_at is None
            elif isinstance(found, WatermarkRecord):
                watermark = found
    return tuple(sorted(name for name, is_there in nodes.items() if is_there)), watermark


def _read_coverage(line: Line, *, from_at: int) -> tuple[int, int]:
    """Return the observations of days that reach into the last 24 hours, and how many of them were not attributed.

    Nothing where this user may not read the topic: that is a matter of the section kafka.
    """
    records: dict[bytes | None, CoverageRecord] = {}
    try:
        with TopicSpan(line.kafka, full_name("coverage", line.topics), client_id=line.group) as span:
            for message in span.records():
                records.pop(message.key(), None)
                if message.value() is not None:
                    records[message.key()] = decode(message.value(), CoverageRecord)
    except (TopicError, DecodeError):
        return 0, 0
    recent = [each for each in records.values() if each.cluster == line.cluster and each.to_at >= from_at]
    return sum(each.observations for each in recent), sum(sum(each.unresolved.values()) for each in recent)


def _concerns(key: bytes | None) -> bool:
    """Tell by the key whether a record is worth decoding: pods are many, and not asked for."""
    return key is not None and (b'"Node"' in key or b'"Watermark"' in key)


def _read_pages(urls: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Read each page at every address that its name stands for; return them, and what went wrong first."""
    pages = []
    for url in urls:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            pages += [_read_page(address, port, parts.path) for address in sorted({str(each[4][0]) for each in found})]
        except (OSError, http.client.HTTPException) as error:
            return tuple(pages), f"the page {url} cannot be read: {error}"
    return tuple(pages), ""


def _read_page(address: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", path or "/metrics")
        return connection.getresponse().read().decode("utf-8", "replace")
    finally:
        connection.close()
