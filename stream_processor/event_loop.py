"""The event loop of the processor: asyncio's own, with a short goodbye. Shell: asyncio.

Not uvloop (docs/adr/0006): it raises RuntimeError when a closed connection is written to, where aiokafka expects an
OSError, and the task of aiokafka that keeps the metadata ends with it; whoever waits for metadata then waits for ever.

asyncio gives the other side of a TLS connection 30 s to answer a close. Kafka does not answer while a fetch is open, so
each reader of a topic would take 30 s to end, and a worker would start with that after each rebalance. Nothing is lost
by not waiting: what must arrive is acknowledged by Kafka, not by TLS.
"""

from __future__ import annotations

import asyncio
from typing import Any

GOODBYE_SECONDS = 0.5


class EventLoop(asyncio.SelectorEventLoop):
    """Closes TLS connections within half a second."""

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        """Connect as asyncio does, with our patience."""
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", GOODBYE_SECONDS)
        return await super().create_connection(*arguments, **options)


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops, for threads of libraries too: Faust's consumer has one of its own."""

    _loop_factory = EventLoop
