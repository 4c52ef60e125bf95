"""One node's agent without the capture: the agent's own pipeline and publisher, fed with known traffic. Shell.

`python -m tests.chaos.agent BOOTSTRAP PREFIX NODE JOURNAL KIND BEGAN_AT SLOTS RATE`. It notes in the journal up to
which slot the broker has everything, and goes on there when it is started again: what a killed agent had not got rid of
is seen again, as a connection that lasts is.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from callgraph.settings import KafkaSettings, LogSettings, TopicSettings
from callgraph.telemetry import LeanLogger
from capture_agent.batches import Identity, SourceName
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.publisher import KafkaPublisher
from capture_agent.settings import AgentSettings, SuppressionSettings
from tests.chaos.traffic import CLUSTER, SECOND, DnsObservation, Traffic, observe_slot


def publish(traffic: Traffic, node: int, journal: Path, pipeline: Pipeline) -> None:
    """Send every slot that the journal does not have, each after its second."""
    slot = read_journal(journal)
    while slot < traffic.slots or pipeline.unfinished:
        while slot < traffic.slots and time.time_ns() >= traffic.began_at + (slot + 1) * SECOND:
            for seen in observe_slot(traffic, node, slot):
                source: SourceName = "dns" if isinstance(seen, DnsObservation) else seen.evidence
                pipeline.settle(source, seen, at=seen.observed_at)
            slot += 1
        now = Moment(time.time_ns(), time.monotonic_ns())
        pipeline.work(now, flush=True)
        pipeline.push(now)
        if not pipeline.unfinished:
            write_journal(journal, slot)


def read_journal(journal: Path) -> int:
    """Return how many slots the broker has."""
    return int(journal.read_text()) if journal.exists() else 0


def write_journal(journal: Path, slots: int) -> None:
    """Note it so that a kill leaves the old journal or the new one."""
    fresh = journal.with_suffix(".new")
    fresh.write_text(f"{slots}")
    fresh.replace(journal)


def main(bootstrap: str, prefix: str, node: str, journal: str, kind: str, *numbers: str) -> None:
    traffic = Traffic(kind, *map(int, numbers))
    settings = AgentSettings(raw=True, suppression=SuppressionSettings(entries=1_000_000, names_per_client=1_000_000))
    pipeline = Pipeline(settings, Identity(CLUSTER, f"node-{node}", os.urandom(8).hex()))
    log = LeanLogger(LogSettings(format="json"))
    pipeline.publisher = KafkaPublisher(KafkaSettings(bootstrap_servers=bootstrap), TopicSettings(prefix=prefix), log)
    publish(traffic, int(node), Path(journal), pipeline)


if __name__ == "__main__":
    main(*sys.argv[1:])
