"""Facts to batches to a publisher, and back: what the broker has becomes known, what it refused waits again. Pure.

Both ways of running the agent, live and from files, end here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from callgraph.codec import Codec
from callgraph.records import BatchCounters, DnsObservation
from callgraph.topics import TopicName
from capture_agent.batches import SOURCES, Batch, BatchSeries, Identity, SourceCounters, SourceName, add_counters
from capture_agent.learned_names import LearnedNames
from capture_agent.observe import Refusal
from capture_agent.outlet import MAX_BATCHES_IN_FLIGHT, Publisher
from capture_agent.settings import AgentSettings
from capture_agent.suppression import Fact, Observation, Suppressor, carry

_TOPIC_OF: dict[SourceName, TopicName] = {"dns": "dns-answers", "syn": "connections", "socket": "connections"}
_HEARTBEAT_SOURCE: dict[TopicName, SourceName] = {"dns-answers": "dns", "connections": "socket"}
_NANOSECONDS = 1_000_000_000
_PUSH_SECONDS = 0.1


class Moment(NamedTuple):
    """A point in time on two clocks, in nanoseconds."""

    wall: int
    """What records say; it may be set."""
    steady: int
    """What windows are measured by; it only moves on."""


class Pipeline:
    """The sources' facts and counters, and the batches that carry them."""

    def __init__(self, settings: AgentSettings, identity: Identity, codec: Codec = "json") -> None:
        self.counters: dict[SourceName, SourceCounters] = {name: SourceCounters() for name in SOURCES}
        self.suppressors = {name: _build_suppressor(settings) for name in SOURCES}
        self.names = LearnedNames()
        self.publisher: Publisher | None = None
        """Until there is one, facts wait."""
        self._limit = settings.publish.batch_observations
        self._heartbeat_ns = int(settings.publish.heartbeat_seconds * _NANOSECONDS)
        self._series: dict[TopicName, BatchSeries] = {
            topic: BatchSeries(topic, identity, codec if settings.to == "kafka" else None)
            for topic in _HEARTBEAT_SOURCE
        }
        self._last_sent_at: dict[TopicName, int] = {}
        self._refused = False
        """The broker refused a batch since the last flush: no use in trying again at once."""

    @property
    def waiting(self) -> int:
        """Facts that no batch carries yet."""
        return sum(suppressor.waiting for suppressor in self.suppressors.values())

    @property
    def in_flight(self) -> int:
        """Batches whose fate is not known yet."""
        return self.publisher.in_flight if self.publisher else 0

    @property
    def unfinished(self) -> bool:
        """Whether anything is on its way, or could be."""
        return self.publisher is not None and (self.in_flight > 0 or self.waiting > 0)

    def settle(self, source: SourceName, seen: Observation | Refusal, *, at: int, tap: int = 0, form: int = 0) -> None:
        """Take in one observation, or count why there is none."""
        if isinstance(seen, Refusal):
            self.counters[source].drop(seen.reason)
            return
        counters = self.counters[source]
        # Asked this way about: to be just of this type is told sooner than not to be of another.
        if not isinstance(seen, DnsObservation):
            seen = self.names.name(seen)
        outcome, count = self.suppressors[source].offer(seen, tap=tap, at=at, form=form), seen.count
        if outcome == "new":
            counters.received += count
            counters.suppressed += count - 1
        elif outcome == "repeat":
            counters.received += count
            counters.suppressed += count
        else:
            counters.drop(outcome, count)
            return
        if isinstance(seen, DnsObservation):
            self.names.learn(seen)

    def work(self, now: Moment, *, flush: bool) -> None:
        """Do what is due: full batches always, the rest when it is time to flush."""
        for suppressor in self.suppressors.values():
            suppressor.end_windows(now.steady)
        if flush:
            self._refused = False
        if not self._refused:
            self._publish_waiting(now, least=1 if flush else self._limit)
        if self.publisher is not None:
            if flush:
                self._publish_heartbeat(now)
            self.publisher.poll()

    def push(self, now: Moment) -> None:
        """Send all that waits, as far as there is room, and wait a little for the broker's word."""
        self._publish_waiting(now, least=1)
        if self.publisher is not None:
            self.publisher.flush(_PUSH_SECONDS)

    def finish(self, now: Moment, *, gives_up: Callable[[], bool]) -> None:
        """Send everything that no batch carries yet: new facts, then repeats, then counters."""
        for _ in range(2):
            # Twice: what is on its way now may have been seen again meanwhile.
            for suppressor in self.suppressors.values():
                suppressor.end_all_windows()
            while self.unfinished and not gives_up():
                self.push(now)
        if self.publisher is not None and not self.unfinished:
            self._publish_counters(now)
            while self.in_flight and not gives_up():
                self.push(now)

    def _publish_waiting(self, now: Moment, *, least: int) -> None:
        """Send what waits, if at least so many facts do, as far as the bound on batches in flight allows."""
        if self.publisher is None:
            return
        for source, suppressor in self.suppressors.items():
            while suppressor.waiting >= least and self.publisher.in_flight < MAX_BATCHES_IN_FLIGHT:
                self._send(source, suppressor.take(self._limit), now)

    def _publish_heartbeat(self, now: Moment) -> None:
        """Send the counters alone where a topic has been silent for long."""
        for topic, source in _HEARTBEAT_SOURCE.items():
            if (
                now.steady - self._last_sent_at.setdefault(topic, now.steady) >= self._heartbeat_ns
                and not self.in_flight
            ):
                self._send(source, [], now)

    def _publish_counters(self, now: Moment) -> None:
        """Send whatever the counters have that no batch carries yet."""
        for topic, source in _HEARTBEAT_SOURCE.items():
            if self._series[topic].lags(self._totals(topic)):
                self._send(source, [], now)

    def _send(self, source: SourceName, facts: list[Fact], now: Moment) -> None:
        fresh = [fact.is_new for fact in facts].count(True)
        self.counters[source].published += fresh
        topic = _TOPIC_OF[source]
        observations = [fact.observation if fact.is_new and not fact.repeats else self._carry(fact) for fact in facts]
        batches = self._series[topic].build(observations, self._totals(topic), sent_at=now.wall)
        self._last_sent_at[topic] = now.steady
        at = 0
        for batch in batches:
            self._hand_over(source, batch, facts[at : at + batch.size], now)
            at += batch.size

    def _carry(self, fact: Fact) -> Observation:
        """Return what a batch carries of a fact; one that was seen again knows its name, or teaches it, from later."""
        observation = carry(fact)
        if fact.is_new:
            return observation
        if isinstance(observation, DnsObservation):
            self.names.learn(observation)
        else:
            fact.observation = self.names.name(observation)
        return fact.observation

    def _hand_over(self, source: SourceName, batch: Batch, facts: Sequence[Fact], now: Moment) -> None:
        suppressor, series = self.suppressors[source], self._series[batch.topic]

        def acknowledge(delivered: bool) -> None:
            if delivered:
                suppressor.confirm(facts, now=now.steady)
            else:
                self._refused = True
                self.counters[source].published -= sum(fact.is_new for fact in facts)
                series.take_back(batch)
                suppressor.give_back(facts)

        if self.publisher is not None:
            self.publisher.publish(batch, acknowledge)

    def _totals(self, topic: TopicName) -> BatchCounters:
        return add_counters([self.counters[name].snapshot() for name in SOURCES if _TOPIC_OF[name] == topic])


def _build_suppressor(settings: AgentSettings) -> Suppressor:
    limits = settings.suppression
    return Suppressor(
        window_ns=int(limits.window_seconds * _NANOSECONDS),
        entries=limits.entries,
        names_per_client=limits.names_per_client,
        keeps_all=settings.raw,
    )
