"""Publishers for tests that decide themselves what the broker says. Pure."""

from __future__ import annotations

from capture_agent.batches import Batch
from capture_agent.outlet import Acknowledge


class HoldingPublisher:
    """Keeps batches in flight until the test decides."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.refusal = ""
        self.batches: list[Batch] = []
        """All that was ever handed over."""
        self._pending: list[Acknowledge] = []

    def publish(self, batch: Batch, acknowledge: Acknowledge) -> None:
        self.in_flight += 1
        self.batches.append(batch)
        self._pending.append(acknowledge)

    def decide(self, *, delivered: bool) -> None:
        """Say of everything in flight whether the broker has it."""
        pending, self._pending = self._pending, []
        self.in_flight = 0
        for acknowledge in pending:
            acknowledge(delivered)

    def poll(self) -> None:
        """Decide nothing."""

    def flush(self, seconds: float) -> None:
        """Decide nothing."""

    def close(self) -> None:
        """Decide nothing."""


class AcceptingPublisher(HoldingPublisher):
    """Delivers at the next poll."""

    def poll(self) -> None:
        self.decide(delivered=True)

    def flush(self, seconds: float) -> None:  # noqa: ARG002  (decided at once)
        self.decide(delivered=True)
