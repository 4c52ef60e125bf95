"""The identity cases through a real processor on a real broker: the same edges as through the pure core.

Each case is a cluster of its own. Cases that share the settings of attribution share a worker, all at once: what one
says must not touch another.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from callgraph.codec import decode, encode_key
from callgraph.records import DnsAnswerBatch, Edge, InventoryRecord
from callgraph.topics import full_name
from tests.conformance_identity import Seen, base_of, config_of, drive
from tests.shop_stream import ShopStream
from tests.worker_processes import WorkerProcess, await_that, settings_in_environment

pytestmark = pytest.mark.kafka

FOLDER = Path(os.environ.get("WHOCALLS_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance")
FILE = FOLDER / "identity_cases.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"cases": []}
SETTINGS = {
    "clusterDomain": "CLUSTER_DOMAIN",
    "hold": "HOLD_SECONDS",
    "late": "LATE_SECONDS",
    "skew": "TOLERANCE_SECONDS",
    "overrideAnnotations": "OVERRIDE_ANNOTATIONS",
    "overrideLabels": "OVERRIDE_LABELS",
    "serviceCIDRs": "SERVICE_CIDRS",
}


def spell_settings(case):
    """Spell the settings that a case's worker needs; what the watcher may read is the watcher's."""
    config = config_of(case, DOCUMENT["config_defaults"])
    texts = {
        name: config[key] if isinstance(config[key], str) else json.dumps(config[key]) for key, name in SETTINGS.items()
    }
    return tuple(f"WHOCALLS_ATTRIBUTION_{name}={text}" for name, text in texts.items())


def by_settings():
    groups = defaultdict(list)
    for case in DOCUMENT["cases"]:
        groups[spell_settings(case)].append(case)
    return list(groups.items())


def send_case(stream, case, numbers):
    """Send what the case's watcher publishes and what its agents send."""
    base, config = base_of(DOCUMENT), config_of(case, DOCUMENT["config_defaults"])
    sent = 0
    for item in drive(case, config, base, cluster=case["id"]):
        if not isinstance(item, Seen):
            key = encode_key(case["id"], type(item).__name__, getattr(item, "uid", "watermark"))
            stream.send("inventory", InventoryRecord(object=item), key=key)
        elif item.batch is not None:
            name = "dns-answers" if isinstance(item.batch, DnsAnswerBatch) else "connections"
            stream.send(name, item.batch, key=encode_key(next(numbers)))
            sent += 1
    return sent


def found_edges(stream):
    return {
        (edge.client.cluster, spell(edge.client), spell(edge.server))
        for edge in (decode(value, Edge) for value in stream.read("call-graph").values() if value)
    }


def expected_edges(cases):
    return {
        (
            case["id"],
            *("/".join(edge[end][part] for part in ("namespace", "kind", "name")) for end in ("client", "server")),
        )
        for case in cases
        for edge in case["expect"]["edges"]
    }


def spell(workload):
    return f"{workload.namespace}/{workload.kind}/{workload.name}"


@pytest.mark.skipif(not DOCUMENT["cases"], reason=f"no identity cases in {FOLDER}")
@pytest.mark.parametrize(
    ("settings", "cases"), by_settings(), ids=lambda value: "" if isinstance(value, tuple) else f"{len(value)} cases"
)
def test_identity_cases_give_the_same_edges_through_the_processor(
    settings, cases, kafka_settings, topic_settings, tmp_path
):
    stream = ShopStream(kafka_settings, topic_settings)
    numbers = count()
    sent = sum(send_case(stream, case, numbers) for case in cases)
    stream.flush()
    environment = settings_in_environment(kafka_settings, topic_settings, instance="one")
    environment |= dict(text.partition("=")[::2] for text in settings)
    worker = WorkerProcess(environment, tmp_path / "worker.log")
    try:
        worker.await_ready()
        topics = [full_name(name, topic_settings) for name in ("dns-answers", "connections")]
        taken = [f'whocalls_processor_observations_total{{topic="{topic}"}}' for topic in topics]
        await_that(lambda: sum(map(worker.metric, taken)) == sent, what=f"taking {sent} observations")
        await_that(lambda: worker.metric("whocalls_processor_held_observations") == 0, what="deciding them all")
        with suppress(AssertionError):  # the comparison below says what is missing
            await_that(lambda: found_edges(stream) >= expected_edges(cases), seconds=15)
        assert worker.end() == 0
        assert found_edges(stream) == expected_edges(cases)
    finally:
        if worker.process.poll() is None:
            worker.kill()
