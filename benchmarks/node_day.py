"""A day of one node, at speed, through the agent's own pipeline: what it would send to Kafka. Seeded; no IO.

30 pods, each of which calls six Services: some every ten seconds, some once an hour, at night a tenth of what they do
in the afternoon; every pod is replaced twice a day. Each call is a DNS answer and a SYN. What comes out is decided by
`capture_agent.pipeline` with its default settings: windows of 300 s, a flush every 5 s, a heartbeat a minute.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.large_cluster import BORN, SECOND
from benchmarks.processor_load import PODS_A_NODE, TARGETS, answer_of, connection_of, ends_of
from callgraph.records import ObservationBatch
from callgraph.topics import TopicName
from capture_agent.batches import Batch, Identity
from capture_agent.outlet import Acknowledge
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.settings import AgentSettings

DAY_SECONDS = 86_400
WORKLOADS = 300
_MOST_OFTEN, _LEAST_OFTEN = 1 / 10, 1 / 3600
_NIGHT = 0.1
_LIVES_A_DAY = 3


class Sent(NamedTuple):
    """A batch, and the second of the day at which the agent sent it."""

    second: float
    topic: TopicName
    record: ObservationBatch
    bytes: int


class Call(NamedTuple):
    """One connection with the look-up before it; `place` and `target` say whose and to whom."""

    second: float
    place: int
    target: int


def play_day(*, seed: int = 1, seconds: float = DAY_SECONDS, from_second: float = 0) -> list[Sent]:
    """Play a node's day, or the part of it that begins at a second, with an agent that has just started."""
    clock = _Log()
    pipeline = Pipeline(AgentSettings(), Identity("bench", "node-0", "b"))
    pipeline.publisher = clock
    calls = sorted(_calls(random.Random(seed), from_second, from_second + seconds))
    flush = AgentSettings().publish.flush_seconds
    number = 0
    for tick in range(1, int(seconds / flush) + 1):
        until = from_second + tick * flush
        while number < len(calls) and calls[number].second < until:
            _see(pipeline, calls[number])
            number += 1
        at = BORN + int(until * SECOND)
        clock.second = until
        pipeline.work(Moment(at, at), flush=True)
    return clock.sent


def activity(second: float) -> float:
    """Return how busy the node is, of 1: least at four in the morning, most at four in the afternoon."""
    return _NIGHT + (1 - _NIGHT) * (1 - math.cos((second / 3600 - 4) / 24 * 2 * math.pi)) / 2


def _calls(rng: random.Random, start: float, end: float) -> Iterator[Call]:
    """Yield the calls of every pair: a Poisson process, thinned by the hour."""
    for place in range(PODS_A_NODE):
        for target in range(TARGETS):
            rate = math.exp(rng.uniform(math.log(_LEAST_OFTEN), math.log(_MOST_OFTEN)))
            second = start
            while (second := second + rng.expovariate(rate)) < end:
                if rng.random() < activity(second):
                    yield Call(second, place, target)


def _see(pipeline: Pipeline, call: Call) -> None:
    # Every new life of a pod is a new address; nothing else about it matters to the agent.
    life = int((call.second / DAY_SECONDS + call.place / PODS_A_NODE) * _LIVES_A_DAY)
    ends = ends_of(WORKLOADS, life, place=call.place, target=call.target)
    at = BORN + int(call.second * SECOND)
    pipeline.settle("dns", answer_of(*ends, at), at=at)
    pipeline.settle("syn", connection_of(*ends, at), at=at)


class _Log:
    """Where the pipeline's batches go: kept, and acknowledged at once."""

    refusal = ""

    def __init__(self) -> None:
        self.in_flight = 0
        self.second = 0.0
        self.sent: list[Sent] = []

    def publish(self, batch: Batch, acknowledge: Acknowledge) -> None:
        self.sent.append(Sent(self.second, batch.topic, batch.record, len(batch.value)))
        acknowledge(True)

    def poll(self) -> None:
        """Nothing is in flight."""

    def flush(self, seconds: float) -> None:
        """Nothing is in flight."""

    def close(self) -> None:
        """Nothing is in flight."""
