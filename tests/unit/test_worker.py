"""When a worker takes what Faust hands it, and when not. No broker: nothing is sent."""

import asyncio
from types import SimpleNamespace

import pytest

from callgraph.settings import KafkaSettings, LogSettings, TopicSettings
from callgraph.telemetry import LeanLogger
from stream_processor.coverage import Coverage
from stream_processor.ledger import Ledger
from stream_processor.settings import AttributionSettings, ProcessorSettings
from stream_processor.shift import Shift
from stream_processor.worker import Worker, WorkerSettings

NOWHERE = KafkaSettings(bootstrap_servers="127.0.0.1:1")


class RememberingStage:
    """Remembers what it was given."""

    def __init__(self):
        self.taken = []
        self.held = 0
        self.ledger = Ledger()
        self.coverage = Coverage()

    def publish_all(self, *, now):
        """Have nothing to publish."""

    def take(self, message, *, now):  # noqa: ARG002  (as the stages have it)
        self.taken.append(message)


class BrokenStage:
    """Raises what no stage should."""

    held = 0

    def take(self, message, *, now):
        raise ZeroDivisionError(message, now)


async def let_others_run():
    for _ in range(5):
        await asyncio.sleep(0.01)


def with_worker(check, *, stage=None, held=10):
    """Run an asynchronous check with a worker, its shift and the failures that it reports."""

    async def run():
        failures = []
        settings = WorkerSettings(
            "here", NOWHERE, TopicSettings(), AttributionSettings(held_observations=held), ProcessorSettings()
        )
        worker = Worker(settings, calls_partitions=4, log=LeanLogger(LogSettings(level="error")), fail=failures.append)
        worker.shift = Shift({("calls", 0)}, calls_topic="calls", consumer=SimpleNamespace(unacked=set()))
        worker.shift.resolving = worker.shift.folding = stage or RememberingStage()
        await check(worker, worker.shift, failures)

    asyncio.run(run())


async def begin(coroutine):
    """Start a taking; return the task after others had their turn."""
    task = asyncio.create_task(coroutine)
    await let_others_run()
    return task


def test_calls_wait_until_the_edges_are_restored():
    async def check(worker, shift, _):
        taking = await begin(worker.take_calls("calls"))
        assert shift.folding.taken == []
        shift.restored = True
        await taking
        assert shift.folding.taken == ["calls"]

    with_worker(check)


def test_observations_wait_until_the_inventory_is_read():
    async def check(worker, shift, _):
        taking = await begin(worker.take_observations("batch"))
        assert shift.resolving.taken == []
        worker.inventory_reader.ready.set()
        await taking
        assert shift.resolving.taken == ["batch"]

    with_worker(check)


def test_observations_wait_while_as_many_are_held_as_may_be():
    async def check(worker, shift, _):
        worker.inventory_reader.ready.set()
        shift.resolving.held = 8
        taking = await begin(worker.take_observations("batch"))
        assert shift.resolving.taken == []
        shift.resolving.held = 7
        await taking
        assert shift.resolving.taken == ["batch"]

    with_worker(check)


@pytest.mark.parametrize("take", ["take_calls", "take_observations"])
def test_what_waits_is_left_when_the_partitions_are_taken_away(take):
    async def check(worker, shift, failures):
        taking = await begin(getattr(worker, take)("message"))
        await worker.end_shift()
        shift.restored = True
        worker.inventory_reader.ready.set()
        await taking
        assert (shift.folding.taken, failures) == ([], [])

    with_worker(check)


def test_after_a_failure_nothing_is_acknowledged_any_more():
    async def check(worker, shift, _):
        acknowledged = []
        worker.abandon_shift()
        shift.acknowledge([SimpleNamespace(ack=acknowledged.append)])
        assert (acknowledged, shift.over, worker.shift) == ([], True, None)

    with_worker(check)


def test_without_partitions_nothing_is_taken():
    async def check(worker, shift, _):
        await worker.end_shift()
        worker.inventory_reader.ready.set()
        await worker.take_observations("late")
        assert shift.resolving.taken == []

    with_worker(check)


def test_an_unexpected_error_is_reported_and_not_raised_into_faust():
    async def check(worker, shift, failures):
        worker.inventory_reader.ready.set()
        shift.restored = True
        await worker.take_observations("batch")
        await worker.take_calls("calls")
        assert [type(failure) for failure in failures] == [ZeroDivisionError] * 2

    with_worker(check, stage=BrokenStage())
