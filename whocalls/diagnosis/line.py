"""Does the line work: does every node report, does the watcher publish, is what arrives attributed? Pure.

In: the last batch of each node, the inventory's nodes and watermark, the processors' counters. Out: a finding for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from whocalls.diagnosis.finding import Finding, fail, fail_with, ok, skip, warn

_FRESH_HEARTBEATS = 3
_WATERMARK_SECONDS = 30.0
_UNRESOLVED_SHARE = 0.2
_DROPPED_SHARE = 0.01
_LAG_RECORDS = 1000
_SECOND = 1_000_000_000
_SHOWN = 5


class NodeReport(Struct, frozen=True, kw_only=True):
    """What one node sent during the time looked at."""

    last_sent_at: int
    received: int = 0
    kernel_dropped: int = 0
    overflowed: int = 0


class LineFacts(Struct, frozen=True, kw_only=True):
    """What was read of the topics, and of the processors' pages."""

    trouble: str = ""
    """Why the topics could not be read."""
    is_unreachable: bool = False
    now: int = 0
    window_seconds: float = 0.0
    reports: dict[str, NodeReport] = {}
    nodes: tuple[str, ...] = ()
    """Those of the inventory that exist now; empty where it may not be known."""
    watermark_at: int | None = None
    from_file: bool = False
    """The inventory is a file of objects: its watermark never moves."""
    denied: tuple[str, ...] = ()
    """Resources that the watcher may not read."""
    observations: int = 0
    """Of the last day and more, by the coverage topic; 0 where it may not be read."""
    unresolved: int = 0
    pages: tuple[str, ...] = ()
    """Texts of the processors' metrics."""
    page_trouble: str = ""
    pages_asked: bool = False


def check_line(facts: LineFacts, *, heartbeat_seconds: float) -> list[Finding]:
    """Judge the topics from the agents to the graph."""
    if facts.trouble:
        doc = "docs/security.md#rights-on-kafka"
        return [fail_with("stream.topics", facts.trouble, doc=doc, unreachable=facts.is_unreachable)]
    return [
        *_check_nodes(facts, heartbeat_seconds),
        *_check_loss(facts),
        *_check_inventory(facts),
        *_check_share(facts),
        *_check_processors(facts),
    ]


def sum_samples(pages: Iterable[str]) -> dict[str, float]:
    """Add up the samples of each metric over pages in the text exposition format, whatever their labels."""
    sums: dict[str, float] = {}
    for page in pages:
        for line in page.splitlines():
            if line and not line.startswith("#"):
                name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
                sums[name] = sums.get(name, 0.0) + float(rest.rpartition("}")[2].split()[0])
    return sums


def _check_nodes(facts: LineFacts, heartbeat_seconds: float) -> Iterator[Finding]:
    check, doc = "stream.nodes", "docs/operations.md#whocallsagentsilent"
    fix = "kubectl logs daemonset/whocalls-agent on that node; `whocalls doctor agent` inside it"
    limit = _FRESH_HEARTBEATS * heartbeat_seconds
    stale = {}
    for node, report in sorted(facts.reports.items()):
        age = (facts.now - report.last_sent_at) / _SECOND
        if age > limit:
            stale[node] = age
    for node, age in stale.items():
        yield fail(check, f"{node} was last heard {age:.0f} s ago, more than {limit:.0f} s", fix=fix, doc=doc)
    fresh = len(facts.reports) - len(stale)
    silent = sorted(set(facts.nodes) - facts.reports.keys())
    if silent:
        message = f"nothing from {_some(silent)} in {facts.window_seconds:.0f} s"
        yield fail(check, message, fix=f"{fix}; is the node tolerated by agent.tolerations?", doc=doc)
    if fresh:
        yield ok(check, f"{fresh} nodes report")
    elif not stale and not silent:
        message = f"no agent has reported in {facts.window_seconds:.0f} s"
        yield fail(check, message, fix="kubectl rollout status daemonset/whocalls-agent", doc=doc)


def _check_loss(facts: LineFacts) -> Iterator[Finding]:
    check, doc = "stream.loss", "docs/operations.md#whocallskerneldrops"
    for node, report in sorted(facts.reports.items()):
        lost = report.kernel_dropped + report.overflowed
        if lost > _DROPPED_SHARE * max(report.received, 1):
            message = f"{node} lost {lost} packets or facts of {report.received} in {facts.window_seconds:.0f} s"
            yield warn(check, message, fix="raise agent.capture.ring_bytes or agent.suppression.entries", doc=doc)
            return
    if facts.reports:
        yield ok(check, "no node lost more than one in a hundred")


def _check_inventory(facts: LineFacts) -> Iterator[Finding]:
    check, doc = "stream.inventory", "docs/operations.md#whocallswatermarkstale"
    fix = "kubectl logs deployment/whocalls-watcher; `whocalls doctor rbac` with its account"
    if facts.watermark_at is None:
        yield fail(check, "the watcher has published no watermark: nothing can be attributed", fix=fix, doc=doc)
        return
    if facts.from_file:
        yield ok(check, "the inventory is a file of objects")
        return
    age = (facts.now - facts.watermark_at) / _SECOND
    if age > _WATERMARK_SECONDS:
        yield fail(check, f"the inventory's watermark is {age:.0f} s behind", fix=fix, doc=doc)
    else:
        yield ok(check, f"the inventory's watermark is {max(age, 0):.0f} s behind")
    if facts.denied:
        message = f"the watcher may not read {', '.join(facts.denied)}"
        yield warn(check, message, fix="grant list and watch on it", doc="docs/security.md#rights-in-kubernetes")


def _check_share(facts: LineFacts) -> Iterator[Finding]:
    check, doc = "stream.unresolved", "docs/operations.md#whocallsunresolvedshare"
    if not facts.observations:
        yield skip(check, "the coverage topic says nothing yet, or may not be read")
        return
    message = f"{facts.unresolved / facts.observations:.1%} of {facts.observations} observations were not attributed"
    if facts.unresolved > _UNRESOLVED_SHARE * facts.observations:
        fix = "look at the reasons: kcat -t whocalls.unresolved -C -e, and the processor's metric by `reason`"
        yield warn(check, message, fix=fix, doc=doc)
    else:
        yield ok(check, message)


def _check_processors(facts: LineFacts) -> Iterator[Finding]:
    check = "stream.processor"
    if not facts.pages_asked:
        yield skip(check, "name the processors' pages with --metrics http://HOST:6066/metrics")
        return
    if facts.page_trouble:
        fix = "kubectl logs deployment/whocalls-processor; let a NetworkPolicy pass port 6066"
        yield fail(check, facts.page_trouble, fix=fix, doc="docs/operations.md#whocallsprocessordown")
        return
    yield ok(check, f"{len(facts.pages)} processors answer")
    lag = sum_samples(facts.pages).get("whocalls_processor_lag_records", 0.0)
    doc = "docs/operations.md#whocallsprocessorlag"
    message = f"{lag:.0f} batches are not finished"
    if lag > _LAG_RECORDS:
        yield warn("stream.lag", message, fix="add processors (processor.replicas)", doc=doc)
    else:
        yield ok("stream.lag", message)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
