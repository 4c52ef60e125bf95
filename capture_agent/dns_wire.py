r"""The wire format of DNS: names, and the bounds of everything else. Pure.

`WireCursor.require` and the head of the loop over labels are the only two places where a position meets the end of the
message; nothing above them can read past it. Names come out in lower case, without the trailing dot, bytes that are not
printable ASCII as \DDD (RFC 4343 section 2.1).

Source: RFC 1035 sections 2.3.4, 3.1, 4.1.4; RFC 4343.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct as Wire

from capture_agent.malformed import MalformedDnsError

HEADER_BYTES = 12
MAX_NAME_BYTES = 255

MAX_LABEL_STEPS = 4096
"""Labels and pointers that one message may cost: 32 names of the greatest length, or 600 names of Kubernetes."""

MAX_LABEL_BYTES = 63

_DASH, _DOT, _BACKSLASH = b"-.\\"
# Printable ASCII but for the backslash; the dot is looked at where labels are joined.
_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet != _BACKSLASH)
_COMMON = bytes(octet for octet in _PLAIN if octet >= _DASH and octet != _DOT)
"""What the labels of nearly all names are made of; the bytes below are nearly always lengths."""
_COMMON_SPELLED = b"\0" + b"." * (_DASH - 1) + bytes(range(_DASH, 256)).lower()
_RECORD = Wire("!HHIH")


class WireCursor:
    """Reads names and records of one message."""

    __slots__ = ("_compressed", "_end", "_steps_left", "message", "question_name", "question_wire")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self._end = len(message)
        self._steps_left = MAX_LABEL_STEPS
        self._compressed: dict[int, str] = {}
        self.question_name = ""
        self.question_wire = b""

    def require(self, at: int, size: int) -> None:
        """Raise MalformedDnsError unless `size` bytes stand at `at`."""
        if at + size > self._end:
            raise MalformedDnsError("past_end")

    def read_question_name(self) -> int:
        """Read the name of the first question, which most owners repeat; return the position after it."""
        self.question_name, after = self.read_name(HEADER_BYTES)
        self.question_wire = self.message[HEADER_BYTES:after]
        return after

    def read_owner(self, at: int) -> tuple[str, int]:
        """Read the owner of a record; cheap where it is the question's name, as a pointer or in full."""
        message = self.message
        if message.startswith(b"\xc0\x0c", at):
            return self.question_name, at + 2
        if message.startswith(self.question_wire, at):
            return self.question_name, at + len(self.question_wire)
        if message[at : at + 1] < b"\xc0":
            return self.read_name(at)
        return self._read_compressed(at)

    def _read_compressed(self, at: int) -> tuple[str, int]:
        """Read a name that is a pointer and nothing else: each target is walked once."""
        target = self._read_pointer(at + 1, at)
        name = self._compressed.get(target)
        if name is None:
            name = self._compressed[target] = self.read_name(at)[0]
        return name, at + 2

    def read_record(self, at: int) -> tuple[int, int, int, int]:
        """Read type, class, TTL and data length of a record whose data, 10 bytes on, is all there."""
        self.require(at, 10)
        kind, record_class, ttl, size = _RECORD.unpack_from(self.message, at)
        self.require(at + 10, size)
        # RFC 2181 section 8: a TTL with the highest bit set counts as 0.
        return kind, record_class, ttl if ttl < 0x80000000 else 0, size

    def read_name(self, at: int) -> tuple[str, int]:
        """Read a name; return it with the position after it."""
        end = self.message.find(0, at, at + MAX_NAME_BYTES)
        name = spell_wire(self.message[at : end + 1]) if end >= 0 else None
        if name is not None:
            return name, end + 1
        labels, after = self._walk_labels(at)
        return spell_name(labels), after

    def _walk_labels(self, at: int) -> tuple[list[bytes], int]:
        """Collect the labels of a name; return them with the position after the name.

        A pointer must lead before the labels that it ends: each name is then finite, and a loop cannot be written.
        """
        message, end, steps_left = self.message, self._end, self._steps_left
        labels: list[bytes] = []
        size, after, start = 1, 0, at
        while True:
            if at >= end:
                raise MalformedDnsError("past_end")
            length = message[at]
            at += 1
            if length == 0:
                break
            steps_left -= 1
            if length < 0x40:
                labels.append(message[at : at + length])
                at += length
                size += length + 1
            elif length >= 0xC0:
                target, after = self._read_pointer(at, start), after or at + 1
                at = start = target
            else:
                raise MalformedDnsError("label_type")
            if size > MAX_NAME_BYTES:
                raise MalformedDnsError("name_length")
            if steps_left < 0:
                raise MalformedDnsError("work_budget")
        self._steps_left = steps_left
        return labels, after or at

    def _read_pointer(self, at: int, start: int) -> int:
        """Return where the pointer whose second byte stands at `at` leads."""
        self.require(at, 1)
        target = (self.message[at - 1] & 0x3F) << 8 | self.message[at]
        if not HEADER_BYTES <= target < start:
            raise MalformedDnsError("pointer")
        return target


@lru_cache(maxsize=4096)
def spell_wire(wire: bytes) -> str | None:
    """Spell bytes that are one whole name without pointers; None if they are not. The same names come all day."""
    plain = spell_plain_name(wire[:-1])
    if plain and wire.endswith(b"\0"):
        return plain
    labels = []
    at, last = 0, len(wire) - 1
    while at < last and 0 < wire[at] < 0x40:
        labels.append(wire[at + 1 : at + 1 + wire[at]])
        at += wire[at] + 1
    return spell_name(labels) if at == last and wire[last] == 0 else None


def spell_plain_name(wire: bytes) -> str:
    """Spell a name given without its root label; empty if it is odd in any way."""
    if len(wire) >= MAX_NAME_BYTES:
        return ""
    name = wire[1:].translate(_COMMON_SPELLED)
    # What is left of it without its labels must be their lengths, whatever those bytes were meant to be.
    if wire.translate(None, _COMMON) == bytes(map(len, name.split(b"."))):
        return name.decode("ascii")
    return _spell_rare_name(wire)


def _spell_rare_name(wire: bytes) -> str:
    """Spell a name with a long label or with signs that are also lengths; empty if it is odd in any way."""
    labels = []
    at = 0
    while at < len(wire):
        length = wire[at]
        if not 0 < length <= MAX_LABEL_BYTES:
            return ""
        labels.append(wire[at + 1 : at + 1 + length])
        at += length + 1
    name = b".".join(labels).lower()
    is_odd = at != len(wire) or name.translate(None, _PLAIN)
    return "" if is_odd or name.count(b".") != len(labels) - 1 else name.decode("ascii")


def spell_name(labels: list[bytes]) -> str:
    """Join labels as text: lower case, no trailing dot, odd bytes escaped; the root is the empty string."""
    name = b".".join(labels).lower()
    if not name.translate(None, _PLAIN) and name.count(b".") == len(labels) - 1:
        return name.decode("ascii")
    return ".".join(_escape_label(label.lower()) for label in labels)


def _escape_label(label: bytes) -> str:
    return "".join(_ESCAPED[octet] for octet in label)


_ESCAPED = [chr(octet) if octet in _PLAIN else f"\\{octet:03d}" for octet in range(256)]
_ESCAPED[ord(".")], _ESCAPED[ord("\\")] = "\\.", "\\\\"
