"""Whether the API server answers at all, asked before each watermark. Shell: one thread.

A frozen server keeps its connections alive: the kernel acknowledges for it, and the next bookmark may be a minute away.
So the watermark never passes the last moment at which a request was sent that came back.
"""

from __future__ import annotations

import threading
import time

from stream_processor.kube_client import KubeClient, KubeError

_ANSWER_SECONDS = 2.0


class Pulse(threading.Thread):
    """Asks once for each `ask`, until it is stopped."""

    def __init__(self, client: KubeClient, *, stop: threading.Event) -> None:
        super().__init__(name="pulse", daemon=True)
        self._client = client
        self._wanted = threading.Event()
        self._stop_asked = stop
        self.answered_until = 0
        self.back_at = 0.0
        """When it answered last after it had not, on the monotonic clock."""

    def ask(self) -> None:
        """Have the server asked, and asked again where that happens now already; or end, when it was told to stop."""
        self._wanted.set()

    def run(self) -> None:
        was_away = False
        while self._wanted.wait() and not self._stop_asked.is_set():
            self._wanted.clear()
            asked_at = time.time_ns()
            if self._answers():
                self.answered_until = asked_at
                if was_away:
                    self.back_at = time.monotonic()
            was_away = self.answered_until != asked_at

    def _answers(self) -> bool:
        """Any status is an answer: who may not read /version is still told so by a server that lives."""
        try:
            self._client.get("/version", {}, accept="application/json", read_timeout=_ANSWER_SECONDS)
        except KubeError as error:
            return error.failure.kind == "status" and error.failure.code < 500
        return True
