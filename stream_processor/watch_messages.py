"""What the API server sends in a list or a watch, as typed values. Pure.

In: the bytes of a page, or of a stream of lines. Out: pages, changes, bookmarks and failures. An object that does not
decode is left out and counted; its neighbours are kept.
Source: kubernetes.io/docs/reference/using-api/api-concepts; Status objects as in apimachinery meta/v1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from stream_processor.kube_types import KubeJson, KubeKind, decode_event, decode_kind, decode_list
from stream_processor.projection import Operation
from stream_processor.watch import Failure

MAX_LINE_BYTES = 16 * 2**20
"""An object in etcd has at most 1.5 MiB; a line far beyond is no event."""

_OPERATIONS: dict[str, Operation] = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "DELETED"}
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class _Meta(Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Versioned(Struct, frozen=True):
    metadata: _Meta = _Meta()


_VERSIONED = msgspec.json.Decoder(_Versioned)


class _Details(Struct, frozen=True, rename="camel"):
    retry_after_seconds: float = 0.0


class _Status(Struct, frozen=True):
    code: int = 0
    message: str = ""
    details: _Details | None = None


class Change(NamedTuple):
    """An object came, changed or went. `object` is None where it does not decode; `problem` says why."""

    op: Operation
    object: KubeJson | None
    version: str
    problem: str = ""


class Bookmark(NamedTuple):
    """Nothing changed up to this version."""

    version: str
    ends_initial_events: bool


class Page(NamedTuple):
    """A part of a list."""

    objects: list[KubeJson]
    version: str
    continue_token: str
    problems: list[str]


class MessageReader:
    """Reads one kind's messages."""

    def __init__(self, kind: KubeKind) -> None:
        self._kind = kind

    def read_line(self, line: bytes) -> Change | Bookmark | Failure:
        """Read one line of a watch."""
        try:
            event = decode_event(line)
            if event.type == "ERROR":
                return read_status(bytes(event.object), kind="event")
            metadata = _VERSIONED.decode(event.object).metadata
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Failure("garbled", message=f"a line of {len(line)} bytes is no watch event: {error}")
        if event.type == "BOOKMARK":
            ends = (metadata.annotations or {}).get(_INITIAL_EVENTS_END) == "true"
            return Bookmark(metadata.resource_version, ends)
        if event.type not in _OPERATIONS:
            return Change("MODIFIED", None, metadata.resource_version, f"unknown event type {event.type[:40]!r}")
        value, problem = self._read_object(event.object)
        return Change(_OPERATIONS[event.type], value, metadata.resource_version, problem)

    def read_page(self, body: bytes) -> Page | Failure:
        """Read one page of a list."""
        try:
            page = decode_list(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Failure("garbled", message=f"a page of {len(body)} bytes is no list: {error}")
        read = [self._read_object(item) for item in page.items or ()]
        return Page(
            [value for value, _ in read if value is not None],
            page.metadata.resource_version,
            page.metadata.continue_ or "",
            [problem for _, problem in read if problem],
        )

    def _read_object(self, raw: msgspec.Raw) -> tuple[KubeJson | None, str]:
        try:
            return decode_kind(self._kind, raw), ""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return None, str(error)


def read_status(body: bytes, *, kind: Literal["status", "event"], code: int = 0, retry_after: float = 0.0) -> Failure:
    """Read a Status object, or whatever a proxy sent in its place."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(kind, code, body[:200].decode(errors="replace"), retry_after)
    told = status.details.retry_after_seconds if status.details else 0.0
    return Failure(kind, code or status.code, status.message[:500], max(retry_after, told))


class LineSplitter:
    """Bytes as they come from a socket, to whole lines."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def split(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the lines that it completes. Raises OverflowError on a line without end."""
        self._rest += chunk
        if b"\n" not in chunk:
            if len(self._rest) > MAX_LINE_BYTES:
                raise OverflowError(f"a line of more than {MAX_LINE_BYTES} bytes")
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [line for line in lines if line.strip()]
