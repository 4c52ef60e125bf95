"""The state of the fake API server: objects, one revision for all of them, the watch history of each resource. Pure.

Held to `conformance/kube_exchanges.json` by tests/integration/test_fake_api_server.py.
"""

from __future__ import annotations

import base64
import copy
import json
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]

PREFIXES = {
    "namespaces": ("/api/v1", "v1", "Namespace"),
    "nodes": ("/api/v1", "v1", "Node"),
    "pods": ("/api/v1", "v1", "Pod"),
    "services": ("/api/v1", "v1", "Service"),
    "replicasets": ("/apis/apps/v1", "apps/v1", "ReplicaSet"),
    "jobs": ("/apis/batch/v1", "batch/v1", "Job"),
    "endpointslices": ("/apis/discovery.k8s.io/v1", "discovery.k8s.io/v1", "EndpointSlice"),
    "leases": ("/apis/coordination.k8s.io/v1", "coordination.k8s.io/v1", "Lease"),
}
RESOURCE_OF = {kind: resource for resource, (_, _, kind) in PREFIXES.items()}
CREATED_AT = "2026-01-01T00:00:00Z"


class StatusError(Exception):
    """An answer that is a Status object."""

    def __init__(self, code: int, reason: str, message: str, *, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


class Event(NamedTuple):
    """A change, with the object before and after it: a selector may see it as coming or going."""

    revision: int
    type: str
    object: Json
    before: Json | None


@dataclass
class Selection:
    """Which objects of a resource a request is about."""

    resource: str
    namespace: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)

    def takes(self, obj: Json | None) -> bool:
        """Tell whether the object is one of them."""
        if obj is None or (self.namespace and obj["metadata"].get("namespace") != self.namespace):
            return False
        labels = obj["metadata"].get("labels") or {}
        return all(labels.get(name) == value for name, value in self.labels.items()) and all(
            _field(obj, path) == value for path, value in self.fields.items()
        )

    def see(self, event: Event) -> Json | None:
        """Show a change as this selection sees it: entering is ADDED; leaving is DELETED, in the state of before."""
        now, then = self.takes(event.object) and event.type != "DELETED", self.takes(event.before)
        if not now and not then:
            return None
        if now:
            return {"type": "MODIFIED" if then else "ADDED", "object": event.object}
        return {"type": "DELETED", "object": _with_version(event.before or event.object, event.revision)}


