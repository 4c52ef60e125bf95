"""Edges by key in little memory: those last used as objects, the others as bytes. Pure.

An edge takes 2 kB as an object and 0.4 kB as bytes, and a worker holds a hundred thousand of them, most of which are
not mentioned for a minute. To decode one and to encode it again takes about 2 microseconds. The bytes are the values of
its fields in MessagePack, in their order: they never leave this process, so the names can be left out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from callgraph.records import Edge

MOST_OBJECTS = 5_000

_NAMES = Edge.__struct_fields__
_VALUES: Any = tuple[tuple(field.type for field in msgspec.structs.fields(Edge))]  # type: ignore[misc]  # (types at run time)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[tuple[Any, ...]] = msgspec.msgpack.Decoder(_VALUES)


class EdgeStore:
    """All edges of a worker."""

    def __init__(self, *, most_objects: int = MOST_OBJECTS) -> None:
        self._most_objects = most_objects
        self._edges: dict[bytes, Edge | bytes] = {}
        self._objects: OrderedDict[bytes, None] = OrderedDict()
        """The keys of those kept as objects, the one used last at the end."""

    def __len__(self) -> int:
        return len(self._edges)

    def get(self, key: bytes) -> Edge | None:
        """Return an edge."""
        edge = self._edges.get(key)
        if isinstance(edge, bytes):
            return _unpack(edge)
        if edge is not None:
            self._objects.move_to_end(key)
        return edge

    def put(self, key: bytes, edge: Edge) -> None:
        """Keep an edge that was just made."""
        self._edges[key] = edge
        self._objects[key] = None
        if len(self._objects) > self._most_objects:
            oldest, _ = self._objects.popitem(last=False)
            self._edges[oldest] = _packed(self._edges[oldest])

    def pack(self, key: bytes, edge: Edge) -> None:
        """Keep an edge that nobody asks for soon."""
        self._objects.pop(key, None)
        self._edges[key] = _packed(edge)

    def remove(self, key: bytes) -> None:
        """Forget an edge."""
        self._objects.pop(key, None)
        self._edges.pop(key, None)


def _packed(edge: Edge | bytes) -> bytes:
    if isinstance(edge, bytes):
        return edge
    # msgspec leaves up to half of its buffer unused behind what it returns; a copy has nothing behind it.
    return bytes(memoryview(_ENCODER.encode(msgspec.structs.astuple(edge))))


def _unpack(packed: bytes) -> Edge:
    return Edge(**dict(zip(_NAMES, _DECODER.decode(packed), strict=True)))
