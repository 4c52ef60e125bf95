"""DNS messages for tests, written by hand and by hypothesis. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

A, CNAME, AAAA, SRV, HTTPS = 1, 5, 28, 33, 65
_DATA_BYTES = {A: 4, AAAA: 16}


def wire_name(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".") if label) + b"\0"


def record(owner: bytes, kind: int, data: bytes, *, ttl: int = 30) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def message(
    name: str,
    kind: int,
    records: list[bytes],
    *,
    number: int = 1,
    flags: int = 0x8180,
    additional: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
) -> bytes:
    counts = (1, len(records), len(authority), len(additional))
    head = struct.pack("!6H", number, flags, *counts) + wire_name(name) + struct.pack("!HH", kind, 1)
    return head + b"".join(records) + b"".join(authority) + b"".join(additional)


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw an answer: a chain of CNAMEs, then addresses, compressed or not, in order or not."""
    kind = draw(st.sampled_from((A, A, AAAA)))
    chain = [draw(names), *draw(st.lists(names, max_size=3, unique=True))]
    compressed = draw(st.booleans())
    at = 12 + len(wire_name(chain[0])) + 4
    places = {chain[0]: 12}
    records = []
    owners = [(owner, CNAME, wire_name(target)) for owner, target in pairwise(chain)]
    data = st.binary(min_size=_DATA_BYTES[kind], max_size=_DATA_BYTES[kind])
    owners += [(chain[-1], kind, each) for each in draw(st.lists(data, min_size=1, max_size=6))]
    for owner, each, value in owners:
        pointed = compressed and owner in places
        start = struct.pack("!H", 0xC000 | places[owner]) if pointed else wire_name(owner)
        if each == CNAME:
            places.setdefault(chain[len(records) + 1], at + len(start) + 10)
        records.append(record(start, each, value, ttl=draw(st.integers(0, 2**31))))
        at += len(records[-1])
    if draw(st.booleans()) and not compressed:
        records = draw(st.permutations(records))
    extra = [record(b"\0", 41, draw(st.binary(max_size=12)))] if draw(st.booleans()) else []
    return message(chain[0], kind, records, number=draw(st.integers(0, 65535)), additional=extra)


@st.composite
def damaged_answers(draw: st.DrawFn) -> bytes:
    """Draw an answer and change some of its bytes."""
    damaged = bytearray(draw(answers()))
    for _ in range(draw(st.integers(0, 4))):
        damaged[draw(st.integers(0, len(damaged) - 1))] = draw(
            st.sampled_from((0, 1, 5, 12, 28, 0xC0, 255)) | st.integers(0, 255)
        )
    return bytes(damaged[: draw(st.integers(12, len(damaged)))]) if draw(st.booleans()) else bytes(damaged)
