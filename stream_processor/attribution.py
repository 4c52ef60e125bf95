"""When to resolve: not before the inventory knows enough, and not later than need be. Pure, but for what it holds.

In: batches of observations with the offsets that they came from; the inventory, which moves on its own; the time. Out:
decisions that name each observation offered exactly once; those of a batch that come to the same are decided together.
Rule R3.3 of `docs/identity.md`: an observation is held until the watermark has passed its time plus hold and tolerance;
what may still become known waits in the late table until its time plus the late window, is tried again whenever news of
its addresses comes, and is then decided with what is known.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

from msgspec import Struct

from callgraph.records import ObservationBatch
from stream_processor.inventory import Inventory
from stream_processor.late_table import Held, LateTable, Origin
from stream_processor.resolution import Attributed, Reason, Refusal, Resolution
from stream_processor.resolution_cache import ResolutionCache
from stream_processor.resolve import Observation
from stream_processor.settings import AttributionSettings

__all__ = ["Attribution", "Decision", "Origin"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_GRAIN = _SECOND // 4
"""Observations of a batch that lie no further apart are decided together, when the last of them is due."""


class Decision(Struct, frozen=True):
    """What became of observations of one batch that come to the same: `indexes` are their positions in it."""

    origin: Origin
    cluster: str
    node: str
    attributed: tuple[Attributed, ...]
    refusals: tuple[Refusal, ...]
    indexes: Sequence[int]
    observations: Sequence[Observation]


class _Parcel:
    """Observations of one batch that become due together; empty once they are decided or late."""

    __slots__ = ("cluster", "due", "indexes", "node", "observations", "offered_at", "origin")

    def __init__(self, origin: Origin, batch: ObservationBatch, *, due: int, offered_at: int) -> None:
        self.origin = origin
        self.cluster = batch.cluster
        self.node = batch.node
        self.due = due
        self.offered_at = offered_at
        self.indexes: Sequence[int] = ()
        self.observations: Sequence[Observation] = ()

    def take(self) -> tuple[Sequence[int], Sequence[Observation]]:
        """Take the observations out, with their positions."""
        taken = self.indexes, self.observations
        self.indexes, self.observations = (), ()
        return taken


class _Queue:
    """What one cluster has on hold, and what is late."""

    __slots__ = ("held", "late")

    def __init__(self, late: LateTable) -> None:
        self.held: list[tuple[int, int, _Parcel]] = []
        self.late = late


class Attribution:
    """Holds observations until they can be decided.

    One for each worker: `offer` and `advance` belong to the thread that applies records to the inventory. Every
    observation of a batch that was offered is in the answer of some `advance`, once.
    """

    def __init__(self, inventory: Inventory, settings: AttributionSettings) -> None:
        self._inventory = inventory
        self._cache = ResolutionCache(inventory)
        # Whoever has the address up to the tolerance later counts as well (R3.4), and must be known by then.
        self._hold = int((settings.hold_seconds + settings.tolerance_seconds) * _SECOND)
        self._late_window = int(settings.late_seconds * _SECOND)
        self._patience = int(settings.patience_seconds * _SECOND)
        self._most_held = settings.held_observations
        self._queues: dict[str, _Queue] = {}
        self._oldest_first: deque[_Parcel] = deque()
        self._sequence = 0
        self._pending = _Pending()
        self._progress: dict[tuple[str, int], tuple[int, int]] = {}
        self._tidied_at: int | None = None
        self._held = 0

    @property
    def held(self) -> int:
        """How many observations wait."""
        return self._held

    def offer(self, batch: ObservationBatch, origin: Origin, *, now: int) -> None:
        """Take the observations of one batch. `now`: the worker's clock, for patience only."""
        if not batch.observations:
            return
        queue = self._queue(batch.cluster)
        self._progress[origin[:2]] = (now, batch.sent_at)
        for parcel in self._parcels(batch, origin, now):
            self._sequence += 1
            heapq.heappush(queue.held, (parcel.due, self._sequence, parcel))
            self._oldest_first.append(parcel)
        self._held += len(batch.observations)
        self._pending.add(origin, len(batch.observations))

    def advance(self, *, now: int) -> list[Decision]:
        """Decide all that can be decided by now."""
        decisions: list[Decision] = []
        for cluster, queue in self._queues.items():
            watermark = self._inventory.watermark(cluster)
            while queue.held and queue.held[0][0] <= watermark:
                self._decide_parcel(heapq.heappop(queue.held)[2], queue.late, watermark, decisions)
            self._decide_late(queue.late, watermark, now, decisions)
        self._give_up(now, decisions)
        self._held -= _observations(decisions)
        for decision in decisions:
            self._pending.settle(decision.origin, len(decision.indexes))
        self._tidy(now)
        return decisions

    def pending(self, topic: str, partition: int) -> int | None:
        """Return the lowest offset of a partition of which something is still held."""
        return self._pending.lowest(topic, partition)

    def forget(self, topic: str, partition: int) -> None:
        """Drop what is held of a partition that now belongs to another worker; none of it will be decided here."""
        for parcel in self._oldest_first:
            if parcel.origin[:2] == (topic, partition):
                self._held -= len(parcel.take()[0])
        for queue in self._queues.values():
            self._held -= queue.late.forget(topic, partition)
        self._pending.forget(topic, partition)
        self._progress.pop((topic, partition), None)

    def _tidy(self, now: int) -> None:
        """Let the inventory forget what no observation on its way can ask for: once a minute, while any come in.

        A batch that comes next on a partition was sent after the last one; whatever lags behind holds back the rest.
        """
        if self._tidied_at is not None and now - self._tidied_at < _MINUTE:
            return
        first, self._tidied_at = self._tidied_at is None, now
        sent = [sent_at for offered_at, sent_at in self._progress.values() if now - offered_at < _MINUTE]
        if sent and not first:
            self._inventory.expire(min(sent) - self._late_window - self._hold)

    def _queue(self, cluster: str) -> _Queue:
        found = self._queues.get(cluster)
        if found is None:
            found = self._queues[cluster] = _Queue(LateTable(self._inventory.cluster(cluster)))
        return found

    def _parcels(self, batch: ObservationBatch, origin: Origin, now: int) -> Iterable[_Parcel]:
        """Split a batch by when its observations become due; one whose time has come already is one parcel."""
        observations: tuple[Observation, ...] = batch.observations
        times = [each.observed_at for each in observations]
        latest = max(times)
        if latest + self._hold <= self._inventory.watermark(batch.cluster) or latest - min(times) < _GRAIN:
            parcel = _Parcel(origin, batch, due=latest + self._hold, offered_at=now)
            parcel.indexes, parcel.observations = range(len(observations)), observations
            return [parcel]
        grains: defaultdict[int, list[int]] = defaultdict(list)
        for index, at in enumerate(times):
            grains[at // _GRAIN].append(index)
        parcels = []
        for grain, indexes in grains.items():
            parcel = _Parcel(origin, batch, due=(grain + 1) * _GRAIN + self._hold, offered_at=now)
            parcel.indexes, parcel.observations = indexes, [observations[index] for index in indexes]
            parcels.append(parcel)
        return parcels

    def _decide_parcel(self, parcel: _Parcel, late: LateTable, watermark: int, decisions: list[Decision]) -> None:
        origin, cluster, node = parcel.origin, parcel.cluster, parcel.node
        ends = self._cache.ends(cluster)
        for final, indexes, observations in _by_finality(*parcel.take(), until=watermark - self._late_window):
            for alike in self._cache.resolve_all(indexes, observations, ends, node=node, final=final):
                found, indexes_alike, observations_alike = alike
                if found.wait and not final:
                    for index, observation in zip(indexes_alike, observations_alike, strict=True):
                        held = Held(origin, index, observation, cluster, node, parcel.offered_at)
                        late.add(held, observation.observed_at + self._late_window)
                    continue
                decisions.append(
                    Decision(origin, cluster, node, found.attributed, found.refusals, indexes_alike, observations_alike)
                )

    def _decide_late(self, late: LateTable, watermark: int, now: int, decisions: list[Decision]) -> None:
        decisions.extend(_decision(held, self._resolve(held, final=True)) for held in late.take_final(watermark))
        for number, held in late.with_news(now=now):
            found = self._resolve(held, final=False)
            if not found.wait:
                decisions.append(_decision(late.remove(number), found))

    def _resolve(self, held: Held, *, final: bool) -> Resolution:
        return self._cache.resolve(held.observation, self._cache.ends(held.cluster), node=held.node, final=final)

    def _give_up(self, now: int, decisions: list[Decision]) -> None:
        """Refuse what has waited for the watermark beyond all patience, and the oldest of what is too much."""
        parcels = self._oldest_first
        limit = now - self._patience
        excess = self._held - _observations(decisions) - self._most_held
        while parcels and (excess > 0 or not parcels[0].indexes or parcels[0].offered_at <= limit):
            parcel = parcels.popleft()
            reason: Reason = "inventory_behind" if parcel.offered_at <= limit else "overflow"
            for index, observation in zip(*parcel.take(), strict=True):
                held = Held(parcel.origin, index, observation, parcel.cluster, parcel.node, parcel.offered_at)
                decisions.append(_decision(held, _given_up(observation, reason)))
                excess -= 1
        for queue in self._queues.values():
            for held in queue.late.take_oldest(excess, offered_until=limit - self._late_window):
                behind = held.offered_at <= limit - self._late_window
                decisions.append(
                    _decision(held, _given_up(held.observation, "inventory_behind" if behind else "overflow"))
                )
                excess -= 1


class _Pending:
    """How many observations of each offset are held, and the lowest such offset of each partition."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], dict[int, int]] = {}
        self._offsets: dict[tuple[str, int], list[int]] = {}

    def add(self, origin: Origin, count: int) -> None:
        counts = self._counts.setdefault(origin[:2], {})
        if origin.offset not in counts:
            heapq.heappush(self._offsets.setdefault(origin[:2], []), origin.offset)
        counts[origin.offset] = counts.get(origin.offset, 0) + count

    def settle(self, origin: Origin, count: int) -> None:
        counts, offsets = self._counts[origin[:2]], self._offsets[origin[:2]]
        counts[origin.offset] -= count
        if not counts[origin.offset]:
            del counts[origin.offset]
        while offsets and offsets[0] not in counts:
            heapq.heappop(offsets)

    def lowest(self, topic: str, partition: int) -> int | None:
        offsets = self._offsets.get((topic, partition))
        return offsets[0] if offsets else None

    def forget(self, topic: str, partition: int) -> None:
        self._counts.pop((topic, partition), None)
        self._offsets.pop((topic, partition), None)


def _by_finality(
    indexes: Sequence[int], observations: Sequence[Observation], *, until: int
) -> Iterator[tuple[bool, Sequence[int], Sequence[Observation]]]:
    """Part observations whose late window is over from the others; nearly always they are all one or the other."""
    are_final = [observation.observed_at <= until for observation in observations]
    for final in set(are_final):
        if are_final.count(final) == len(are_final):
            yield final, indexes, observations
        else:
            chosen = [each is final for each in are_final]
            yield final, list(compress(indexes, chosen)), list(compress(observations, chosen))


def _observations(decisions: Iterable[Decision]) -> int:
    return sum(len(decision.indexes) for decision in decisions)


def _decision(held: Held, found: Resolution) -> Decision:
    return Decision(
        held.origin,
        held.cluster,
        held.node,
        found.attributed,
        found.refusals,
        indexes=(held.position,),
        observations=(held.observation,),
    )


def _given_up(observation: Observation, reason: Reason) -> Resolution:
    return Resolution(refusals=(Refusal("event", observation.client_address, reason),))
