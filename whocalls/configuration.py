"""The whole tree of settings: the shared groups and those of each program. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from callgraph.settings import KafkaSettings, LogSettings, SettingsGroup, TopicSettings
from capture_agent.settings import AgentSettings
from sink_exporter.settings import ExporterSettings, PageSettings
from stream_processor.settings import AttributionSettings, ProcessorSettings, WatcherSettings


class Settings(SettingsGroup, frozen=True, kw_only=True):
    """What one configuration file may hold, for whichever role reads it."""

    cluster: Annotated[str, Meta(description="Name of this cluster in every record.", min_length=1)] = "default"
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    log: LogSettings = LogSettings()
    agent: AgentSettings = AgentSettings()
    attribution: AttributionSettings = AttributionSettings()
    watcher: WatcherSettings = WatcherSettings()
    processor: ProcessorSettings = ProcessorSettings()
    exporter: ExporterSettings = ExporterSettings()
    page: PageSettings = PageSettings()
