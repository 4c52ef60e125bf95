"""What policies would do to the calls that were seen, as text, JSON or Markdown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from callgraph.records import Workload
from sink_exporter.difference import describe_arrows, write_fenced
from sink_exporter.graph import Arrow
from sink_exporter.json_text import encode_json
from sink_exporter.policy_check import BlockedCall, PolicyReport, UnclearCall, UnseenCall
from sink_exporter.policy_rules import Obstacle, PolicyPort
from sink_exporter.render_text import escape_control

Finding = BlockedCall | UnclearCall | UnseenCall


def render_policy_report(report: PolicyReport, form: str) -> str:
    """Render a report as `text`, `json` or `markdown`; nothing to say as the empty text, but for JSON."""
    return _RENDERERS[form](report)


def _lines(report: PolicyReport) -> Iterator[str]:
    findings: tuple[Finding, ...] = (*report.blocked, *report.unclear, *report.unseen)
    pairs = describe_arrows(Arrow(client=one.client, server=one.server) for one in findings)
    for pair, finding in zip(pairs, findings, strict=True):
        yield f"{_describe(pair, finding)}\n"


def _describe(pair: str, finding: Finding) -> str:
    if isinstance(finding, UnclearCall):
        return f"unclear: {pair}: {escape_control(finding.reason)}"
    if isinstance(finding, BlockedCall):
        port = f" ({finding.port})" if finding.port else ""
        ways = "; ".join(f"{one.side} by {', '.join(_paths_of(one))}" for one in finding.obstacles)
        return f"blocked: {pair}{port}: {escape_control(ways)}"
    text = _format_policy_port(finding.port)
    port = f" ({text})" if text else ""
    return escape_control(f"never seen: {pair}{port}: allowed by {', '.join(finding.policies)}")


def _paths_of(obstacle: Obstacle) -> list[str]:
    return sorted(policy.path for policy in obstacle.policies)


def _format_policy_port(port: PolicyPort | None) -> str:
    if port is None:
        return ""
    if port.port is None:
        return port.protocol
    return f"{port.port}{f'-{port.end_port}' if port.end_port else ''}/{port.protocol}"


def _render_text(report: PolicyReport) -> str:
    return "".join(_lines(report))


def _render_markdown(report: PolicyReport) -> str:
    counts: tuple[tuple[str, Iterable[Finding]], ...] = (
        ("blocked", report.blocked),
        ("unclear", report.unclear),
        ("allowed and never seen", report.unseen),
    )
    title = ", ".join(f"{len(tuple(part))} {word}" for word, part in counts if part)
    lines = "".join(_lines(report))
    return f"**Calls under these policies: {title}**\n\n{write_fenced(lines, 'text')}" if title else ""


def _render_json(report: PolicyReport) -> str:
    blocked = [_ends(one) | {"port": one.port, "obstacles": _list_ways(one)} for one in report.blocked]
    unclear = [_ends(one) | {"reason": one.reason} for one in report.unclear]
    unseen = [_ends(one) | {"port": _format_policy_port(one.port), "policies": one.policies} for one in report.unseen]
    return encode_json({"blocked": blocked, "unclear": unclear, "unseen": unseen}) + "\n"


def _list_ways(finding: BlockedCall) -> list[dict[str, Any]]:
    return [{"side": one.side, "policies": _paths_of(one)} for one in finding.obstacles]


def _ends(finding: Finding) -> dict[str, Any]:
    return {"client": _place(finding.client), "server": _place(finding.server)}


def _place(workload: Workload) -> dict[str, str]:
    return {"namespace": workload.namespace, "kind": workload.kind, "name": workload.name}


_RENDERERS: dict[str, Callable[[PolicyReport], str]] = {
    "text": _render_text,
    "json": _render_json,
    "markdown": _render_markdown,
}
