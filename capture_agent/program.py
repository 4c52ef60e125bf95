"""The agent as a program: settings and sources in, observations on Kafka or in a file out. Shell.

`run_agent` runs until it is told to stop (live), or until its files are read and everything is delivered (replay).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from callgraph.errors import ConfigurationError, InputError, UnreachableError
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from callgraph.topics import find_topic
from capture_agent.batches import Identity, SourceName
from capture_agent.intake import Intake
from capture_agent.live import LiveAgent
from capture_agent.observe import Refusal
from capture_agent.pipeline import Pipeline
from capture_agent.publisher import KafkaPublisher, LinesPublisher, Publisher
from capture_agent.settings import AgentSettings
from capture_agent.sources import FileSource, LiveSource, Source
from capture_agent.suppression import Observation


def run_agent(
    *,
    cluster: str,
    kafka: KafkaSettings,
    topics: TopicSettings,
    agent: AgentSettings,
    log: Logger,
    sources: Sequence[Source] = (),
) -> None:
    """Capture on this node until SIGTERM, or read the files named and return when everything is delivered.

    No sources: this node. Raises the errors of `callgraph.errors`: CapabilityError, UnreachableError (files only; a
    live agent keeps trying), TopicError, InputError, ConfigurationError.
    """
    files = [source for source in sources if isinstance(source, FileSource)]
    if files and any(isinstance(source, LiveSource) for source in sources):
        raise ConfigurationError("files and the live node cannot be read together (run two agents)")
    identity = Identity(cluster, agent.node or socket.gethostname(), os.urandom(8).hex())
    if agent.to == "kafka":
        _require_topics(kafka, topics, log, must_answer=bool(files))
    with _open_publisher(agent.to, kafka, topics, log) as publisher:
        pipeline = Pipeline(agent, identity, publisher, topics.codec)
        if files:
            replay(files, agent, pipeline, publisher)
            return
        live = LiveAgent(agent, pipeline, publisher, log)
        log.info("agent_started", node=identity.node, boot_id=identity.boot_id)
        live.run()


def replay(files: Sequence[FileSource], settings: AgentSettings, pipeline: Pipeline, publisher: Publisher) -> None:
    """Publish what the files hold, with the times that they hold; return when everything is delivered."""
    intake = Intake(pipeline, resolver_ports=settings.capture.resolver_ports, syn=settings.capture.syn)
    least = settings.publish.batch_observations
    now = 0
    for source in files:
        for at in take_file(source, intake, pipeline):
            now = max(now, at)
            if pipeline.waiting >= least:
                pipeline.end_windows(now)
                pipeline.publish_waiting(now, least=least)
                _await_room(publisher)
    pipeline.end_all_windows()
    while pipeline.waiting:
        pipeline.publish_waiting(now)
        _await_delivery(publisher)
    pipeline.publish_counters(now)
    _await_delivery(publisher)


def take_file(source: FileSource, intake: Intake, pipeline: Pipeline) -> Iterator[int]:
    """Take in a file of any kind; yield the time of everything in it. Raises InputError."""
    if source.kind == "pcap":
        from capture_agent.replay import read_frames  # noqa: PLC0415  (scapy: files only)

        for frame in read_frames(source.path):
            intake.take_frame(frame.data, frame.link_type, frame.captured_at)
            yield frame.captured_at
        return
    for seen in observe_file(source):
        at = 0 if isinstance(seen, Refusal) else seen.observed_at
        pipeline.settle(_SOURCE_OF[source.kind], seen, at=at)
        yield at


_SOURCE_OF: dict[str, SourceName] = {"proc": "socket", "coredns-log": "dns", "calico-log": "syn"}


def observe_file(source: FileSource) -> Iterator[Observation | Refusal]:
    """Read a file of any kind. Raises InputError."""
    if source.kind == "proc":
        from capture_agent.proc_tree import observe_proc_tree  # noqa: PLC0415

        return iter(observe_proc_tree(Path(source.path), observed_at=source.observed_at))
    raise InputError(f"{source.kind} is not read yet")


@contextmanager
def _open_publisher(to: str, kafka: KafkaSettings, topics: TopicSettings, log: Logger) -> Iterator[Publisher]:
    if to == "kafka":
        yield KafkaPublisher(kafka, topics, log)
    elif to == "-":
        yield LinesPublisher(sys.stdout.buffer)
        sys.stdout.flush()
    else:
        try:
            stream = Path(to).open("wb")  # noqa: SIM115  (closed below, the error belongs to opening alone)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to {to!r}: {error.strerror} (agent.to is kafka, a file or -)"
            ) from error
        with stream:
            yield LinesPublisher(stream)


def _require_topics(kafka: KafkaSettings, topics: TopicSettings, log: Logger, *, must_answer: bool) -> None:
    """See that Kafka is there, with our topics."""
    from callgraph.broker import Broker  # noqa: PLC0415

    try:
        Broker(kafka, client_id="whocalls-agent").require_topics(
            [find_topic("dns-answers"), find_topic("connections")], topics
        )
    except UnreachableError as error:
        if must_answer:
            raise
        log.warning("kafka_unreachable", reason=str(error), remedy="the agent starts and keeps trying")


def _await_room(publisher: Publisher) -> None:
    publisher.poll()
    while publisher.in_flight > 4:
        publisher.flush(0.1)


def _await_delivery(publisher: Publisher) -> None:
    while publisher.in_flight:
        publisher.flush(0.5)
