"""The watcher: Kubernetes objects, from the API or from files, to the inventory topic. Shell: puts the parts together.

In: settings. Out: projected objects on one partition of Kafka, each followed by the watermark that stands for it.
"""

from __future__ import annotations

import signal
import threading
import time

import msgspec

from callgraph.broker import Broker
from callgraph.errors import ConfigurationError, TopicError, UnreachableError
from callgraph.records import KubeObject, NodeRecord, WatermarkRecord
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from stream_processor.feed import Feed
from stream_processor.inventory_topic import InventoryWriter, WritingEndedError, read_inventory
from stream_processor.kube_client import KubeClient, own_namespace, wait_until_reachable
from stream_processor.lease_keeper import LeaseKeeper
from stream_processor.object_files import read_objects
from stream_processor.projection import Projector, close
from stream_processor.settings import AttributionSettings, WatcherSettings
from stream_processor.watch_session import WatchSession, plan_scopes, require_alive
from stream_processor.watcher_report import WatcherReport
from stream_processor.watcher_status import WatcherStatus, serve_status

ALL_TIME = 2**63 - 1
"""The watermark of a file: all that it will ever say is said."""
_STANDBY_SECONDS = 0.1


def run_watcher(  # noqa: PLR0913  (a group of settings each)
    *,
    cluster: str,
    kafka: KafkaSettings,
    topics: TopicSettings,
    watcher: WatcherSettings,
    attribution: AttributionSettings,
    log: Logger,
    stop: threading.Event | None = None,
) -> None:
    """Publish the objects of a file and end; or watch the API until `stop` is set, or a SIGTERM or SIGINT comes.

    Raises InputError, ConfigurationError, TopicError, UnreachableError, PortTakenError.
    """
    program = _Program(cluster=cluster, kafka=kafka, topics=topics, watcher=watcher, attribution=attribution, log=log)
    if watcher.objects_file:
        program.publish_files()
    elif watcher.events_file:
        raise ConfigurationError("watcher.events_file needs watcher.objects_file (events follow a list of objects)")
    else:
        program.watch(stop or _stop_on_signals())


class _Program(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one run."""

    cluster: str
    kafka: KafkaSettings
    topics: TopicSettings
    watcher: WatcherSettings
    attribution: AttributionSettings
    log: Logger

    def publish_files(self) -> None:
        """Publish what files hold, then the watermark of all time."""
        watcher, log = self.watcher, self.log
        files = read_objects(
            watcher.objects_file, watcher.events_file, cluster=self.cluster, attribution=self.attribution
        )
        if files.skipped:
            log.warning("objects_skipped", file=watcher.objects_file, reasons=files.skipped, examples=files.examples)
        self._require_topic()
        writer = InventoryWriter(self.kafka, self.topics, may_write=lambda: True)
        for record in files.objects:
            writer.put(record)
        writer.put_watermark(WatermarkRecord(cluster=self.cluster, at=ALL_TIME, source="file"))
        log.info("inventory_published", file=watcher.objects_file, objects=len(files.objects))

    def watch(self, stop: threading.Event) -> None:
        """Watch, term by term: as long as we are the active one, again when we are it again."""
        self._require_topic()
        client = KubeClient(self.watcher)
        wait_until_reachable(client, self.watcher.watch.connect_seconds)
        status = WatcherStatus()
        report = WatcherReport(status, self.log)
        server = serve_status(status, self.watcher.listen) if self.watcher.listen else None
        keeper = self._start_lease(client)
        try:
            while not stop.is_set():
                if keeper is None or keeper.is_held():
                    self._serve_term(client, report, keeper=keeper, stop=stop)
                else:
                    require_alive(keeper)
                    report.stand_by()
                    stop.wait(_STANDBY_SECONDS)
        finally:
            if keeper is not None:
                keeper.stop()
            if server is not None:
                server.shutdown()

    def _serve_term(
        self, client: KubeClient, report: WatcherReport, *, keeper: LeaseKeeper | None, stop: threading.Event
    ) -> None:
        """Read back what was published, close what is no longer watched, then follow the API."""
        report.start()
        writer = InventoryWriter(
            self.kafka, self.topics, may_write=lambda: not stop.is_set() and (keeper is None or keeper.is_held())
        )
        try:
            feed = self._restore(writer)
            session = WatchSession(
                self.cluster, client=client, feed=feed, writer=writer, settings=self.watcher, report=report
            )
            self._run_session(session)
        except WritingEndedError:
            self.log.info("watch_ended", why="stopped" if stop.is_set() else "another watcher holds the Lease")

    def _run_session(self, session: WatchSession) -> None:
        """Run a session; where Kafka took its records at first and then not, the next term begins with what it has."""
        try:
            session.run()
        except (TopicError, UnreachableError) as error:
            if not session.has_published:
                raise
            self.log.warning(
                "publishing_failed", why=str(error), remedy="the topic is read back and the watch begun anew"
            )

    def _restore(self, writer: InventoryWriter) -> Feed:
        """Begin with what was published before, so that what vanished meanwhile is closed and the rest not repeated."""
        feed = Feed(Projector(self.cluster, self.attribution))
        restored, watermark = read_inventory(self.kafka, self.topics, cluster=self.cluster)
        seen_until = watermark.at if watermark and watermark.source == "watch" else 0
        unread = set(watermark.denied) if watermark else set()
        feed.promise(0, except_for=[each for each in plan_scopes(self.watcher.namespaces) if each.text in unread])
        feed.promise(seen_until)
        for record in restored:
            if _is_watched(record, self.watcher.namespaces):
                feed.restore(record)
            elif (closed := close(record, time.time_ns(), seen_until=seen_until)) != record:
                writer.put(closed)
        self.log.info("inventory_restored", objects=len(restored))
        return feed

    def _require_topic(self) -> None:
        Broker(self.kafka, client_id="whocalls-watcher").require_role("watcher", self.topics)

    def _start_lease(self, client: KubeClient) -> LeaseKeeper | None:
        """Take part in the choice of the active watcher, where a Lease is named."""
        lease = self.watcher.lease
        if not lease.name:
            return None
        placed = msgspec.structs.replace(
            lease, namespace=lease.namespace or own_namespace() or client.context_namespace
        )
        keeper = LeaseKeeper(client, placed, log=self.log)
        keeper.start()
        return keeper


def _is_watched(record: KubeObject, namespaces: tuple[str, ...]) -> bool:
    return not namespaces or isinstance(record, NodeRecord) or record.namespace in namespaces


def _stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; outside the main thread, one that nobody sets."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    return stop
