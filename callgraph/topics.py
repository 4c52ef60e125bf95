"""The topics, described once: name, key, value, partitions, cleanup. Pure.

Created by `whocalls topics apply` or, with `topics.create: true`, by the programs; never by the broker on its own.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from callgraph.records import (
    CallBatch,
    ConnectionBatch,
    CoverageRecord,
    DeadLetter,
    DnsAnswerBatch,
    Edge,
    InventoryRecord,
    Record,
    UnresolvedRecord,
)
from callgraph.settings import TopicSettings

TopicName = Literal[
    "dns-answers", "connections", "inventory", "calls", "call-graph", "coverage", "unresolved", "dead-letters"
]  # fmt: skip

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class Topic(Struct, frozen=True, kw_only=True):
    """One topic as it must be.

    `partitions` is None where the setting decides; a number is a fact of the design: the inventory and its watermark
    share one partition, because their order is the proof that the watermark stands for.
    """

    name: TopicName
    key: str
    value: type[Record]
    about: str
    cleanup: Literal["delete", "compact", "compact,delete"]
    retention_ms: int | None = None
    partitions: int | None = None


TOPICS: tuple[Topic, ...] = (
    Topic(
        name="dns-answers",
        key="cluster, node",
        value=DnsAnswerBatch,
        about="DNS answers as the agents saw them, in batches; replay lives here.",
        cleanup="delete",
        retention_ms=7 * _DAY_MS,
    ),
    Topic(
        name="connections",
        key="cluster, node",
        value=ConnectionBatch,
        about="Sockets and SYNs as the agents saw them, in batches.",
        cleanup="delete",
        retention_ms=7 * _DAY_MS,
    ),
    Topic(
        name="inventory",
        key="cluster, object kind, UID",
        value=InventoryRecord,
        about="Who had which address when, and the watermark.",
        cleanup="compact",
        partitions=1,
    ),
    Topic(
        name="calls",
        key="the partition of the call graph",
        value=CallBatch,
        about="Resolved calls on their way from the resolving to the folding worker.",
        cleanup="delete",
        retention_ms=6 * _HOUR_MS,
    ),
    Topic(
        name="call-graph",
        key="client, server, port, transport",
        value=Edge,
        about="The deduplicated call graph: the public contract.",
        cleanup="compact",
    ),
    Topic(
        name="coverage",
        key="cluster, node, worker, day",
        value=CoverageRecord,
        about="What the call graph rests on: batches, drops and unresolved observations, by node.",
        cleanup="compact,delete",
        retention_ms=7 * _DAY_MS,
        partitions=1,
    ),
    Topic(
        name="unresolved",
        key="cluster, address",
        value=UnresolvedRecord,
        about="What could not be attributed, with the reason; sampled.",
        cleanup="delete",
        retention_ms=_DAY_MS,
        partitions=1,
    ),
    Topic(
        name="dead-letters",
        key="as it came",
        value=DeadLetter,
        about="Records that could not be decoded.",
        cleanup="delete",
        retention_ms=7 * _DAY_MS,
        partitions=1,
    ),
)


def full_name(name: TopicName, settings: TopicSettings) -> str:
    """Prefix a topic's name as configured."""
    return settings.prefix + name


def find_topic(name: TopicName) -> Topic:
    """Return the description of a topic."""
    return next(topic for topic in TOPICS if topic.name == name)


def partition_count(topic: Topic, settings: TopicSettings) -> int:
    """Return how many partitions the topic is created with."""
    return topic.partitions or settings.partitions


def topic_config(topic: Topic) -> dict[str, str]:
    """Return the broker's configuration of the topic."""
    config: dict[str, str] = {"cleanup.policy": topic.cleanup}
    if topic.retention_ms is not None:
        config["retention.ms"] = str(topic.retention_ms)
    if "compact" in topic.cleanup:
        # Small segments, so that the log stays near the size of the state that readers restore from.
        config |= {
            "segment.ms": str(10 * 60_000),
            "min.compaction.lag.ms": "60000",
            "delete.retention.ms": str(_DAY_MS),
        }
    return config
