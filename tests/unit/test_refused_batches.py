"""A replay ends when Kafka refuses what it sends: it has nothing to wait for."""

from __future__ import annotations

import pytest

from callgraph.errors import TopicError
from capture_agent.batches import Identity
from capture_agent.live import Outlet
from capture_agent.pipeline import Pipeline
from capture_agent.program import replay
from capture_agent.settings import AgentSettings
from capture_agent.sources import FileSource
from whocalls.shop_traffic import write_shop_input


class RefusingPublisher:
    """Kafka that lets nobody write: each batch comes back at the next flush."""

    def __init__(self):
        self.in_flight = 0
        self.refusal = ""
        self._waiting = []

    def publish(self, batch, acknowledge):
        self.in_flight += 1
        self._waiting.append((batch, acknowledge))

    def poll(self):
        """Nothing is decided yet."""

    def flush(self, seconds):
        waiting, self._waiting = self._waiting, []
        for batch, acknowledge in waiting:
            self.in_flight -= 1
            self.refusal = f"{seconds:g} s later: {batch.topic} may not be written"
            acknowledge(False)


def test_replay_that_kafka_refuses_ends_with_one_sentence(tmp_path):
    (capture, *_) = write_shop_input(tmp_path).captures.values()
    settings = AgentSettings()
    pipeline = Pipeline(settings, Identity("shop", "node-1", "boot"), "json")
    with pytest.raises(TopicError, match=r"^Kafka does not take what was read: .* may not be written \("):
        replay([FileSource("pcap", str(capture))], pipeline, Outlet(RefusingPublisher, None), resolver_ports=(53,))
