"""The event loop of the processor: uvloop's, with a short goodbye. Shell: uvloop.

uvloop gives the other side of a TLS connection 30 s to answer a close. Kafka does not answer while a fetch is open, so
each reader of a topic would take 30 s to end, and a worker would start with that after each rebalance. Nothing is lost
by not waiting: what must arrive is acknowledged by Kafka, not by TLS.
"""

from __future__ import annotations

from typing import Any

import uvloop

GOODBYE_SECONDS = 0.5


class EventLoop(uvloop.Loop):
    """Closes TLS connections within half a second."""

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        """Connect as uvloop does, with our patience."""
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", GOODBYE_SECONDS)
        return await super().create_connection(*arguments, **options)


class EventLoopPolicy(uvloop.EventLoopPolicy):  # type: ignore[misc]  # (uvloop ships no type for it)
    """Makes such loops, for threads of libraries too: Faust's consumer has one of its own."""

    def _loop_factory(self) -> EventLoop:
        return EventLoop()
