"""What the watcher tells people: one log line for each change of state, metrics, readiness. Shell: log and metrics."""

from __future__ import annotations

from callgraph.telemetry import Logger
from stream_processor.feed import Changed, Listed, ListEnded, Message, Recovered, Scope, Troubled, Undecodable
from stream_processor.kube_types import KubeKind
from stream_processor.watch import RESOURCES
from stream_processor.watcher_status import Answer, WatcherStatus

_REMEDIES = {
    "denied": "grant list and watch, or leave it: what depends on it stays unresolved",
    "unauthorized": "the token is read again",
    "relist": "the list is read again",
    "resume": "it is tried again",
}


class WatcherReport:
    """Remembers what was said, so that nothing is said twice."""

    def __init__(self, status: WatcherStatus, log: Logger) -> None:
        self._status = status
        self._log = log
        self._troubles: dict[Scope, str] = {}
        self._complete: set[Scope] = set()
        self.denied: dict[Scope, str] = {}
        self.is_synced = False

    def turn(self) -> None:
        """Note that the publisher's loop is alive."""
        self._status.turn()

    def stand_by(self) -> None:
        """Say that another watcher is the active one."""
        self._status.metric("active").set(0)
        self._status.readiness = Answer(good=True, why="standby: another watcher holds the Lease")

    def start(self) -> None:
        """Say that this watcher is the active one from now on."""
        self._status.metric("active").set(1)
        self._status.readiness = Answer(good=False, why="listing pods")
        self._troubles.clear()
        self._complete.clear()
        self.denied.clear()
        self.is_synced = False

    def take(self, message: Message, *, published: int) -> None:
        """Count a message; say what it changes."""
        self._status.turn()
        scope, resource = message.scope, message.scope.resource
        self._status.metric("published_total").inc(published)
        if isinstance(message, Changed | Listed):
            count = len(message.changes if isinstance(message, Changed) else message.objects)
            self._status.metric("events_total", kind=resource.kind).inc(count)
        elif isinstance(message, Undecodable):
            self._status.metric("undecodable_total", resource=resource.name).inc(len(message.problems))
            self._log.warning("objects_skipped", scope=scope.text, count=len(message.problems), why=message.problems[0])
        elif isinstance(message, Troubled):
            self._note_trouble(message)
        elif isinstance(message, Recovered):
            self._note_recovery(scope)
        elif isinstance(message, ListEnded):
            self._complete.add(scope)
        self._judge()

    def note_watermark(self, at: int, *, now: int, counts: dict[KubeKind, int]) -> None:
        """Show how far the watermark is behind, and how much is known; say once that it is everything."""
        for kind, count in counts.items():
            self._status.metric("objects", kind=kind).set(count)
        self._status.metric("watermark_age_seconds").set((now - at) / 1e9)
        if not self.is_synced:
            self.is_synced = True
            without = sorted(scope.text for scope in self.denied)
            self._log.info("inventory_synced", objects=counts, without=without)

    def _note_trouble(self, message: Troubled) -> None:
        scope, failure, verdict = message
        self._status.metric("failures_total", resource=scope.resource.name, action=verdict.action).inc()
        if verdict.action == "denied":
            self.denied[scope] = failure.message
        self._show_denied(scope.resource.name)
        reason = f"{failure.kind} {failure.code} {verdict.action}"
        if self._troubles.get(scope) != reason:
            self._troubles[scope] = reason
            self._log.warning(
                f"watch_{'denied' if verdict.action == 'denied' else 'failed'}",
                scope=scope.text,
                why=failure.message or failure.kind,
                code=failure.code,
                remedy=_REMEDIES[verdict.action],
                pause_seconds=round(verdict.pause, 2),
            )

    def _note_recovery(self, scope: Scope) -> None:
        self.denied.pop(scope, None)
        self._show_denied(scope.resource.name)
        if self._troubles.pop(scope, None):
            self._log.info("watch_recovered", scope=scope.text)

    def _show_denied(self, resource: str) -> None:
        refused = any(scope.resource.name == resource for scope in self.denied)
        self._status.metric("denied", resource=resource).set(int(refused))

    def _judge(self) -> None:
        """Ready: the pods of all scopes that may be read are listed."""
        pods = [scope for scope in self._complete if scope.resource.kind == "Pod" and scope not in self.denied]
        refusals = [why for scope, why in self.denied.items() if scope.resource.kind == "Pod"]
        if pods:
            self._status.readiness = Answer(
                good=True, why=f"watching {len(self._complete)} of {len(RESOURCES)} resources"
            )
        elif refusals:
            self._status.readiness = Answer(good=False, why=refusals[0])
        else:
            self._status.readiness = Answer(good=False, why="listing pods")
