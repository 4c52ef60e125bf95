"""One list-and-watch: what to ask next, and what an answer means for it. Pure (sans-IO).

In: pages, events and failures as they came, a random number where a choice must differ between watchers. Out: the next
request, and what to do about a failure. Source: kubernetes.io/docs/reference/using-api/api-concepts (efficient
detection of changes, streaming lists, watch bookmarks, 410 Gone), kube-apiserver 1.36 as recorded.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal, NamedTuple

from stream_processor.kube_types import KubeKind
from stream_processor.settings import WatchSettings

LEAST_PAUSE_SECONDS = 0.1
"""Between any two requests of one watch that follow a failure or an end: never a busy loop."""
LONGEST_RETRY_AFTER_SECONDS = 120.0
SETTLED_SECONDS = 1.0
"""A stream that ends by itself sooner than this was not served properly."""


class Resource(NamedTuple):
    """A resource that attribution needs."""

    name: str
    kind: KubeKind
    prefix: str
    metadata_only: bool = False
    namespaced: bool = True


RESOURCES = (
    # What pods and slices point to comes first; the watches run side by side all the same.
    Resource("nodes", "Node", "/api/v1", namespaced=False),
    Resource("services", "Service", "/api/v1"),
    Resource("replicasets", "ReplicaSet", "/apis/apps/v1", metadata_only=True),
    Resource("jobs", "Job", "/apis/batch/v1", metadata_only=True),
    Resource("endpointslices", "EndpointSlice", "/apis/discovery.k8s.io/v1"),
    Resource("pods", "Pod", "/api/v1"),
)


def resource_path(resource: Resource, namespace: str | None) -> str:
    """Return the path of a collection: of one namespace, or of the whole cluster."""
    if namespace is None or not resource.namespaced:
        return f"{resource.prefix}/{resource.name}"
    return f"{resource.prefix}/namespaces/{namespace}/{resource.name}"


def accept_header(resource: Resource, *, watches: bool) -> str:
    """Ask for whole objects, or for their metadata where that is enough (half the bytes, and no specs)."""
    if not resource.metadata_only:
        return "application/json"
    shape = "PartialObjectMetadata" if watches else "PartialObjectMetadataList"
    return f"application/json;as={shape};g=meta.k8s.io;v=v1"


class Phase(Enum):
    """Where a watch stands."""

    WATCH_LIST = auto()
    PAGES = auto()
    WATCH = auto()


class Request(NamedTuple):
    """What to ask. `starts_list`: what is known is replaced by what comes from here on."""

    query: dict[str, str]
    read_timeout: float
    watches: bool
    starts_list: bool


class Failure(NamedTuple):
    """What came in place of data.

    `kind`: an HTTP status, an ERROR event in the stream, silence up to the read timeout, a broken connection, or data
    that do not decode. `code` is the status, or 0.
    """

    kind: Literal["status", "event", "silence", "connection", "garbled"]
    code: int = 0
    message: str = ""
    retry_after: float = 0.0


class Verdict(NamedTuple):
    """What to do about a failure, and how long to pause before the next request."""

    action: Literal["resume", "relist", "denied", "unauthorized"]
    pause: float


class Watch:
    """The state of one list-and-watch."""

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._serves_watch_list = True
        self._failures = 0
        self._version = ""
        self._continue = ""
        self._heard = False
        self.phase = Phase.WATCH_LIST

    def request(self, *, jitter: float) -> Request:
        """Build the next request. `jitter` is uniform in [0, 1)."""
        self._heard = False
        if self.phase is Phase.PAGES:
            query = {"limit": str(self._settings.page_size)}
            if self._continue:
                query["continue"] = self._continue
            return Request(query, self._settings.silence_seconds, watches=False, starts_list=not self._continue)
        seconds = self._settings.watch_seconds * (1 + jitter / 4)
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(int(seconds))}
        if self.phase is Phase.WATCH_LIST:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            return Request(query, self._settings.sync_seconds, watches=True, starts_list=True)
        query["resourceVersion"] = self._version
        return Request(query, self._settings.silence_seconds, watches=True, starts_list=False)

    def take_page(self, *, version: str, continue_token: str) -> bool:
        """Note a page; tell whether it was the last."""
        self._continue = continue_token
        if not continue_token:
            self._version, self.phase = version, Phase.WATCH
        return not continue_token

    def take_event(self, version: str) -> None:
        """Note an event that carried an object."""
        self._heard = True
        if self.phase is Phase.WATCH:
            self._version, self._failures = version or self._version, 0

    def take_bookmark(self, version: str, *, ends_initial_events: bool) -> bool:
        """Note a bookmark; tell whether it closes the initial list."""
        if self.phase is Phase.WATCH_LIST and not ends_initial_events:
            return False
        closes = self.phase is Phase.WATCH_LIST
        self.phase = Phase.WATCH
        self.take_event(version)
        return closes

    def end(self, *, lived_seconds: float, jitter: float) -> float:
        """Note that the server ended a stream; return the pause before the next request."""
        if self.phase is Phase.WATCH_LIST:
            # Servers before 1.27 take sendInitialEvents for an unknown parameter and never send its end.
            self._serves_watch_list = False
            self._restart()
        if lived_seconds >= SETTLED_SECONDS:
            self._failures = 0
            return LEAST_PAUSE_SECONDS
        return self._back_off(jitter)

    def fail(self, failure: Failure, *, jitter: float) -> Verdict:
        """Note a failure; say what to do about it."""
        if failure.code in (403, 404):
            self._failures = 0
            return Verdict("denied", self._settings.denied_retry_seconds)
        first = self._failures == 0
        pause = max(self._back_off(jitter), min(failure.retry_after, LONGEST_RETRY_AFTER_SECONDS))
        if failure.code == 401:
            return Verdict("unauthorized", LEAST_PAUSE_SECONDS if first else pause)
        if self._refuses_watch_list(failure):
            self._serves_watch_list = False
            self._restart()
            return Verdict("relist", LEAST_PAUSE_SECONDS)
        if self._lost_position(failure):
            self._restart()
            return Verdict("relist", LEAST_PAUSE_SECONDS if first else pause)
        return Verdict("resume", pause)

    def _refuses_watch_list(self, failure: Failure) -> bool:
        """Tell whether the server does not serve streaming lists: 400 and 422 by validation, 500 inside the stream."""
        if self.phase is not Phase.WATCH_LIST:
            return False
        return failure.kind == "silence" or failure.code in (400, 422) or (failure.kind, failure.code) == ("event", 500)

    def _lost_position(self, failure: Failure) -> bool:
        """Tell whether resuming is no use: the version is too old (410), or newer than the server's (504).

        A watch from a version of the future is accepted and hangs: one that was silent from the start is not resumed.
        """
        if failure.code in (400, 410, 504):
            return True
        return failure.kind == "silence" and not self._heard and self.phase is Phase.WATCH

    def _restart(self) -> None:
        self._version = self._continue = ""
        self.phase = Phase.WATCH_LIST if self._serves_watch_list else Phase.PAGES

    def _back_off(self, jitter: float) -> float:
        """Count a failure; return a pause with full jitter."""
        self._failures += 1
        ceiling = min(self._settings.retry_seconds, 0.5 * 2.0 ** min(self._failures - 1, 16))
        return max(LEAST_PAUSE_SECONDS, jitter * ceiling)
