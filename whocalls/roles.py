"""The long-running roles: settings in, a program's `run_…` called. Shell."""

from __future__ import annotations

from typing import Any

import click

from whocalls.options import settings_options, take_settings


@click.command("agent")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="live (default), or what to read instead: pcap:FILE, proc:FOLDER, coredns-log:FILE, calico-log:FILE.",
)
@click.option("--to", help="kafka (default), a file, or - for stdout: JSON Lines, one observation a line.")
@click.option("--raw", is_flag=True, help="Pass every observation on as it is, repeats included.")
@settings_options("kafka", "topics", "log", "agent")
def agent_command(sources: tuple[str, ...], to: str | None, raw: bool, **parameters: Any) -> None:
    """Capture DNS answers, SYNs and existing connections on this node."""
    from callgraph.telemetry import LeanLogger  # noqa: PLC0415  (roles load their own packages only)
    from capture_agent.program import run_agent  # noqa: PLC0415
    from capture_agent.sources import parse_source  # noqa: PLC0415

    parameters |= {"setting__agent__to": to or parameters["setting__agent__to"]}
    parameters |= {"setting__agent__raw": "true" if raw else parameters["setting__agent__raw"]}
    settings = take_settings(parameters)
    run_agent(
        cluster=settings.cluster,
        kafka=settings.kafka,
        topics=settings.topics,
        agent=settings.agent,
        log=LeanLogger(settings.log, role="agent"),
        sources=[parse_source(source) for source in sources],
    )


@click.command("watcher")
@settings_options("kafka", "topics", "log", "watcher", "attribution")
def watcher_command(**parameters: Any) -> None:
    """Publish who had which address when: a Kubernetes watch, or a file of objects, to the inventory topic."""
    from callgraph.telemetry import structured_logger  # noqa: PLC0415  (roles load their own packages only)
    from stream_processor.watcher import run_watcher  # noqa: PLC0415

    settings = take_settings(parameters)
    run_watcher(
        cluster=settings.cluster,
        kafka=settings.kafka,
        topics=settings.topics,
        watcher=settings.watcher,
        attribution=settings.attribution,
        log=structured_logger(settings.log, role="watcher"),
    )


@click.command("processor")
@settings_options("kafka", "topics", "log", "processor", "attribution")
def processor_command(**parameters: Any) -> None:
    """Attribute observations and fold them into the call graph."""
    from callgraph.telemetry import structured_logger  # noqa: PLC0415
    from stream_processor.program import run_processor  # noqa: PLC0415

    settings = take_settings(parameters)
    run_processor(
        cluster=settings.cluster,
        kafka=settings.kafka,
        topics=settings.topics,
        attribution=settings.attribution,
        processor=settings.processor,
        log=structured_logger(settings.log, role="processor"),
    )


@click.command("exporter")
@settings_options("kafka", "topics", "log", "exporter")
@click.option("--once", is_flag=True, help="Write one export and end.")
def exporter_command(once: bool, **parameters: Any) -> None:
    """Materialise the call graph as files."""
    from callgraph.telemetry import structured_logger  # noqa: PLC0415
    from sink_exporter.program import run_exporter  # noqa: PLC0415

    settings = take_settings(parameters)
    run_exporter(
        kafka=settings.kafka,
        topics=settings.topics,
        exporter=settings.exporter,
        log=structured_logger(settings.log, role="exporter"),
        once=once,
    )
