"""The storm through the real core and through the baselines, event by event in the order of processing.

The watch reaches the processor 0 to 20 s late, in its order, watermarks included. The API server restarts twice: what
it says meanwhile is lost, no heartbeat comes, and a relist follows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from callgraph.records import (
    ConnectionBatch,
    ConnectionObservation,
    DnsAnswerBatch,
    KubeObject,
    ObservationBatch,
    WatermarkRecord,
)
from stream_processor.attribution import Attribution, Origin
from stream_processor.inventory import Inventory
from stream_processor.kube_types import decode_kind
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from tests.storm.baselines import BASELINES, Baseline
from tests.storm.cluster import CLUSTER, LASTS, SECOND, Edge, Said, Sighting, Storm, fixed_objects, nanoseconds, raw

RESTARTS = ((100.0, 108.0), (200.0, 212.0))
SLOWEST_WATCH = 20.0


class Watched(NamedTuple):
    """What the watcher heard at a time: an event, a relist of what there is, or that all is quiet (a heartbeat)."""

    heard_at: float
    event: Said | None = None
    relist: tuple[dict[str, Any], ...] | None = None


class Score(NamedTuple):
    """What an attribution made of the storm. Wrong edges are those that nobody ever called."""

    observations: int
    attributed: int
    wrong_observations: int
    wrong_edges: int
    true_edges: int
    found_edges: int

    @property
    def found_share(self) -> float:
        """The share of the true edges that were found."""
        return self.found_edges / self.true_edges


def watched(said: list[Said], *, seed: int) -> list[Watched]:
    """Return what the watcher heard: late by up to a second in the same order, nothing during a restart."""
    rng = random.Random(seed)
    heard: list[Watched] = []
    latest = -1000.0
    for each in said:
        latest = max(latest, each.at + (rng.uniform(0, 1) if each.at > 0 else 0))
        if not any(start <= latest and each.at <= end for start, end in RESTARTS if each.at > start - 1):
            heard.append(Watched(latest, event=each))
    heard += [Watched(end, relist=_existing(said, end)) for _, end in RESTARTS]
    seconds = (float(number) for number in range(int(LASTS) + 120))
    heard += [Watched(each) for each in seconds if not any(start <= each <= end for start, end in RESTARTS)]
    return sorted(heard, key=lambda each: each.heard_at)


def _existing(said: list[Said], at: float) -> tuple[dict[str, Any], ...]:
    pods: dict[str, dict[str, Any]] = {}
    for each in said:
        if each.at <= at:
            pods[each.pod["metadata"]["uid"]] = each.pod
            if each.op == "DELETED":
                del pods[each.pod["metadata"]["uid"]]
    return tuple(pods.values())


def delivered(heard: list[Watched], *, seed: int) -> Iterator[tuple[float, Watched]]:
    """Yield what was heard with the time that it reaches the processor: 0 to 20 s late, in order."""
    rng = random.Random(seed)
    latest = delay = 0.0
    changes_at = -1000.0
    for each in heard:
        if each.heard_at >= changes_at:
            delay, changes_at = rng.uniform(0, SLOWEST_WATCH), each.heard_at + rng.uniform(5, 20)
        latest = max(latest, each.heard_at + (delay if each.heard_at > 0 else 0))
        yield latest, each


def score_core(storm: Storm, *, seed: int = 1) -> Score:
    """Run the storm through projector, inventory and attribution."""
    settings = AttributionSettings(patience_seconds=3600)
    inventory, projector = Inventory(settings), Projector(CLUSTER, settings)
    attribution = Attribution(inventory, settings)
    for each in fixed_objects():
        _apply(inventory, [projector.apply("ADDED", raw(each), 0)])
    truth: dict[tuple[int, int], Edge] = {}
    tally = _Tally()
    for at, item in _timeline(storm, seed):
        if isinstance(item, Watched):
            _watch(inventory, projector, item)
        else:
            offset = len(truth)
            truth |= {(offset, index): each.edge for index, each in enumerate(item)}
            attribution.offer(_batch(item), Origin("observations", 0, offset), now=nanoseconds(at))
            tally.seen(item)
        for decision in attribution.advance(now=nanoseconds(at)):
            found = [(call.client.name, call.server.name) for call in decision.attributed]
            for index in decision.indexes:
                tally.judge(truth[decision.origin.offset, index], found)
    assert attribution.held == 0, "every observation is decided in the end"
    return tally.score()


def score_baseline(storm: Storm, baseline: Baseline, *, seed: int = 1) -> Score:
    """Run the storm through one of the baselines."""
    known: dict[str, dict[str, Any]] = {}
    tally = _Tally()
    for _, item in _timeline(storm, seed):
        if not isinstance(item, Watched):
            tally.seen(item)
            for each in item:
                tally.judge(each.edge, _ask(baseline, each))
            continue
        for op, pod in _as_informer(known, item):
            baseline.apply(op, pod)
    return tally.score()


def score_all(*, seed: int = 1) -> dict[str, Score]:
    """Run one storm through everything."""
    storm = Storm(seed)
    scores = {"whocalls": score_core(storm, seed=seed)}
    return scores | {name: score_baseline(storm, make(), seed=seed) for name, make in BASELINES.items()}


class _Tally:
    """What was seen and what was made of it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._true: set[Edge] = set()
        self._found: set[Edge] = set()

    def seen(self, sightings: list[Sighting]) -> None:
        self._counts["observations"] += len(sightings)
        self._true |= {each.edge for each in sightings}

    def judge(self, true: Edge, found: list[Edge]) -> None:
        for each in found:
            self._counts["attributed"] += 1
            self._counts["wrong"] += each != true
            self._found.add(each)

    def score(self) -> Score:
        return Score(
            self._counts["observations"],
            self._counts["attributed"],
            self._counts["wrong"],
            len(self._found - self._true),
            len(self._true),
            len(self._found & self._true),
        )


