"""The watcher: Kubernetes objects, from the API or from files, to the inventory topic. Shell: puts the parts together.

In: settings. Out: projected objects on one partition of Kafka, each followed by the watermark that stands for it.
"""

from __future__ import annotations

from callgraph.broker import Broker
from callgraph.records import WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from callgraph.topics import find_topic
from stream_processor.inventory_topic import InventoryWriter
from stream_processor.object_files import read_objects
from stream_processor.settings import AttributionSettings, WatcherSettings

ALL_TIME = 2**63 - 1
"""The watermark of a file: all that it will ever say is said."""


def run_watcher(
    *,
    cluster: str,
    kafka: KafkaSettings,
    topics: TopicSettings,
    watcher: WatcherSettings,
    attribution: AttributionSettings,
    log: Logger,
) -> None:
    """Publish the objects of a file and end, or watch the API until stopped.

    Raises InputError, ConfigurationError, TopicError, UnreachableError.
    """
    if watcher.objects_file:
        publish_files(cluster=cluster, kafka=kafka, topics=topics, watcher=watcher, attribution=attribution, log=log)


def publish_files(
    *,
    cluster: str,
    kafka: KafkaSettings,
    topics: TopicSettings,
    watcher: WatcherSettings,
    attribution: AttributionSettings,
    log: Logger,
) -> None:
    """Publish what files hold, then the watermark of all time."""
    files = read_objects(watcher.objects_file, watcher.events_file, cluster=cluster, attribution=attribution)
    if files.skipped:
        log.warning("objects_skipped", file=watcher.objects_file, reasons=files.skipped, examples=files.examples)
    Broker(kafka, client_id="whocalls-watcher").require_topics((find_topic("inventory"),), topics)
    writer = InventoryWriter(kafka, topics)
    for record in files.objects:
        writer.put(record)
    writer.put_watermark(WatermarkRecord(cluster=cluster, at=ALL_TIME, source="file"))
    log.info("inventory_published", file=watcher.objects_file, objects=len(files.objects))
