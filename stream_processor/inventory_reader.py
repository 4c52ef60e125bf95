"""The whole inventory in every worker, kept up to date. Shell: aiokafka, through `topic_reader`.

In: the inventory topic, one partition, in order. Out: `Inventory` with every object and watermark applied; `ready` is
set once the end that the topic had at the start is reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from callgraph.codec import decode
from callgraph.errors import DecodeError
from callgraph.records import InventoryRecord
from stream_processor.inventory import Inventory
from stream_processor.topic_reader import read_topic

Reject = Callable[[DecodeError, Any], None]


class InventoryReader:
    """Follows the inventory topic; what does not decode is handed to `reject`, and the rest goes on."""

    def __init__(self, inventory: Inventory, *, access: Mapping[str, Any], topic: str, reject: Reject) -> None:
        self._inventory = inventory
        self._access = access
        self._topic = topic
        self._reject = reject
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Read for as long as the process runs."""
        async for records in read_topic(self._access, self._topic, [0], follow=True):
            if records is None:
                self.ready.set()
                continue
            for record in records:
                self._apply(record)

    def _apply(self, record: Any) -> None:
        if record.value is None:
            return  # a tombstone: the object ended long ago, and its last record said so
        try:
            self._inventory.apply(decode(record.value, InventoryRecord).object)
        except DecodeError as error:
            self._reject(error, record)
