"""A watch session against an API server, with the records that it would write. Shell: threads, and polling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from callgraph.records import KubeObject, WatermarkRecord
from callgraph.telemetry import Logger
from stream_processor.feed import Feed
from stream_processor.inventory_topic import WritingEndedError
from stream_processor.kube_client import KubeClient
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings, WatcherSettings, WatchSettings
from stream_processor.watch_session import WatchSession
from stream_processor.watcher_report import WatcherReport
from stream_processor.watcher_status import WatcherStatus
from tests.fake_api_server import FakeApiServer

DEADLINE_SECONDS = 30.0
QUICK = WatchSettings(
    watch_seconds=60,
    silence_seconds=20,
    sync_seconds=2,
    retry_seconds=0.2,
    denied_retry_seconds=0.2,
    safety_seconds=0.05,
    connect_seconds=2,
)


def wait_until(condition: Callable[[], object], *, seconds: float = DEADLINE_SECONDS, what: str = "") -> None:
    """Poll until the condition holds; fail the test after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        time.sleep(0.01)


class RecordingWriter:
    """Keeps what a writer to the inventory topic is given, in order."""

    def __init__(self) -> None:
        self.put_seconds = 0.0  # how long it takes to write an object
        self.records: list[KubeObject | WatermarkRecord] = []
        self.forgotten: list[tuple[str, str, str]] = []
        self._ended = threading.Event()

    def may_write(self) -> bool:
        return not self._ended.is_set()

    def end(self) -> None:
        self._ended.set()

    def put(self, record: KubeObject) -> None:
        time.sleep(self.put_seconds)
        self._keep(record)

    def put_watermark(self, record: WatermarkRecord) -> None:
        self._keep(record)

    def forget(self, cluster: str, kind: str, uid: str) -> None:
        self.forgotten.append((cluster, kind, uid))

    def _keep(self, record: KubeObject | WatermarkRecord) -> None:
        if self._ended.is_set():
            raise WritingEndedError
        self.records.append(record)


class KeptLines:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def _keep(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    debug = info = warning = error = _keep

    def count(self, event: str) -> int:
        return sum(each == event for each, _ in list(self.lines))


class Watching:
    """A session that runs in a thread until the end of the `with` block."""

    def __init__(self, kubeconfig: str, *, namespaces: tuple[str, ...] = (), watch: WatchSettings = QUICK) -> None:
        settings = WatcherSettings(kubeconfig=kubeconfig, namespaces=namespaces, heartbeat_seconds=0.1, watch=watch)
        self.log = KeptLines()
        self.status = WatcherStatus()
        self.report = WatcherReport(self.status, _as_logger(self.log))
        self.writer = RecordingWriter()
        self.projector = Projector("east", AttributionSettings())
        self.report.start()
        session = WatchSession(
            "east",
            client=KubeClient(settings),
            feed=Feed(self.projector),
            writer=self.writer,  # type: ignore[arg-type]
            settings=settings,
            report=self.report,
        )
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(session,), name="session")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.end()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the session did not end"
        assert self.failure is None, self.failure

    def _run(self, session: WatchSession) -> None:
        try:
            session.run()
        except WritingEndedError:
            return
        except BaseException as error:  # noqa: BLE001  (shown by the test that asked for the session)
            self.failure = error

    @property
    def watermark(self) -> int:
        """The last watermark, or 0."""
        marks = [each.at for each in list(self.writer.records) if isinstance(each, WatermarkRecord)]
        return marks[-1] if marks else 0

    @property
    def denied(self) -> tuple[str, ...]:
        """What the last watermark says is denied."""
        marks = [each for each in list(self.writer.records) if isinstance(each, WatermarkRecord)]
        return marks[-1].denied if marks else ()

    def objects(self) -> dict[str, KubeObject]:
        """The last record of each object, by name."""
        return {each.name: each for each in list(self.writer.records) if not isinstance(each, WatermarkRecord)}

    def wait_for(self, *names: str) -> None:
        """Wait until objects of these names were written."""
        wait_until(lambda: self.objects().keys() >= set(names), what=f"{names} among the records")

    def wait_for_watermark(self, *, after: int = 0) -> None:
        """Wait until a watermark past a time was written."""
        wait_until(lambda: self.watermark > after, what=f"a watermark past {after}")

    def wait_for_end_of(self, name: str) -> None:
        """Wait until a pod is over."""
        wait_until(lambda: getattr(self.objects().get(name), "ended_at", None) is not None, what=f"the end of {name}")


def watch(server: FakeApiServer, folder: Path, **how: object) -> Watching:
    """Watch a fake server; `token` goes into the kubeconfig."""
    kubeconfig = server.write_kubeconfig(folder, token=str(how.pop("token", "")))
    return Watching(kubeconfig, **how)  # type: ignore[arg-type]


def _as_logger(lines: KeptLines) -> Logger:
    return lines
