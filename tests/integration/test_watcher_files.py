from __future__ import annotations

import json
from pathlib import Path

import pytest

from callgraph.records import PodRecord, WatermarkRecord
from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger
from stream_processor.settings import AttributionSettings, WatcherSettings
from stream_processor.watcher import ALL_TIME, run_watcher
from tests.inventory_records import read_back
from tests.kube_objects import a_pod

pytestmark = pytest.mark.kafka


def publish(objects: list[dict], tmp_path: Path, **where) -> None:
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"kind": "List", "items": objects}))
    run_watcher(
        cluster="east",
        watcher=WatcherSettings(objects_file=str(file)),
        attribution=AttributionSettings(),
        log=LeanLogger(LogSettings()),
        **where,
    )


def test_a_file_of_objects_is_published_once_and_its_watermark_comes_last(kafka_settings, topic_settings, tmp_path):
    where = {"kafka": kafka_settings, "topics": topic_settings}
    publish([a_pod("a"), a_pod("b", "10.0.0.6")], tmp_path, **where)
    records = read_back(**where)
    assert [type(record) for record in records] == [PodRecord, PodRecord, WatermarkRecord]
    assert (records[-1].at, records[-1].source) == (ALL_TIME, "file")
