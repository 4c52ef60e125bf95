"""What a place for batches must do. Pure: a promise, kept by `capture_agent.publisher`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from capture_agent.batches import Batch

Acknowledge = Callable[[bool], None]
"""Called once: True when the batch is safe, False when it was not and will not be delivered."""

MAX_BATCHES_IN_FLIGHT = 16


class Publisher(Protocol):
    """Where batches go."""

    in_flight: int
    """Batches whose fate is not known yet."""

    refusal: str
    """Why the last batch whose fate is known was not taken; empty: it was."""

    def publish(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """Take a batch; `acknowledge` is called later, from `poll` or `flush`, or at once."""

    def poll(self) -> None:
        """Serve what has been decided, without waiting."""

    def flush(self, seconds: float) -> None:
        """Wait until nothing is in flight, at most so long."""

    def close(self) -> None:
        """Give up what is in flight."""
