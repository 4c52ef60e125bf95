"""The agent's capture without anything behind it, a contender of `benchmarks.agent`. Shell: the agent's own loop.

`python -m benchmarks.capture_alone` runs the agent's modules as `whocalls agent` puts them together, ring, suppression,
decoding, learned names and counted batches of observations, and ends each batch where a publisher would encode it:
like the gopacket peer it publishes nothing. `/proc` is not read. Batches are flushed each second.
"""

from __future__ import annotations

from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger
from capture_agent.batches import Batch, Identity
from capture_agent.live import LiveAgent, Outlet
from capture_agent.outlet import Acknowledge
from capture_agent.pipeline import Pipeline
from capture_agent.settings import AgentSettings, PublishSettings, SocketSettings

_TAKEN_AS_RECORDS = "-"
"""Any `agent.to` but kafka: the pipeline leaves encoding to the publisher."""


class Sink:
    """Takes every batch as safe, and drops it."""

    in_flight = 0
    refusal = ""

    def publish(self, batch: Batch, acknowledge: Acknowledge) -> None:  # noqa: ARG002  (that is the point)
        """Take a batch."""
        acknowledge(True)

    def poll(self) -> None:
        """Nothing is in flight."""

    def flush(self, seconds: float) -> None:
        """Nothing is in flight."""

    def close(self) -> None:
        """Nothing is in flight."""


def main() -> None:
    """Capture until SIGTERM; the last line says what the kernel dropped."""
    settings = AgentSettings(
        to=_TAKEN_AS_RECORDS, sockets=SocketSettings(enabled=False), publish=PublishSettings(flush_seconds=1)
    )
    pipeline = Pipeline(settings, Identity("bench", "bench", "bench"))
    LiveAgent(settings, pipeline, Outlet(Sink, None), LeanLogger(LogSettings(), role="agent")).run()


if __name__ == "__main__":
    main()
