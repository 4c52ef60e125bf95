"""Records to bytes and back. Pure.

In: a record of `callgraph.records`. Out: UTF-8 JSON (readable with kcat) or MessagePack, told apart on the way back by
the first byte: a JSON record begins with `{`, a MessagePack map never does. `DecodeError` is the one failure.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

import msgspec

from callgraph.errors import DecodeError
from callgraph.records import Record

Codec = Literal["json", "msgpack"]
R = TypeVar("R")

MAX_RECORD_BYTES = 8 * 2**20
"""Anything larger is refused unread: the largest batch that our own agents send is below 1 MiB."""

_JSON_ENCODER = msgspec.json.Encoder()
_MSGPACK_ENCODER = msgspec.msgpack.Encoder()


def encode(record: Record, codec: Codec = "json") -> bytes:
    """Encode a record."""
    return _JSON_ENCODER.encode(record) if codec == "json" else _MSGPACK_ENCODER.encode(record)


def decode(value: bytes | None, expected: type[R]) -> R:
    """Decode a record of the expected type or union of types. Raises DecodeError."""
    if not value:
        raise DecodeError("empty", "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        raise DecodeError("too_large", f"{len(value)} bytes, at most {MAX_RECORD_BYTES} are read")
    msgpack_decoder, json_decoder = _decoders(cast("Any", expected))
    decoder = json_decoder if value[:1] == b"{" else msgpack_decoder
    try:
        record: R = decoder.decode(value)
    except msgspec.ValidationError as error:
        raise DecodeError("wrong_shape", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("malformed", str(error)) from error
    return record


def encode_key(*parts: str | int | None) -> bytes:
    """Encode the parts of a key as a compact JSON array, so that no part can be mistaken for two."""
    return _JSON_ENCODER.encode(parts)


def schema_of(record: Record | type[Record]) -> str:
    """Name the schema of a record, as in its `schema` field and header."""
    return str(record.__struct_config__.tag)


def schema_header(record: Record | type[Record]) -> list[tuple[str, bytes]]:
    """Build the Kafka headers of a record."""
    return [("schema", schema_of(record).encode())]


@lru_cache(maxsize=64)
def _decoders(expected: Any) -> tuple[msgspec.msgpack.Decoder[Any], msgspec.json.Decoder[Any]]:
    return msgspec.msgpack.Decoder(expected), msgspec.json.Decoder(expected)
