"""The agent as a program: settings and sources in, observations on Kafka or in a file out. Shell.

`run_agent` runs until it is told to stop (live), or until its files are read and everything is delivered (replay).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from callgraph.errors import ConfigurationError, TopicError
from callgraph.records import DnsObservation
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from capture_agent.batches import Identity, SourceName
from capture_agent.calico_log import observe_calico_log
from capture_agent.coredns_log import observe_coredns_log
from capture_agent.live import LiveAgent, Outlet
from capture_agent.observe import Refusal, observe_capture
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.proc_tree import observe_proc_tree
from capture_agent.publisher import KafkaPublisher, LinesPublisher
from capture_agent.settings import AgentSettings
from capture_agent.sources import FileSource, LiveSource, Source
from capture_agent.suppression import Observation
from capture_agent.topic_check import require_topics

_ROOM = 4
"""Batches in flight beyond which a replay waits: files are read faster than brokers write."""


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
    if not files and not (agent.capture.dns or agent.capture.syn or agent.sockets.enabled):
        raise ConfigurationError(
            "there is nothing to observe (set one of agent.capture.dns, agent.capture.syn and agent.sockets.enabled)"
        )
    identity = Identity(cluster, agent.node or socket.gethostname(), os.urandom(8).hex())
    pipeline = Pipeline(agent, identity, topics.codec)
    with _open_lines(agent.to) as lines:
        outlet = lines or Outlet(lambda: KafkaPublisher(kafka, topics, log), lambda: require_topics(kafka, topics))
        if files:
            replay(files, pipeline, outlet, resolver_ports=agent.capture.resolver_ports)
        else:
            live = LiveAgent(agent, pipeline, outlet, log)
            log.info("agent_started", node=identity.node, boot_id=identity.boot_id)
            live.run()


def replay(files: Sequence[FileSource], pipeline: Pipeline, outlet: Outlet, *, resolver_ports: tuple[int, ...]) -> None:
    """Publish what the files hold, with the times that they hold; return when everything is delivered.

    Raises TopicError when Kafka refuses it: unlike a live agent, a replay has nothing to wait for.
    """
    if outlet.check is not None:
        outlet.check()
    publisher = pipeline.publisher = outlet.open()
    # The clock of a replay is that of its captures.
    now = Moment(0, 0)
    for source in files:
        for at in take_file(source, pipeline, resolver_ports):
            if at > now.steady:
                now = Moment(at, at)
            pipeline.work(now, flush=False)
            while pipeline.in_flight > _ROOM:
                pipeline.push(now)
            if publisher.refusal:
                break
    pipeline.finish(now, gives_up=lambda: bool(publisher.refusal))
    if publisher.refusal:
        raise TopicError(
            f"Kafka does not take what was read: {publisher.refusal} "
            "(run `whocalls topics plan`, and check the rights of the agent's user)"
        )


def take_file(source: FileSource, pipeline: Pipeline, resolver_ports: tuple[int, ...]) -> Iterator[int]:
    """Take in a file of any kind; yield the time of each observation in it. Raises InputError."""
    for seen in observe_file(source, resolver_ports):
        if isinstance(seen, Refusal):
            pipeline.settle(_SOURCE_OF[source.kind], seen, at=0)
            continue
        name: SourceName = "dns" if isinstance(seen, DnsObservation) else seen.evidence
        pipeline.settle(name, seen, at=seen.observed_at)
        yield seen.observed_at


_SOURCE_OF: dict[str, SourceName] = {"pcap": "dns", "proc": "socket", "coredns-log": "dns", "calico-log": "syn"}


def observe_file(source: FileSource, resolver_ports: tuple[int, ...]) -> Iterator[Observation | Refusal]:
    """Read a file of any kind. Raises InputError."""
    if source.kind == "pcap":
        from capture_agent.replay import read_frames  # noqa: PLC0415  (scapy: files only)

        return observe_capture(read_frames(source.path), resolver_ports)
    if source.kind == "proc":
        return observe_proc_tree(Path(source.path), observed_at=source.observed_at)
    from capture_agent.replay import read_lines  # noqa: PLC0415  (files only)

    observe = observe_coredns_log if source.kind == "coredns-log" else observe_calico_log
    return observe(
        read_lines(source.path), read_at=time.time_ns() if source.observed_at is None else source.observed_at
    )


@contextmanager
def _open_lines(to: str) -> Iterator[Outlet | None]:
    """Open a file or stdout for JSON Lines; None where observations go to Kafka."""
    if to == "kafka":
        yield None
    elif to == "-":
        yield Outlet(lambda: LinesPublisher(sys.stdout.buffer), None)
        sys.stdout.flush()
    else:
        try:
            stream = Path(to).open("wb")  # noqa: SIM115  (closed below; the error belongs to opening alone)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to {to!r}: {error.strerror} (agent.to is kafka, a file or -)"
            ) from error
        with stream:
            yield Outlet(lambda: LinesPublisher(stream), None)
