"""What the watches say, as records for the inventory topic. Pure.

In: the messages of the watch threads, in order. Out: the records that changed. A list replaces what was known of its
scope: what is not in it is closed when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from callgraph.codec import schema_of
from callgraph.records import KubeObject, PodRecord
from stream_processor.kube_types import KubeJson, KubeKind
from stream_processor.projection import Operation, Projector
from stream_processor.watch import Failure, Resource, Verdict
from stream_processor.watch_messages import Change

KEPT_NANOSECONDS = 86_400 * 1_000_000_000
"""What is gone stays on the topic for a day, so that workers that were down for a night find it."""


class Scope(NamedTuple):
    """What one watch covers. `namespace` None: the whole cluster."""

    resource: Resource
    namespace: str | None

    @property
    def text(self) -> str:
        """`pods`, or `shop/pods`: for logs and for the watermark's list of what is denied."""
        return f"{self.namespace}/{self.resource.name}" if self.namespace else self.resource.name


class ListStarted(NamedTuple):
    """What was known of the scope is about to be replaced."""

    scope: Scope


class Listed(NamedTuple):
    """Objects of the list."""

    scope: Scope
    objects: list[KubeJson]
    arrived_at: int


class ListEnded(NamedTuple):
    """The list is whole: what was not in it is gone."""

    scope: Scope
    arrived_at: int


class Changed(NamedTuple):
    """Events of the watch."""

    scope: Scope
    changes: list[Change]
    arrived_at: int


class Troubled(NamedTuple):
    """The watch does not work as it should; `verdict` says what is done about it."""

    scope: Scope
    failure: Failure
    verdict: Verdict


class Recovered(NamedTuple):
    """The watch works again."""

    scope: Scope


class Undecodable(NamedTuple):
    """Objects or events that were left out."""

    scope: Scope
    problems: list[str]


Message = ListStarted | Listed | ListEnded | Changed | Troubled | Recovered | Undecodable


class Feed:
    """What the API server has said, and what the lists that are under way have shown so far."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._present: dict[Scope, set[str]] = {}
        self._gone: dict[tuple[KubeKind, str], int] = {}
        self._promised = 0
        self._promised_to: dict[Scope, int] = {}

    def restore(self, record: KubeObject) -> None:
        """Take back a record that was published before."""
        self._projector.restore(record)
        ended_at = record.ended_at if isinstance(record, PodRecord) else record.to_at
        if ended_at is not None:
            self._gone[cast("KubeKind", schema_of(record)), record.uid] = ended_at

    def take(self, message: Message) -> list[KubeObject]:
        """Apply a message; return the records that it changed."""
        if isinstance(message, ListStarted):
            self._present[message.scope] = set()
            return []
        if isinstance(message, Listed):
            return self._apply(message.scope, [("MODIFIED", each) for each in message.objects], message.arrived_at)
        if isinstance(message, Changed):
            return self._apply(message.scope, [(each.op, each.object) for each in message.changes], message.arrived_at)
        return self._close(message) if isinstance(message, ListEnded) else []

    def promise(self, at: int, *, except_for: Iterable[Scope] = ()) -> None:
        """Note a watermark: what is found missing later was there until then, but in the scopes that were not read."""
        for scope in except_for:
            self._promised_to.setdefault(scope, self._promised)
        self._promised = at

    def expire(self, now: int) -> list[tuple[KubeKind, str]]:
        """Forget what was gone more than a day ago; name it, so that the topic can forget it too."""
        self._projector.expire(now)
        old = [key for key, at in self._gone.items() if at < now - KEPT_NANOSECONDS]
        for kind, uid in old:
            del self._gone[kind, uid]
            self._projector.forget(kind, uid)
        return old

    def counts(self) -> dict[KubeKind, int]:
        """Count the objects known, by kind."""
        return self._projector.counts()

    def _apply(
        self, scope: Scope, changes: list[tuple[Operation, KubeJson | None]], arrived_at: int
    ) -> list[KubeObject]:
        records = [self._apply_one(scope, op, obj, arrived_at) for op, obj in changes if obj is not None]
        return [record for record in records if record is not None]

    def _apply_one(self, scope: Scope, op: Operation, obj: KubeJson, arrived_at: int) -> KubeObject | None:
        kind, uid = scope.resource.kind, obj.metadata.uid
        self._present.get(scope, set()).add(uid)
        if op == "DELETED":
            self._gone[kind, uid] = arrived_at
        else:
            self._gone.pop((kind, uid), None)
        return self._projector.apply(op, obj, arrived_at)

    def _close(self, message: ListEnded) -> list[KubeObject]:
        present = self._present.pop(message.scope, set())
        self._projector.promise(self._promised_to.pop(message.scope, self._promised))
        kind, namespace = message.scope.resource.kind, message.scope.namespace
        closed = self._projector.close_missing(kind, present, message.arrived_at, namespace=namespace)
        self._gone |= {(kind, record.uid): message.arrived_at for record in closed}
        return closed
