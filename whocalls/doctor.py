"""`whocalls doctor`: is everything there that the roles need, and does the line work? Shell.

A line for each check, what to do about each failure, and an exit code: 5 where a check failed, 6 where something could
not be reached. `whocalls.diagnosis` gathers facts in its `…_facts` modules and judges them in the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import click

from callgraph.rights import Role
from whocalls.configuration import Settings
from whocalls.diagnosis.finding import Finding, exit_code, render_json, render_text, skip
from whocalls.options import settings_options, take_settings

SECTIONS = ("kafka", "rbac", "stream", "export", "agent")


class Wishes(NamedTuple):
    """What the flags say."""

    installs: bool
    roles: tuple[Role, ...]
    namespaces: tuple[str, ...]
    name: str
    wait_seconds: float
    window_seconds: float
    metrics: tuple[str, ...]


@click.command("doctor")
@click.argument("sections", nargs=-1, type=click.Choice(SECTIONS), metavar="[kafka|rbac|stream|export|agent]…")
@click.option("--pre", "installs", is_flag=True, help="Before an installation: kafka and rbac, as whoever installs.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(get_args(Role)),
    help="Whose rights on Kafka this user should have; repeat it; all by default.",
)
@click.option("--namespace", default="whocalls", show_default=True, help="With --pre: where the chart goes.")
@click.option("--agents-namespace", default="", help="With --pre: where the agents go, when it is another one.")
@click.option("--name", default="", help="A name to ask the resolver for, by default the API server's.")
@click.option("--wait", "wait_seconds", default=10.0, show_default=True, help="Seconds to wait for a DNS answer.")
@click.option("--window", "window_seconds", default=300.0, show_default=True, help="Seconds of batches to look at.")
@click.option(
    "--metrics", multiple=True, metavar="URL", help="The processors' /metrics: every address of the name is asked."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="A warning is a failure.")
@settings_options("kafka", "topics", "log", "agent", "watcher", "processor", "attribution", "exporter")
def doctor_command(sections: tuple[str, ...], output: str, strict: bool, **parameters: Any) -> int:
    """Check Kafka, rights, the line and, where it is named, this node's agent.

    \b
    Examples:
      whocalls doctor --pre --config whocalls.yaml     before an installation
      whocalls doctor kafka stream --role processor    as a processor
      kubectl exec daemonset/whocalls-agent -- whocalls doctor agent
    """  # noqa: D301  (click reads the escape)
    wishes = _take_wishes(parameters)
    settings = take_settings(parameters)
    chosen = sections or (("kafka", "rbac") if wishes.installs else ("kafka", "rbac", "stream", "export"))
    findings: list[Finding] = []
    for section in chosen:
        if section == "stream" and any(finding.unreachable and finding.check == "kafka.login" for finding in findings):
            findings.append(skip("stream.topics", "Kafka is not reached"))
        else:
            findings += _SECTIONS[section](settings, wishes)
    click.echo(render_json(findings) if output == "json" else render_text(findings), nl=False)
    return exit_code(findings, strict=strict)


def _take_wishes(parameters: dict[str, Any]) -> Wishes:
    namespaces = (parameters.pop("namespace"), parameters.pop("agents_namespace"))
    return Wishes(
        namespaces=tuple(dict.fromkeys(filter(None, namespaces))),
        **{name: parameters.pop(name) for name in Wishes._fields if name != "namespaces"},
    )


def _kafka(settings: Settings, wishes: Wishes) -> Sequence[Finding]:
    from whocalls.diagnosis.kafka import check_kafka  # noqa: PLC0415  (an image has what its role needs)
    from whocalls.diagnosis.kafka_facts import gather_kafka  # noqa: PLC0415

    roles: tuple[Role, ...] = wishes.roles or get_args(Role)
    group = settings.processor.group
    facts = gather_kafka(settings.kafka, settings.topics, roles=roles, group=group, creates=wishes.installs)
    return check_kafka(facts, settings.kafka, settings.topics)


def _rbac(settings: Settings, wishes: Wishes) -> Sequence[Finding]:
    from whocalls.diagnosis.rights import check_rights  # noqa: PLC0415  (as above)
    from whocalls.diagnosis.rights_facts import gather_rights  # noqa: PLC0415

    facts = gather_rights(settings.watcher, installs_into=wishes.namespaces if wishes.installs else ())
    return check_rights(facts, installs=wishes.installs)


def _stream(settings: Settings, wishes: Wishes) -> Sequence[Finding]:
    from whocalls.diagnosis.line import check_line  # noqa: PLC0415  (as above)
    from whocalls.diagnosis.line_facts import Line, gather_line  # noqa: PLC0415

    line = Line(cluster=settings.cluster, kafka=settings.kafka, topics=settings.topics, group=settings.processor.group)
    facts = gather_line(line, window_seconds=wishes.window_seconds, metrics=wishes.metrics)
    return check_line(facts, heartbeat_seconds=settings.agent.publish.heartbeat_seconds)


def _export(settings: Settings, _wishes: Wishes) -> Sequence[Finding]:
    from whocalls.diagnosis.output import check_output  # noqa: PLC0415  (as above)
    from whocalls.diagnosis.output_facts import gather_output  # noqa: PLC0415

    return check_output(gather_output(settings.exporter), settings.exporter)


def _agent(settings: Settings, wishes: Wishes) -> Sequence[Finding]:
    from whocalls.diagnosis.node import check_node  # noqa: PLC0415  (as above)
    from whocalls.diagnosis.node_facts import gather_node  # noqa: PLC0415

    name = wishes.name or f"kubernetes.default.svc.{settings.attribution.cluster_domain}"
    facts = gather_node(settings.agent, name=name, seconds=wishes.wait_seconds)
    return check_node(facts, settings.agent)


_SECTIONS: dict[str, Callable[[Settings, Wishes], Sequence[Finding]]] = {
    "kafka": _kafka,
    "rbac": _rbac,
    "stream": _stream,
    "export": _export,
    "agent": _agent,
}