def _timeline(storm: Storm, seed: int) -> Iterator[tuple[float, Watched | list[Sighting]]]:
    """Yield watch items and batches in the order of processing; agents send once a second, and it takes up to 3 s."""
    rng = random.Random(seed)
    items: list[tuple[float, int, Watched | list[Sighting]]] = []
    for at, heard in delivered(watched(storm.said, seed=seed), seed=seed):
        items.append((at, len(items), heard))
    batches: dict[tuple[int, int, bool], list[Sighting]] = {}
    for each in storm.sightings:
        second = (each.observation.observed_at - nanoseconds(0)) // SECOND
        dns = not isinstance(each.observation, ConnectionObservation)
        batches.setdefault((second, each.node, dns), []).append(each)
    for (second, _, _), batch in batches.items():
        items.append((second + 1 + rng.uniform(0, 3), len(items), batch))
    for at, _, item in sorted(items, key=lambda each: each[:2]):
        yield at, item


def _watch(inventory: Inventory, projector: Projector, item: Watched) -> None:
    heard_at = nanoseconds(item.heard_at)
    if item.event is not None:
        op: Any = item.event.op
        _apply(inventory, [projector.apply(op, raw(item.event.pod), heard_at)])
    elif item.relist is not None:
        _apply(inventory, projector.relist("Pod", [decode_kind("Pod", raw(pod)) for pod in item.relist], heard_at))
    else:
        projector.promise(heard_at)
        inventory.apply(WatermarkRecord(cluster=CLUSTER, at=heard_at))


def _apply(inventory: Inventory, records: list[KubeObject] | list[KubeObject | None]) -> None:
    for record in records:
        if record is not None:
            inventory.apply(record)


def _batch(sightings: list[Sighting]) -> ObservationBatch:
    observations: Any = tuple(each.observation for each in sightings)
    make: Any = ConnectionBatch if isinstance(observations[0], ConnectionObservation) else DnsAnswerBatch
    batch: ObservationBatch = make(
        cluster=CLUSTER,
        node=f"node-{sightings[0].node}",
        boot_id="b",
        sequence=0,
        sent_at=observations[-1].observed_at,
        observations=observations,
    )
    return batch


def _as_informer(known: dict[str, dict[str, Any]], item: Watched) -> Iterator[tuple[str, dict[str, Any]]]:
    """Turn a relist into events, as client-go's informers do."""
    if item.event is not None:
        uid = item.event.pod["metadata"]["uid"]
        known[uid] = item.event.pod
        if item.event.op == "DELETED":
            del known[uid]
        yield item.event.op, item.event.pod
    elif item.relist is not None:
        listed = {pod["metadata"]["uid"]: pod for pod in item.relist}
        yield from (("DELETED", known.pop(uid)) for uid in list(known) if uid not in listed)
        yield from (("MODIFIED", pod) for pod in listed.values())
        known |= listed


def _ask(baseline: Baseline, sighting: Sighting) -> list[Edge]:
    observation = sighting.observation
    client = baseline.client(observation.client_address, observation.observed_at)
    if isinstance(observation, ConnectionObservation):
        server = baseline.server(observation.server_address, observation.observed_at)
    else:
        server = observation.dns_question_name.partition(".")[0]
    return [(client, server)] if client and server else []
