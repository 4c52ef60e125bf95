"""Whether the API server answers at all, asked once a heartbeat. Shell: one thread.

A frozen server keeps its connections alive: the kernel acknowledges for it, and the next bookmark may be a minute away.
So the watermark never passes the last moment at which a request was sent that came back.
"""

from __future__ import annotations

import threading
import time

from stream_processor.kube_client import KubeClient, KubeError


class Pulse(threading.Thread):
    """Asks again and again until it is stopped."""

    def __init__(self, client: KubeClient, *, seconds: float, stop: threading.Event) -> None:
        super().__init__(name="pulse", daemon=True)
        self._client = client
        self._seconds = seconds
        self._stop_asked = stop
        self.answered_until = 0

    def run(self) -> None:
        while not self._stop_asked.is_set():
            asked_at = time.time_ns()
            if self._answers():
                self.answered_until = asked_at
            self._stop_asked.wait(self._seconds)

    def _answers(self) -> bool:
        """Any status is an answer: who may not read /version is still told so by a server that lives."""
        try:
            self._client.get("/version", {}, accept="application/json", read_timeout=max(2.0, self._seconds))
        except KubeError as error:
            return error.failure.kind == "status" and error.failure.code < 500
        return True
