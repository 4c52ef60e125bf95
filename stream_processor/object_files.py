"""Kubernetes objects from files in place of a watch. Shell: reads at most two files.

In: what `kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json` prints (a List; also several
documents one after another, or an array), and what `kubectl get … -A -w --output-watch-events -o json` prints (one
`{"type", "object"}` after another, here with an optional `observed_at`). Out: the objects as attribution needs them,
each with its whole interval. Source: kubernetes.io/docs/reference/using-api/api-concepts (collections, WatchEvent).
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, cast, get_args

import msgspec
from msgspec import Struct

from callgraph.codec import schema_of
from callgraph.errors import InputError
from callgraph.records import KubeObject
from stream_processor.kube_types import KUBE_KINDS, KubeJson, decode_kind, decode_object
from stream_processor.projection import Operation, Projector
from stream_processor.settings import AttributionSettings

_LIST_REMEDY = "make it with `kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json`"
_EVENTS_REMEDY = "make it with `kubectl get pods -A -w --output-watch-events -o json`"
_EXAMPLES = 3
_GZIP_MAGIC = b"\x1f\x8b"
_NOT_SPACE = re.compile(r"\S")
_NEXT_DOCUMENT = re.compile(r"^[{\[]", re.MULTILINE)
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TIMES = re.compile(
    rb'"(?:creationTimestamp|startTime|lastTransitionTime|lastHeartbeatTime|startedAt|finishedAt)"\s*:\s*"'
    rb'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"'
)


class ObjectFiles(NamedTuple):
    """What the files hold. `skipped`: objects left out, by reason; `examples`: what was wrong with the first."""

    objects: list[KubeObject]
    skipped: dict[str, int]
    examples: list[str]


class _Listing(Struct, frozen=True):
    """What tells a list from an object."""

    kind: str = ""
    items: list[msgspec.Raw] | None = None


class _Event(Struct, frozen=True):
    type: str
    object: msgspec.Raw
    observed_at: int | datetime | None = None


class _Reading:
    """The state of reading: what was projected so far, and what was left out."""

    def __init__(self, cluster: str, attribution: AttributionSettings) -> None:
        self.projector = Projector(cluster, attribution)
        self.found: dict[tuple[str, str], KubeObject] = {}
        self.skipped: Counter[str] = Counter()
        self.examples: list[str] = []

    def take(self, op: Operation, kind: str, raw: msgspec.Raw | bytes, *, arrived_at: int) -> None:
        """Project one object, or count why not."""
        try:
            value = decode_kind(kind, raw) if kind in KUBE_KINDS else decode_object(raw)
        except _BROKEN as error:
            self.skip("malformed", f"{_name(raw)}: {error}")
        else:
            self._project(op, value, arrived_at=arrived_at)

    def _project(self, op: Operation, value: KubeJson | None, *, arrived_at: int) -> None:
        if value is None:
            self.skip("kind_not_used", "")
        elif not value.metadata.uid:
            self.skip("without_uid", f"{value.metadata.name!r} has no metadata.uid")
        elif (record := self.projector.apply(op, value, arrived_at)) is not None:
            self.found[schema_of(record), record.uid] = record

    def skip(self, reason: str, example: str) -> None:
        """Count what is left out; keep the first examples."""
        self.skipped[reason] += 1
        if example and len(self.examples) < _EXAMPLES:
            self.examples.append(example)

    def complaint(self) -> str:
        """Quote the first example, to end a sentence with."""
        return f": {self.examples[0]}" if self.examples else ""


def read_objects(
    objects_file: str, events_file: str = "", *, cluster: str, attribution: AttributionSettings
) -> ObjectFiles:
    """Read the objects, then apply the events. Raises InputError for a file that is not what it should be.

    A dump tells no time of its own: it counts as taken at the latest time that it names; so does an event without
    `observed_at`. The result depends on the files' content alone.
    """
    reading = _Reading(cluster, attribution)
    data = _read_bytes(objects_file, remedy=_LIST_REMEDY)
    taken_at = latest_time(data)
    for document in split_documents(data):
        _take_document(reading, document, taken_at=taken_at)
    if not reading.found:
        raise InputError(f"{objects_file!r} holds no Kubernetes object of use{reading.complaint()} ({_LIST_REMEDY})")
    if events_file:
        _take_events(reading, events_file, taken_at=taken_at)
    return ObjectFiles(list(reading.found.values()), dict(reading.skipped), reading.examples)


def latest_time(data: bytes) -> int:
    """Return the latest time that a text of objects names, in nanoseconds; 0 where it names none."""
    latest = max(_TIMES.findall(data), default=b"")
    return _nanoseconds(datetime.fromisoformat(latest.decode())) if latest else 0


def split_documents(data: bytes) -> Iterator[bytes]:
    """Split JSON documents that stand one after another, on any layout.

    A broken one is yielded as it stands, up to the next line that begins with a brace or a bracket.
    """
    if _is_json(data):  # the usual case, without a second scan
        yield data
        return
    text, scan, position = data.decode(), json.JSONDecoder().raw_decode, 0
    while (found := _NOT_SPACE.search(text, position)) is not None:
        start = found.start()
        try:
            _, position = scan(text, start)
        except (ValueError, RecursionError):
            following = _NEXT_DOCUMENT.search(text, start + 1)
            position = following.start() if following else len(text)
        yield text[start:position].encode()


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _read_bytes(file: str, *, remedy: str) -> bytes:
    """Read a file as UTF-8, unpacked if it is a gzip file."""
    try:
        data = Path(file).read_bytes()
        if data[:2] == _GZIP_MAGIC:
            data = gzip.decompress(data)
        # Windows PowerShell redirects kubectl's output into UTF-16.
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file!r}: {getattr(error, 'strerror', None) or error}") from error
    if not text.strip():
        raise InputError(f"{file!r} is empty ({remedy})")
    return text.encode()


def _take_document(reading: _Reading, document: bytes, *, taken_at: int) -> None:
    """Take an array of objects, a list of some kind (whose items name no kind), or one object."""
    try:
        if document.lstrip()[:1] == b"[":
            listing = _Listing(items=msgspec.json.decode(document, type=list[msgspec.Raw]))
        else:
            listing = msgspec.json.decode(document, type=_Listing)
    except _BROKEN as error:
        reading.skip("malformed", str(error))
        return
    if listing.items is None and not listing.kind.endswith("List"):
        reading.take("ADDED", listing.kind, document, arrived_at=taken_at)
    for raw in listing.items or ():
        reading.take("ADDED", listing.kind.removesuffix("List"), raw, arrived_at=taken_at)


def _take_events(reading: _Reading, file: str, *, taken_at: int) -> None:
    arrived_at, taken = taken_at, 0
    for document in split_documents(_read_bytes(file, remedy=_EVENTS_REMEDY)):
        try:
            event = msgspec.json.decode(document, type=_Event)
        except _BROKEN as error:
            reading.skip("malformed", f"{document[:60].decode(errors='replace')!r}: {error}")
            continue
        taken += 1
        if event.type in get_args(Operation):
            arrived_at = _arrival(event, after=arrived_at)
            reading.take(cast("Operation", event.type), "", event.object, arrived_at=arrived_at)
        elif event.type != "BOOKMARK":
            reading.skip("no_change", f"an event of type {event.type[:40]!r}")
    if not taken:
        raise InputError(f"{file!r} holds no watch event{reading.complaint()} ({_EVENTS_REMEDY})")


def _arrival(event: _Event, *, after: int) -> int:
    if event.observed_at is None:
        return max(after, latest_time(bytes(event.object)))
    return event.observed_at if isinstance(event.observed_at, int) else _nanoseconds(event.observed_at)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _name(raw: msgspec.Raw | bytes) -> str:
    """Name an object that does not decode, as far as it goes."""
    found = re.search(rb'"name"\s*:\s*"([^"]{1,253})"', bytes(raw))
    return repr(found[1].decode(errors="replace")) if found else "an object without a name"
