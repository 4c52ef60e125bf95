"""TCP segments of a resolver to DNS messages. Pure.

In: segments with a resolver's source port, in the order of their capture. Out: whole messages, and a reason for each
segment that gave none. A message has a length of two bytes before it (RFC 1035 section 4.2.2) and may end in the next
segment, or share one with others (RFC 7766 section 6.2.1). What is put together is what comes in order, as it does on
the node where it is captured; a hole is counted and its stream forgotten. Nothing is remembered of a stream whose
segments hold whole messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from capture_agent.dns_wire import HEADER_BYTES
from capture_agent.packet import Packet

MAX_STREAMS = 256
MAX_BYTES = 2**20
"""Unfinished streams remembered, and what they hold together; the one that has waited longest is given up for a new."""

MAX_SEGMENTS = 64
"""Segments that one message may come in; each costs a copy of what came before it."""

_PREFIX_BYTES = 2
_FLAGS_AT = _PREFIX_BYTES + 2
_MAX_REPEATED = 2**17
_SEQUENCES = 2**32
_QR_AND_OPCODE = 0xF8
_RESPONSE = 0x80

SegmentOutcome = Literal[
    "tcp_empty",  # an acknowledgement or a FIN: no data
    "tcp_part",  # the message goes on in the next segment
    "tcp_repeated",  # sent again, or seen at a second tap
    "tcp_gap",  # segments are missing: the message is lost
    "tcp_scattered",  # one message in too many segments
    "tcp_unaligned",  # the middle of a stream whose beginning was not seen
    "truncated",  # the capture kept less than was sent
]

_Key = tuple[str, int, str, int]


class _Stream(Struct):
    """A stream that a message goes on in, or went on in."""

    next_sequence: int
    data: bytes = b""
    """The unfinished message, with its length."""
    segments: int = 0


class MessageStreams:
    """The unfinished messages of resolvers to their clients."""

    def __init__(self) -> None:
        self._streams: OrderedDict[_Key, _Stream] = OrderedDict()
        self._bytes = 0

    def split(self, packet: Packet) -> Iterator[bytes | SegmentOutcome]:
        """Return the messages that end in this segment; without one, say why."""
        key = (packet.source_address, packet.source_port, packet.destination_address, packet.destination_port)
        payload = bytes(packet.payload)
        if packet.truncated:
            self._forget(key)
            yield "truncated"
        elif not payload:
            yield "tcp_empty"
        else:
            yield from self._take(key, packet.tcp_sequence, payload)

    def _take(self, key: _Key, sequence: int, payload: bytes) -> Iterator[bytes | SegmentOutcome]:
        stream = self._streams.get(key) or _Stream(sequence)
        fresh = _skip_known(stream.next_sequence, sequence, payload)
        if fresh is None and not stream.data and _begins_message(payload):
            # What was remembered is finished: this is the next connection of the same ends.
            stream, fresh = _Stream(sequence), payload
        if fresh is None:
            self._forget(key)
            yield "tcp_gap"
        elif not fresh:
            yield "tcp_repeated"
        else:
            yield from self._cut(key, stream, fresh)

    def _cut(self, key: _Key, stream: _Stream, fresh: bytes) -> Iterator[bytes | SegmentOutcome]:
        messages, rest = _cut_messages(stream.data + fresh)
        yield from messages
        segments = stream.segments + 1 if rest and not messages else 1
        self._forget(key)
        if rest is None:
            yield "tcp_unaligned"
        elif segments > MAX_SEGMENTS:
            yield "tcp_scattered"
        else:
            if rest or stream.data:
                self._remember(key, _Stream(stream.next_sequence + len(fresh), rest, segments))
            if not messages:
                yield "tcp_part"

    def _remember(self, key: _Key, stream: _Stream) -> None:
        self._streams[key] = stream
        self._bytes += len(stream.data)
        while len(self._streams) > MAX_STREAMS or self._bytes > MAX_BYTES:
            self._forget(next(iter(self._streams)))

    def _forget(self, key: _Key) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None:
            self._bytes -= len(stream.data)


def _skip_known(expected: int, sequence: int, payload: bytes) -> bytes | None:
    """Return what of a segment is new: nothing where it repeats, None where something is missing before it."""
    behind = (expected - sequence) % _SEQUENCES
    return payload[behind:] if behind <= _MAX_REPEATED else None


def _cut_messages(data: bytes) -> tuple[list[bytes], bytes | None]:
    """Return the whole messages and what is left; None for the rest where it is no beginning of a message."""
    messages: list[bytes] = []
    while data and _begins_message(data):
        end = _PREFIX_BYTES + int.from_bytes(data[:_PREFIX_BYTES])
        if len(data) < max(end, _PREFIX_BYTES):
            return messages, data
        messages.append(data[_PREFIX_BYTES:end])
        data = data[end:]
    return messages, None if data else b""


def _begins_message(data: bytes) -> bool:
    """Tell whether these bytes can be the length and the first bytes of an answer, as far as they go."""
    if len(data) >= _PREFIX_BYTES and int.from_bytes(data[:_PREFIX_BYTES]) < HEADER_BYTES:
        return False
    return len(data) <= _FLAGS_AT or data[_FLAGS_AT] & _QR_AND_OPCODE == _RESPONSE
