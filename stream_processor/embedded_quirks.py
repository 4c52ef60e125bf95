"""Two gaps of the embedded broker that aiokafka must be helped over. Shell: wraps one method of aiokafka's client.

Only called when `kafka.embedded` is set. The broker answers a fetch at once even when there is nothing to fetch, so a
consumer without a pause asks 3,600 times a second and takes a whole core; and it never expires a dead member of a
group, so each member needs a name of its own that its successor takes over (`member_id`).
"""

from __future__ import annotations

import asyncio
from typing import Any

EMPTY_FETCH_PAUSE_SECONDS = 0.02


def pause_after_empty_fetches() -> None:
    """Make aiokafka wait a moment after each fetch that brought nothing; calling it again changes nothing."""
    from aiokafka.client import AIOKafkaClient  # noqa: PLC0415  (only for the embedded broker)

    if getattr(AIOKafkaClient.send, "pauses_after_empty_fetches", False):
        return
    send = AIOKafkaClient.send

    async def send_and_pause(self: Any, node_id: Any, request: Any, **keywords: Any) -> Any:
        response = await send(self, node_id, request, **keywords)
        if type(response).__name__.startswith("FetchResponse") and not _has_records(response):
            await asyncio.sleep(EMPTY_FETCH_PAUSE_SECONDS)
        return response

    send_and_pause.pauses_after_empty_fetches = True  # type: ignore[attr-defined]
    AIOKafkaClient.send = send_and_pause


def member_id(instance: str) -> str:
    """Name this worker for static membership."""
    return instance or "whocalls-embedded"


def _has_records(response: Any) -> bool:
    # The records are the last field of a partition in every version of the response.
    return any(partition[-1] for _, partitions in response.topics for partition in partitions)
