"""`whocalls topics plan|apply`: the topics described, compared with the broker, created. Shell."""

from __future__ import annotations

from typing import Any

import click

from callgraph.topics import TOPICS, full_name, partition_count, topic_config
from whocalls.options import settings_options, take_settings


@click.group("topics")
def topics_command() -> None:
    """Describe and create the topics."""


@topics_command.command("plan")
@settings_options("kafka", "topics")
def plan_command(**parameters: Any) -> None:
    """Say what `apply` would create."""
    from callgraph.broker import Broker  # noqa: PLC0415  (it imports the Kafka client)

    settings = take_settings(parameters)
    broker = Broker(settings.kafka)
    present = broker.topics()
    names = [full_name(topic.name, settings.topics) for topic in TOPICS]
    broker.require_visible([name for name in names if name not in present])
    for topic in TOPICS:
        name = full_name(topic.name, settings.topics)
        config = " ".join(f"{key}={value}" for key, value in topic_config(topic).items())
        state = (
            f"there    {present[name]:>3} partitions"
            if name in present
            else f"create   {partition_count(topic, settings.topics):>3} partitions"
        )
        click.echo(f"{name:<24} {state}  {config}")


@topics_command.command("apply")
@settings_options("kafka", "topics")
def apply_command(**parameters: Any) -> None:
    """Create the topics that are missing."""
    from callgraph.broker import Broker  # noqa: PLC0415

    settings = take_settings(parameters)
    broker = Broker(settings.kafka)
    present = broker.topics()
    missing = [topic for topic in TOPICS if full_name(topic.name, settings.topics) not in present]
    broker.create_topics(missing, settings.topics)
    click.echo(f"created {len(missing)} topics, {len(TOPICS) - len(missing)} were there", err=True)
