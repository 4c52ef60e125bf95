"""The description of the topics."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from callgraph.codec import schema_of
from callgraph.settings import TopicSettings
from callgraph.topics import TOPICS, TopicName, find_topic, full_name, partition_count, topic_config


def test_every_topic_name_is_described_once():
    assert sorted(topic.name for topic in TOPICS) == sorted(get_args(TopicName))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_schema_of_a_value_carries_the_name_of_its_topic(topic):
    assert schema_of(topic.value) == f"{topic.name}.v1"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_full_name_is_one_that_kafka_takes(topic):
    assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", full_name(topic.name, TopicSettings()))


def test_prefix_stands_before_the_name():
    assert full_name("call-graph", TopicSettings(prefix="staging.")) == "staging.call-graph"
    assert full_name("call-graph", TopicSettings(prefix="")) == "call-graph"


def test_inventory_and_its_watermark_share_one_partition_whatever_is_configured():
    assert partition_count(find_topic("inventory"), TopicSettings(partitions=24)) == 1


@pytest.mark.parametrize("name", ["dns-answers", "connections", "calls", "call-graph"])
def test_topics_that_scale_have_the_configured_partitions(name):
    assert partition_count(find_topic(name), TopicSettings(partitions=24)) == 24


@pytest.mark.parametrize("name", ["inventory", "call-graph"])
def test_state_is_compacted_and_never_expires(name):
    config = topic_config(find_topic(name))
    assert config["cleanup.policy"] == "compact"
    assert "retention.ms" not in config


@pytest.mark.parametrize(
    ("name", "hours"),
    [("dns-answers", 168), ("connections", 168), ("calls", 6), ("unresolved", 24), ("dead-letters", 168)],
)
def test_events_are_deleted_after_their_time(name, hours):
    config = topic_config(find_topic(name))
    assert config == {"cleanup.policy": "delete", "retention.ms": str(hours * 3_600_000)}


def test_coverage_keeps_the_last_sum_of_each_key_for_as_long_as_the_observations_are_kept():
    config = topic_config(find_topic("coverage"))
    assert config["cleanup.policy"] == "compact,delete"
    assert config["retention.ms"] == topic_config(find_topic("dns-answers"))["retention.ms"]


def test_tombstones_outlive_a_day_of_absence_of_their_readers():
    assert topic_config(find_topic("call-graph"))["delete.retention.ms"] == str(24 * 3_600_000)
