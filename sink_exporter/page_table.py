"""The call graph as the live page needs it: compact, numbered, and with what changed. Pure.

In: records of the call-graph topic, or arrows of a file. Out: workloads by number, arrows by pair of numbers, and the
pairs that changed since the last look. Numbers are given once and never again, so that a page that follows can go on
with them. An edge is kept as MessagePack bytes, a third of its size as objects: 50,000 must fit beside the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from sys import intern

import msgspec
from msgspec import Struct

from callgraph.codec import decode
from callgraph.errors import DecodeError
from callgraph.records import Edge, Workload
from sink_exporter.graph import Arrow, CallGraph, arrow_of, edge_key, merge_arrows, sort_arrows

Pair = tuple[int, int]
_SHIFT = 32
_MASK = (1 << _SHIFT) - 1
_LATEST_TIME = 2**63 - 1
_LONGEST_OFFSET = 19
"""Digits of an offset, which is below 2^63."""


class _Row(Struct, frozen=True, array_like=True, gc=False):
    """One edge; its ends are numbers of workloads, its words numbers of texts."""

    client: int
    server: int
    ports: tuple[int, ...]
    via: tuple[int, ...]
    dns_names: tuple[int, ...]
    services: tuple[int, ...]
    nodes: tuple[int, ...]
    first_seen: int | None
    last_seen: int | None
    observations: int
    exemplars: tuple[tuple[int, int] | str, ...]
    manual: bool


_TEXTS = ("ports", "via", "dns_names", "services", "nodes")
"""The fields that hold numbers of texts."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Row)


