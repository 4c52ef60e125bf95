"""What the agent looks at: the live node, or files of one kind. Pure."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from callgraph.errors import ConfigurationError

FileKind = Literal["pcap", "proc", "coredns-log", "calico-log"]


class FileSource(Struct, frozen=True):
    """A file, or a folder for `proc`."""

    kind: FileKind
    path: str
    observed_at: int | None = None
    """Nanoseconds, for sources without times of their own; None: a saved table's file time, a log's time of reading."""


class LiveSource(Struct, frozen=True):
    """This node, as `agent.capture` and `agent.sockets` say."""


Source = LiveSource | FileSource


def parse_source(text: str) -> Source:
    """Read `live` or KIND:PATH. Raises ConfigurationError."""
    if text == "live":
        return LiveSource()
    kind, colon, path = text.partition(":")
    for known in get_args(FileKind):
        if kind == known and colon and path:
            return FileSource(known, path)
    kinds = ", ".join(f"{known}:PATH" for known in get_args(FileKind))
    raise ConfigurationError(f"{text!r} is no source (expected live or one of {kinds})")