class Store:
    """Objects by resource and name."""

    def __init__(self, *, history: int = 1000) -> None:
        self.revision = 1000
        self._objects: dict[str, dict[tuple[str, str], Json]] = {resource: {} for resource in PREFIXES}
        self._events: dict[str, deque[Event]] = {resource: deque(maxlen=history) for resource in PREFIXES}
        self._oldest: dict[str, int] = dict.fromkeys(PREFIXES, self.revision)

    def load(self, objects: list[Json], *, revision: int) -> None:
        """Take objects with the versions that they carry, and forget the history."""
        for obj in objects:
            resource = RESOURCE_OF[obj["kind"]]
            self._objects[resource][_key(obj)] = copy.deepcopy(obj)
        self.revision = revision
        self.forget_history()

    def put(self, obj: Json) -> Json:
        """Create or replace an object: the UID stays, the version is new."""
        resource, key = RESOURCE_OF[obj["kind"]], _key(obj)
        before = self._objects[resource].get(key)
        self.revision += 1
        stored = copy.deepcopy(obj)
        metadata = stored["metadata"]
        kept = before["metadata"]["uid"] if before else metadata.get("uid")
        metadata |= {"uid": kept or str(uuid.uuid4()), "resourceVersion": str(self.revision)}
        metadata.setdefault("creationTimestamp", CREATED_AT)
        stored.setdefault("apiVersion", PREFIXES[resource][1])
        self._objects[resource][key] = stored
        self._note(resource, Event(self.revision, "MODIFIED" if before else "ADDED", stored, before))
        return stored

    def create(self, obj: Json) -> Json:
        """Create an object as a POST does."""
        resource, name = RESOURCE_OF[obj["kind"]], obj["metadata"]["name"]
        if obj["kind"] == "Pod" and not (obj.get("spec") or {}).get("containers"):
            raise _invalid("Pod", name, "spec.containers", "Required value")
        if _key(obj) in self._objects[resource]:
            details = {"name": name, "kind": resource}
            raise StatusError(409, "AlreadyExists", f'{resource} "{name}" already exists', details=details)
        if obj["kind"] == "Service" and not obj["spec"].get("clusterIP"):
            address = f"10.96.{self.revision // 250 % 250}.{self.revision % 250 + 1}"
            obj = obj | {"spec": obj["spec"] | {"clusterIP": address, "clusterIPs": [address]}}
        return self.put(obj)

    def replace(self, obj: Json) -> Json:
        """Replace an object as a PUT does: not over a version that the writer has not seen."""
        resource, metadata = RESOURCE_OF[obj["kind"]], obj["metadata"]
        before = self.get(resource, metadata.get("namespace", ""), metadata["name"])
        seen = metadata.get("resourceVersion")
        if seen and seen != before["metadata"]["resourceVersion"]:
            name = metadata["name"]
            message = (
                f'Operation cannot be fulfilled on {resource} "{name}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
            raise StatusError(409, "Conflict", message, details={"name": name, "kind": resource})
        return self.put(obj)

    def get(self, resource: str, namespace: str, name: str) -> Json:
        """Return one object, or raise a 404."""
        try:
            return self._objects[resource][namespace, name]
        except KeyError:
            details = {"name": name, "kind": resource}
            raise StatusError(404, "NotFound", f'{resource} "{name}" not found', details=details) from None

    def remove(self, resource: str, namespace: str, name: str) -> Json:
        """Delete an object at once; its last event carries the version of the deletion."""
        before = self.get(resource, namespace, name)
        del self._objects[resource][namespace, name]
        self.revision += 1
        gone = _with_version(before, self.revision)
        self._note(resource, Event(self.revision, "DELETED", gone, before))
        return gone

    def select(self, selection: Selection) -> list[Json]:
        """Return the objects of a selection, by namespace and name."""
        found = self._objects[selection.resource]
        return [found[key] for key in sorted(found) if selection.takes(found[key])]

    def forget_history(self) -> None:
        """Compact: a watch from any earlier version is too old."""
        for resource, events in self._events.items():
            events.clear()
            self._oldest[resource] = self.revision

    def events_since(self, resource: str, revision: int) -> list[Event]:
        """Return the changes after a revision, or raise the 410 that a watch sends as an event."""
        events, oldest = self._events[resource], self._oldest[resource]
        if revision < oldest:
            raise StatusError(410, "Expired", f"too old resource version: {revision} ({oldest})")
        return [event for event in events if event.revision > revision]

    def page(self, selection: Selection, *, limit: int, token: str) -> Json:
        """Return a list, or a page of one, without the kind."""
        objects = self.select(selection)
        revision, start = self.revision, 0
        if token:
            revision, after = _read_token(token)
            if revision < self._oldest[selection.resource]:
                raise StatusError(
                    410, "Expired", "The provided continue parameter is too old to display a consistent list result."
                )
            start = sum(_path(obj, selection) <= after for obj in objects)
        part = objects[start : start + limit] if limit else objects[start:]
        left = len(objects) - start - len(part)
        metadata: Json = {"resourceVersion": str(revision)}
        if left:
            metadata["continue"] = _make_token(revision, _path(part[-1], selection))
            metadata["remainingItemCount"] = left
        return {"metadata": metadata, "items": part}

    def _note(self, resource: str, event: Event) -> None:
        events = self._events[resource]
        if len(events) == events.maxlen:
            self._oldest[resource] = events[0].revision
        events.append(event)


def _invalid(kind: str, name: str, path: str, problem: str) -> StatusError:
    cause = {"reason": "FieldValueRequired", "message": problem, "field": path}
    details = {"name": name, "kind": kind, "causes": [cause]}
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {path}: {problem}', details=details)


def _with_version(obj: Json, revision: int) -> Json:
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": str(revision)}}


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _field(obj: Json, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = (value or {}).get(part)
    return value


def _path(obj: Json, selection: Selection) -> str:
    """Where an object stands in etcd, seen from the prefix of the list."""
    namespace, name = _key(obj)
    return f"/{name}" if selection.namespace or not namespace else f"/{namespace}/{name}"


def _make_token(revision: int, path: str) -> str:
    # Go's encoding/json escapes the NUL that makes the next page begin after this object.
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": path + "\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(read["rv"]), read["start"].rstrip("\0")
    except (ValueError, KeyError):
        raise StatusError(400, "BadRequest", "continue key is not valid") from None
