"""One assignment of partitions, from the moment they are given to the moment they are taken. Shell: Faust's messages.

Everything that a worker knows of the partitions it owns lives here and dies with the assignment: what is held, what is
not acknowledged, the edges. Whoever owns a partition next reads from the last commit on, and restores the edges from
the call graph; so nothing has to be handed over, and nothing of an earlier assignment can leak into a later one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from stream_processor.folding import Folding
from stream_processor.ledger import Ledger
from stream_processor.outbox import Outbox
from stream_processor.resolving import Resolving


class Shift:
    """The two stages while their partitions are ours. `over` is final."""

    def __init__(self, assigned: set[tuple[str, int]], *, calls_topic: str, consumer: Any) -> None:
        self.name = secrets.token_hex(8)
        self.assigned = assigned
        self._calls_topic = calls_topic
        self.over = False
        self.restored = False
        self.resolving: Resolving
        self.folding: Folding
        self.restoration: asyncio.Task[None] | None = None
        self._consumer = consumer
        self._closed = False

    def ledger_of(self, partition: tuple[str, int]) -> Ledger[Any]:
        """Return the ledger that the partition's records are entered in."""
        stage = self.folding if partition[0] == self._calls_topic else self.resolving
        return stage.ledger

    def acknowledge(self, messages: list[Any]) -> None:
        """Let Faust commit behind these messages; the last reference to each is ours."""
        if not self._closed:
            for message in messages:
                message.ack(self._consumer)

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False when the shift ended before it came true."""
        while not self.over and not condition():  # noqa: ASYNC110  (conditions of several owners)
            await asyncio.sleep(0.01)
        return not self.over

    def leave(self) -> None:
        """Take no more."""
        self.over = True
        if self.restoration:
            self.restoration.cancel()

    def abandon(self) -> None:
        """Give everything up, published or not: something failed that should not have."""
        self.leave()
        self._closed = True
        self._consumer.unacked.clear()

    async def end(self, outbox: Outbox, *, now: int) -> None:
        """Publish what is not published yet, acknowledge what that settles, and give up the rest."""
        self.leave()
        if self.restored:
            self.folding.publish_all(now=now)
        await outbox.settled()
        # Faust waits for messages that were begun. These are given up: not acknowledged, hence read again.
        self.abandon()
