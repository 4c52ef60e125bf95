"""The Faust application: who owns which partitions, and the two stages on them. Shell: Faust.

Faust takes the end of a loop body for the acknowledgement of its message, whatever happened in it, and commits as soon
as it can. Both stages hold messages for longer, so each body takes a reference of its own (`incref`), and the message
is acknowledged when the stage lets go of it. Bodies raise nothing: an error ends the process, unacknowledged.
"""

from __future__ import annotations

from typing import Any

import faust
from mode.threads import WorkerThread

from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import full_name
from stream_processor.faust_settings import faust_settings
from stream_processor.settings import ProcessorSettings
from stream_processor.worker import Worker


class ConsumerThread(WorkerThread):  # type: ignore[misc]
    """Faust's second thread, which a process that wants to end does not wait for without bound.

    It joins the group, and a join takes as long as a dead member's session.
    """

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True

    def stop(self) -> None:
        """Wait a moment."""
        self.is_stopped.wait(1.0)


class ProcessorApp(faust.App):  # type: ignore[misc]
    """Faust, but without a folder, and without waiting for what will be read again (ADR 3)."""

    worker: Worker

    def _new_consumer(self) -> Any:
        consumer = super()._new_consumer()
        consumer._thread.Worker = ConsumerThread  # noqa: SLF001  (Faust hands no way through)
        return consumer

    def _create_directories(self) -> None:
        """Keep no state on disk."""

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        # Called when partitions are revoked and when the application stops, after the flow was stopped, before the last
        # commit. The signal `on_partitions_revoked` comes too late: Faust first waits for every open message.
        await self.worker.end_shift()
        await super()._consumer_wait_empty(consumer, logger)


def build_app(
    worker: Worker, *, kafka: KafkaSettings, topics: TopicSettings, processor: ProcessorSettings
) -> ProcessorApp:
    """Build the application around a worker. Nothing is started."""
    app = ProcessorApp(**faust_settings(kafka, processor))
    app.worker = worker
    raw = app.topic(full_name("dns-answers", topics), full_name("connections", topics), value_type=bytes)
    calls = app.topic(full_name("calls", topics), value_type=bytes)

    async def resolve(stream: Any) -> None:
        async for event in stream.events():
            event.message.incref()
            await worker.take_observations(event.message)

    async def fold(stream: Any) -> None:
        async for event in stream.events():
            event.message.incref()
            await worker.take_calls(event.message)

    async def begin_shift(_app: Any, assigned: set[Any], **_: Any) -> None:
        worker.begin_shift({(partition.topic, partition.partition) for partition in assigned}, consumer=app.consumer)

    app.agent(raw, name="resolve")(resolve)
    app.agent(calls, name="fold")(fold)
    # Kept on the application, because a signal refers to its receivers weakly.
    app.begin_shift = begin_shift
    app.on_partitions_assigned.connect(begin_shift)
    return app