class PageTable:
    """Workloads and arrows; the latest record of each key counts, a record without a value deletes."""

    def __init__(self) -> None:
        self.workloads: list[Workload] = []
        self.skipped: Counter[str] = Counter()
        self.records = 0
        self._numbers: dict[Workload, int] = {}
        self._texts: list[str] = []
        self._text_numbers: dict[str, int] = {}
        self._rows: dict[int, bytes] = {}
        self._pairs: dict[int, int | tuple[int, ...]] = {}
        self._changed: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def edges(self) -> int:
        """Count the edges: the ports of an arrow apart."""
        return len(self._rows)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic; one that is no edge is counted by reason and changes nothing."""
        self.records += 1
        try:
            edge = _decode_edge(value) if value else None
            name = key or _key_of(edge)
        except DecodeError as error:
            self.skipped[error.reason] += 1
            return
        self._put(_digest(name), None if edge is None else arrow_of(edge))

    def add_graph(self, graph: CallGraph) -> None:
        """Take every arrow of a graph that was read whole."""
        for arrow in graph.arrows:
            ends = msgspec.json.encode((arrow.client, arrow.server))
            self._put(_digest(ends), arrow)

    def arrow(self, pair: Pair) -> Arrow | None:
        """Return the arrow between two workloads by their numbers."""
        keys = self._pairs.get(pair[0] << _SHIFT | pair[1])
        return None if keys is None else self._merge(keys)

    def arrows(self) -> Iterator[tuple[Pair, Arrow]]:
        """Return all arrows, in the order in which they became known."""
        for code, keys in self._pairs.items():
            yield _unpack(code), self._merge(keys)

    def pairs(self) -> Iterator[Pair]:
        """Return the ends of all arrows."""
        return map(_unpack, self._pairs)

    def graph(self) -> CallGraph:
        """Return the whole as a call graph, for the renderers of the other formats."""
        return sort_arrows(arrow for _, arrow in self.arrows())

    def take_changes(self) -> list[Pair]:
        """Return the pairs whose arrow is another than when this was last asked, or is gone."""
        changed, self._changed = self._changed, {}
        return [_unpack(code) for code in changed]

    def _put(self, key: int, arrow: Arrow | None) -> None:
        row = None if arrow is None else _ENCODER.encode(self._row_of(arrow))
        known = self._rows.get(key)
        if row == known:
            return
        if known is not None:
            self._unlink(key, _code_of(known))
        if row is not None:
            self._link(key, _code_of(row), row)

    def _link(self, key: int, code: int, row: bytes) -> None:
        self._rows[key] = row
        known = self._pairs.get(code)
        self._pairs[code] = key if known is None else (*_listed(known), key)
        self._changed[code] = None

    def _unlink(self, key: int, code: int) -> None:
        del self._rows[key]
        self._changed[code] = None
        rest = tuple(other for other in _listed(self._pairs[code]) if other != key)
        if rest:
            self._pairs[code] = rest[0] if len(rest) == 1 else rest
        else:
            del self._pairs[code]

    def _row_of(self, arrow: Arrow) -> _Row:
        return _Row(
            client=self._number(arrow.client),
            server=self._number(arrow.server),
            ports=self._number_texts(arrow.ports),
            via=self._number_texts(arrow.via),
            dns_names=self._number_texts(arrow.dns_names),
            services=self._number_texts(arrow.services),
            nodes=self._number_texts(arrow.nodes),
            first_seen=arrow.first_seen,
            last_seen=arrow.last_seen,
            observations=arrow.observations,
            exemplars=tuple([self._pack(exemplar) for exemplar in arrow.exemplars]),
            manual=arrow.manual,
        )

    def _number_texts(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        """Keep each text once: the callers of one server ask for the same names."""
        return tuple([self._number_text(text) for text in texts])

    def _number_text(self, text: str) -> int:
        number = self._text_numbers.get(text)
        if number is None:
            number = self._text_numbers[text] = len(self._texts)
            self._texts.append(text)
        return number

    def _pack(self, exemplar: str) -> tuple[int, int] | str:
        """Keep the topic and the partition of TOPIC/PARTITION/OFFSET once; what is none stays as it is."""
        place, _, digits = exemplar.rpartition("/")
        is_offset = len(digits) < _LONGEST_OFFSET and digits.isdecimal() and str(int(digits)) == digits
        return (self._number_text(place), int(digits)) if is_offset else exemplar

    def _unpack(self, packed: tuple[int, int] | str) -> str:
        return packed if isinstance(packed, str) else f"{self._texts[packed[0]]}/{packed[1]}"

    def _number(self, workload: Workload) -> int:
        number = self._numbers.get(workload)
        if number is None:
            workload = _share_words(workload)
            number = self._numbers[workload] = len(self.workloads)
            self.workloads.append(workload)
        return number

    def _merge(self, keys: int | tuple[int, ...]) -> Arrow:
        arrows = [self._arrow_of(self._rows[key]) for key in _listed(keys)]
        return arrows[0] if len(arrows) == 1 else merge_arrows(arrows)

    def _arrow_of(self, row: bytes) -> Arrow:
        fields = msgspec.structs.asdict(_DECODER.decode(row))
        for end in ("client", "server"):
            fields[end] = self.workloads[fields[end]]
        for words in _TEXTS:
            fields[words] = tuple([self._texts[number] for number in fields[words]])
        fields["exemplars"] = tuple([self._unpack(packed) for packed in fields["exemplars"]])
        return Arrow(**fields)


def workload_id(workload: Workload) -> str:
    """Return what addresses call the workload: the same text in every run."""
    return _digest_of(msgspec.json.encode(workload), size=6).hex()


def _decode_edge(value: bytes) -> Edge:
    edge = decode(value, Edge)
    if not 0 <= edge.first_seen <= edge.last_seen <= _LATEST_TIME:
        raise DecodeError("wrong_shape", f"seen from {edge.first_seen} to {edge.last_seen}")
    return edge


def _key_of(edge: Edge | None) -> bytes:
    if edge is None:
        raise DecodeError("empty", "neither key nor value")
    return msgspec.json.encode(edge_key(edge))


def _share_words(workload: Workload) -> Workload:
    """Keep once what thousands of workloads have in common."""
    return Workload(
        cluster=intern(workload.cluster),
        namespace=intern(workload.namespace),
        kind=intern(workload.kind),
        name=workload.name,
    )


def _listed(keys: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return the keys of a pair; nearly every pair has one, which is kept without a tuple around it."""
    return keys if isinstance(keys, tuple) else (keys,)


def _digest(key: bytes) -> int:
    """Shorten a key to 60 bits, the most that an int of 32 bytes holds; the next takes 48.

    By the birthday bound two of 50,000 meet once in 10^9 tables.
    """
    return int.from_bytes(_digest_of(key, size=8), "big") >> 4


def _digest_of(content: bytes, *, size: int) -> bytes:
    return blake2b(content, digest_size=size).digest()


def _code_of(row: bytes) -> int:
    decoded = _DECODER.decode(row)
    return decoded.client << _SHIFT | decoded.server


def _unpack(code: int) -> Pair:
    return code >> _SHIFT, code & _MASK
