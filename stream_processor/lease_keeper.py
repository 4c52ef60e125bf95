"""Holds a Lease, or waits for it. Shell: one thread, the API server.

In: what `lease` decides. Out: at any time, and without asking anyone, whether the Lease is ours. Only our own monotonic
clock counts.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid

import msgspec

from callgraph.errors import ConfigurationError
from callgraph.telemetry import Logger
from stream_processor.kube_client import KubeClient, KubeError
from stream_processor.lease import Lease, Step, claim, decide, give_up
from stream_processor.settings import LeaseSettings
from stream_processor.watch import Failure

_PREFIX = "/apis/coordination.k8s.io/v1/namespaces"
_RENEWALS = 5
"""Renewals within the duration of a Lease: some may fail before it is lost."""
_HELD_SHARE = 0.7
"""We count it as ours for this share of its duration, so that we have stopped before another may start."""


class LeaseKeeper(threading.Thread):
    """Takes the Lease when it can be had, and renews it until it is told to stop."""

    def __init__(self, client: KubeClient, settings: LeaseSettings, *, log: Logger) -> None:
        super().__init__(name="lease", daemon=True)
        self._client = client
        self._settings = settings
        self._log = log
        self._me = own_identity(settings)
        self._collection = f"{_PREFIX}/{settings.namespace}/leases"
        self._held_until = 0.0
        self._seen: Lease | None = None
        self._seen_at = time.monotonic()
        self._trouble = ""
        self._stop_asked = threading.Event()

    def is_held(self) -> bool:
        """Tell whether it is ours, for sure and without asking anyone."""
        return time.monotonic() < self._held_until

    def run(self) -> None:
        held = False
        while not self._stop_asked.is_set():
            try:
                self._step()
            except KubeError as error:
                self._complain(error)
            else:
                self._trouble = ""
            if self.is_held() != held:
                held = not held
                self._log.info("lease_taken" if held else "lease_lost", lease=self._settings.name, identity=self._me)
            self._stop_asked.wait(self._settings.seconds / _RENEWALS)

    def stop(self) -> None:
        """Stop renewing and, if it is ours, let another have it at once."""
        self._stop_asked.set()
        self.join(self._settings.seconds)
        was_held, self._held_until = self.is_held(), 0.0
        if was_held and self._seen is not None:
            try:
                self._write("PUT", give_up(self._seen))
            except KubeError as error:
                self._complain(error)

    def _step(self) -> None:
        asked_at = time.monotonic()
        lease = self._read()
        if lease != self._seen:
            self._seen, self._seen_at = lease, asked_at
        step = decide(lease, me=self._me, unchanged_seconds=asked_at - self._seen_at, seconds=self._settings.seconds)
        if step is Step.WAIT:
            self._held_until = 0.0
            return
        wanted = claim(lease, step, me=self._me, settings=self._settings, now=time.time_ns())
        self._seen = self._write("POST" if step is Step.CREATE else "PUT", wanted)
        # Counted from before the request: the server cannot have seen it any earlier.
        self._seen_at, self._held_until = asked_at, asked_at + self._settings.seconds * _HELD_SHARE

    def _read(self) -> Lease | None:
        try:
            body = self._client.send("GET", f"{self._collection}/{self._settings.name}", read_timeout=self._timeout)
        except KubeError as error:
            if error.failure.code == 404:
                return None
            raise
        return _read_lease(body)

    def _write(self, method: str, lease: Lease) -> Lease:
        path = self._collection if method == "POST" else f"{self._collection}/{self._settings.name}"
        body = self._client.send("POST" if method == "POST" else "PUT", path, lease, read_timeout=self._timeout)
        return _read_lease(body)

    @property
    def _timeout(self) -> float:
        return self._settings.seconds / _RENEWALS

    def _complain(self, error: KubeError) -> None:
        """Say what is wrong, once for each new reason. A 409 is another watcher being faster: no trouble."""
        failure = error.failure
        if failure.code == 401:
            with contextlib.suppress(ConfigurationError):  # the watches say it, and it is tried again
                self._client.reload_credentials()
        reason = f"{failure.kind} {failure.code}"
        if failure.code != 409 and reason != self._trouble:
            self._trouble = reason
            remedy = "grant get, create and update on leases" if failure.code == 403 else "it is tried again"
            self._log.warning("lease_refused", lease=self._settings.name, why=str(error), remedy=remedy)


def own_identity(settings: LeaseSettings) -> str:
    """Return who we are: as configured, else the host's name and a random part, new at each start."""
    return settings.identity or f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"


def _read_lease(body: bytes) -> Lease:
    try:
        return msgspec.json.decode(body, type=Lease)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KubeError(Failure("garbled", message=f"the answer is no Lease: {error}")) from error
