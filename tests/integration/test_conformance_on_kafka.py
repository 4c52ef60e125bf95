"""The conformance cases through the real processor on a real broker: the same edges and refusals as the pure core.

The cases that share the settings of attribution share one processor, all at once, each as a cluster of its own: what
one says must not touch another.
"""

import json
import os
import re
import uuid
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from callgraph.codec import decode, encode_key
from callgraph.records import ConnectionBatch, DnsAnswerBatch, Edge, InventoryRecord, UnresolvedRecord
from callgraph.settings import TopicSettings
from callgraph.topics import full_name
from stream_processor.inventory_topic import inventory_key
from stream_processor.settings import AttributionSettings
from tests.brokers import delete_topics, read_topic
from tests.conformance_stream import Output, identity_scripts, mapper_scripts
from tests.identity_cases import DOCUMENT as OWN_CASES
from tests.shop_stream import ShopStream
from tests.worker_processes import WorkerProcess, settings_in_environment
from whocalls.drained import await_drained

pytestmark = pytest.mark.kafka

FOLDER = Path(os.environ.get("WHOCALLS_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance")
PATIENCE = 60.0
REFUSED = re.compile(r'^whocalls_processor_unresolved_total\{reason="(\w+)"\} (\S+)$', re.MULTILINE)


def read_scripts(name, write):
    path = FOLDER / name
    return list(write(json.loads(path.read_text(encoding="utf-8")))) if path.exists() else []


SCRIPTS = [
    *read_scripts("identity_cases.json", identity_scripts),
    *read_scripts("network_mapper_cases.json", mapper_scripts),
    *identity_scripts(OWN_CASES),
]
GROUPS = defaultdict(list)
for script in SCRIPTS:
    GROUPS[script.settings].append(script)


def spell(settings):
    """Spell what differs from the defaults as the environment has it."""
    return {
        f"WHOCALLS_ATTRIBUTION_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in msgspec.structs.asdict(settings).items()
        if value != getattr(AttributionSettings(), name)
    }


class Finished(NamedTuple):
    """What a processor published, and how often it refused, by reason."""

    output: Output
    refused: dict[str, int]


class Performance:
    """The scripts of one group of settings on one processor."""

    def __init__(self, kafka, folder, settings, scripts):
        prefix = f"conformance-{uuid.uuid4().hex[:10]}."
        self.kafka = kafka
        self.topics = TopicSettings(prefix=prefix, create=True, partitions=2)
        self.stream = ShopStream(kafka, self.topics)
        self.scripts = scripts
        environment = settings_in_environment(kafka, self.topics, instance="one", last_seen_seconds=0)
        self.worker = WorkerProcess(environment | spell(settings), folder / f"{prefix}log")

    def play(self):
        """Send every case in its order of processing, to a processor that is already at work."""
        self.worker.await_ready()
        numbers = count()
        for record in (record for script in self.scripts for record in script.sent):
            if isinstance(record, DnsAnswerBatch | ConnectionBatch):
                topic = "dns-answers" if isinstance(record, DnsAnswerBatch) else "connections"
                self.stream.send(topic, record, key=encode_key(record.cluster, next(numbers)))
            else:
                self.stream.send("inventory", InventoryRecord(object=record), key=inventory_key(record))
        self.stream.flush()

    def finish(self):
        """Wait for the end; return what was published, and how often it refused, by reason."""
        group = self.topics.prefix + "processor"
        await_drained(self.kafka, self.topics, group=group, seconds=PATIENCE, check=self.check)
        refused = {reason: int(float(value)) for reason, value in REFUSED.findall(self.worker.get("/metrics")[1])}
        # No commit waits for the samples of refusals; the end of the process delivers them.
        assert self.worker.end() == 0, self.worker.log.read_text()
        edges = [decode(value, Edge) for value in self.stream.read("call-graph").values()]
        samples = read_topic(self.kafka, full_name("unresolved", self.topics))
        return Finished(Output(edges, [decode(value, UnresolvedRecord) for value in samples]), refused)

    def check(self):
        assert self.worker.process.poll() is None, self.worker.log.read_text()

    def close(self):
        if self.worker.process.poll() is None:
            self.worker.kill()


@pytest.fixture(scope="module")
def finished(kafka, kafka_choice, tmp_path_factory, pytestconfig):
    """What each group's processor published and counted, by settings."""
    folder, performances = tmp_path_factory.mktemp("conformance"), {}
    try:
        for settings, scripts in GROUPS.items():
            performances[settings] = Performance(kafka.kafka_settings, folder, settings, scripts)
        for each in performances.values():
            each.play()
        yield {settings: each.finish() for settings, each in performances.items()}
    finally:
        for each in performances.values():
            each.close()
            if ":" in kafka_choice:
                delete_topics(kafka.kafka_settings, each.topics.prefix)
    with pytestconfig.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        names = " ".join(script.case for script in SCRIPTS)
        print(f"\n{len(SCRIPTS)} cases through {len(GROUPS)} processors: {names}")  # noqa: T201  (what ran)


@pytest.mark.skipif(not SCRIPTS, reason=f"no conformance cases in {FOLDER}")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.case)
def test_a_case_comes_to_the_same_through_the_processor(script, finished):
    assert script.judge(finished[script.settings].output) is None


@pytest.mark.parametrize(
    ("settings", "scripts"), GROUPS.items(), ids=lambda value: f"{len(value)} cases" if isinstance(value, list) else ""
)
def test_every_observation_of_a_group_is_refused_as_often_as_by_the_pure_core(settings, scripts, finished):
    assert finished[settings].refused == sum((script.refused for script in scripts), Counter())


def test_a_group_has_no_edge_beside_those_of_its_cases(finished):
    for settings, scripts in GROUPS.items():
        clusters = {script.case for script in scripts}
        assert {edge.client.cluster for edge in finished[settings].output.edges} <= clusters
        assert all(edge.client.cluster == edge.server.cluster for edge in finished[settings].output.edges)
