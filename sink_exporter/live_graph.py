"""The graph that the live page follows: versions, the encoded whole, the messages for followers. Pure.

A version is `EPOCH-NUMBER`: the epoch is new at each start, the number rises with each change that was announced.
Records may be applied at any time; `announce` turns what they changed into one message. Whoever calls holds the lock.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from msgspec.structs import replace

from sink_exporter.coverage import Coverage
from sink_exporter.graph import CallGraph
from sink_exporter.page_events import EventStore, format_event
from sink_exporter.page_json import PageModel, encode_change, encode_coverage, encode_evidence, encode_graph, find_pair
from sink_exporter.page_places import PagePlaces
from sink_exporter.page_table import PageTable

_LEVEL = 5
_GZIP = 31
"""`wbits` of zlib for the format of gzip."""


class LiveGraph:
    """A page table with versions."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.events = EventStore()
        self.ready = False
        self.coverage_event = b""
        """What the graph rests on, as followers are told it; empty while nothing is known."""
        self._model = PageModel(PageTable(), PagePlaces())
        self._encoded: tuple[str, bytes] | None = None
        self._coverage: Coverage | None = None

    @property
    def table(self) -> PageTable:
        """The table that records are applied to."""
        return self._model.table

    @property
    def version(self) -> str:
        """What was announced last."""
        return f"{self.epoch}-{self.events.last}"

    def begin(self) -> None:
        """Say that the graph is complete; from here on changes are announced."""
        self.table.take_changes()
        self.ready = True

    def rest_on(self, coverage: Coverage | None) -> bool:
        """Take what the graph rests on; tells whether that is news.

        It changes by itself, so it is no part of a version.
        """
        before = self.coverage_event
        self._coverage = coverage
        self.coverage_event = b"" if coverage is None else format_event("coverage", encode_coverage(coverage))
        return self.coverage_event != before

    def announce(self) -> bool:
        """Make one message of what changed; tells whether anything did."""
        pairs = self.table.take_changes()
        if not pairs:
            return False
        before, version = self.version, f"{self.epoch}-{self.events.last + 1}"
        self.events.append(
            format_event("change", encode_change(self._model, pairs, before=before, version=version), version)
        )
        return True

    def encode(self) -> bytes:
        """Return the whole at the current version, compressed with gzip; encoded once for each version."""
        self.announce()
        if self._encoded is None or self._encoded[0] != self.version:
            pieces = encode_graph(self._model, version=self.version, live=True)
            self._encoded = self.version, _compress(pieces)
        return self._encoded[1]

    def evidence(self, edge_id: str) -> bytes | None:
        """Return the evidence of an arrow, None when there is none of this id."""
        pair = find_pair(self._model, edge_id)
        arrow = None if pair is None else self.table.arrow(pair)
        return None if arrow is None else encode_evidence(arrow, edge_id)

    def graph(self) -> CallGraph:
        """Return the whole for the renderers of other formats."""
        return replace(self.table.graph(), coverage=self._coverage)

    def resume(self, event_id: str) -> int | None:
        """Return the number after which a follower goes on; None when it has to read the whole anew."""
        epoch, _, number = event_id.rpartition("-")
        if epoch != self.epoch or not number.isdecimal() or self.events.after(int(number)) is None:
            return None
        return int(number)


def _compress(pieces: Iterable[bytes]) -> bytes:
    """Compress piece by piece: the whole stands nowhere, and 50,000 arrows are 3 MB."""
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    return b"".join((*map(compressor.compress, pieces), compressor.flush()))
