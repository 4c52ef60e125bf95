"""Are Kafka and our topics there? Asked in a child process, which takes the admin client's 28 MB with it. Shell: fork.

In: how to reach Kafka. Out: a descriptor that becomes readable when the answer is there, and the answer: nothing, or
the error that `callgraph.broker` raised. The agent captures meanwhile, and sends nothing before the topics are known: a
broker might make a missing one by itself, with the wrong shape.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import msgspec

from callgraph import errors
from callgraph.errors import UnreachableError, WhocallsError
from callgraph.settings import KafkaSettings, TopicSettings

_MOST_BYTES = 65_536


class TopicCheck:
    """A check that is under way."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._reader, writer = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            _answer(check, writer)
        os.close(writer)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._reader

    def finish(self) -> WhocallsError | None:
        """Take the answer, once it is there."""
        answer = b""
        while part := os.read(self._reader, _MOST_BYTES):
            answer += part
        self._reap()
        if not answer:
            return UnreachableError("the check of Kafka's topics ended without an answer (is memory short?)")
        name, sentence = msgspec.json.decode(answer, type=tuple[str, str])
        return getattr(errors, name)(sentence) if name else None

    def cancel(self) -> None:
        """Ask no longer."""
        os.kill(self._child, signal.SIGKILL)
        self._reap()

    def _reap(self) -> None:
        os.close(self._reader)
        os.waitpid(self._child, 0)


def require_topics(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """See that Kafka is there with the agent's topics. Raises UnreachableError and TopicError."""
    from callgraph.broker import Broker  # noqa: PLC0415  (28 MB)

    Broker(kafka, client_id="whocalls-agent").require_role("agent", topics)


def _answer(check: Callable[[], None], writer: int) -> None:
    """Run the check and end the process, without touching anything that the parent had open."""
    name, sentence = "", ""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        check()
    except WhocallsError as error:
        name, sentence = type(error).__name__, str(error)
    except Exception as error:  # noqa: BLE001  (whatever it is, the parent must hear of it)
        name, sentence = "WhocallsError", f"cannot check Kafka's topics: {error!r}"
    finally:
        os.write(writer, msgspec.json.encode((name, sentence)))
        os._exit(0)
