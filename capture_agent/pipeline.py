"""Facts to batches to a publisher, and back: what the broker has becomes known, what it refused waits again. Shell.

Both ways of running the agent, live and from files, end here.
"""

from __future__ import annotations

from collections.abc import Sequence

from callgraph.records import BatchCounters
from callgraph.topics import TopicName
from capture_agent.batches import SOURCES, Batch, BatchSeries, Identity, SourceCounters, SourceName, add_counters
from capture_agent.observe import Refusal
from capture_agent.publisher import MAX_BATCHES_IN_FLIGHT, Publisher
from capture_agent.settings import AgentSettings
from capture_agent.suppression import Fact, Observation, Suppressor, carry

_TOPIC_OF: dict[SourceName, TopicName] = {"dns": "dns-answers", "syn": "connections", "socket": "connections"}
_NANOSECONDS = 1_000_000_000


class Pipeline:
    """The sources' facts and counters, and the batches that carry them."""

    def __init__(self, settings: AgentSettings, identity: Identity, publisher: Publisher, codec: str) -> None:
        self.counters: dict[SourceName, SourceCounters] = {name: SourceCounters() for name in SOURCES}
        self.suppressors = {name: _build_suppressor(settings) for name in SOURCES}
        self._publisher = publisher
        self._limit = settings.publish.batch_observations
        self._heartbeat_ns = int(settings.publish.heartbeat_seconds * _NANOSECONDS)
        self._series: dict[TopicName, BatchSeries] = {
            topic: BatchSeries(topic, identity, "msgpack" if codec == "msgpack" else "json")
            for topic in ("dns-answers", "connections")
        }
        self._last_sent_at: dict[TopicName, int] = {}

    @property
    def waiting(self) -> int:
        """Facts that no batch carries yet."""
        return sum(suppressor.waiting for suppressor in self.suppressors.values())

    def settle(
        self, source: SourceName, seen: Observation | Refusal, *, at: int, tap: int = 0, raw: bytes = b""
    ) -> None:
        """Take in one observation, or count why there is none."""
        if isinstance(seen, Refusal):
            self.counters[source].drop(seen.reason)
            return
        counters = self.counters[source]
        outcome = self.suppressors[source].offer(seen, tap=tap, at=at, raw=raw)
        if outcome in ("new", "repeat"):
            counters.received += seen.count
            counters.suppressed += seen.count - (outcome == "new")
        else:
            counters.drop(outcome, seen.count)

    def publish_waiting(self, now: int, *, least: int = 1) -> None:
        """Send what waits, if at least so many facts do, as far as the bound on batches in flight allows."""
        for source, suppressor in self.suppressors.items():
            while suppressor.waiting >= least and self._publisher.in_flight < MAX_BATCHES_IN_FLIGHT:
                self._send(source, suppressor.take(self._limit), now)

    def publish_heartbeat(self, now: int) -> None:
        """Send the counters alone where a topic has been silent for long."""
        for topic in self._series:
            if now - self._last_sent_at.setdefault(topic, now) >= self._heartbeat_ns and not self._publisher.in_flight:
                self._send("dns" if topic == "dns-answers" else "socket", [], now)

    def publish_counters(self, now: int) -> None:
        """Send whatever the counters have that no batch carries yet."""
        for topic, series in self._series.items():
            if series.lags(self._totals(topic)):
                self._send("dns" if topic == "dns-answers" else "socket", [], now)

    def end_windows(self, now: int) -> None:
        """Let facts whose window has ended wait again, or go."""
        for suppressor in self.suppressors.values():
            suppressor.end_windows(now)

    def end_all_windows(self) -> None:
        """Let every repeat wait that no batch carries yet."""
        for suppressor in self.suppressors.values():
            suppressor.end_all_windows()

    def _send(self, source: SourceName, facts: list[Fact], now: int) -> None:
        fresh = sum(fact.is_new for fact in facts)
        self.counters[source].published += fresh
        topic = _TOPIC_OF[source]
        observations = [carry(fact) for fact in facts]
        batches = self._series[topic].build(observations, self._totals(topic), sent_at=now)
        self._last_sent_at[topic] = now
        at = 0
        for batch in batches:
            self._hand_over(source, batch, facts[at : at + batch.size])
            at += batch.size

    def _hand_over(self, source: SourceName, batch: Batch, facts: Sequence[Fact]) -> None:
        suppressor, series = self.suppressors[source], self._series[batch.topic]

        def acknowledge(delivered: bool) -> None:
            if delivered:
                suppressor.confirm(facts, now=batch.record.sent_at)
            else:
                self.counters[source].published -= sum(fact.is_new for fact in facts)
                series.take_back(batch)
                suppressor.give_back(facts)

        self._publisher.publish(batch, acknowledge)

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
