"""Every metric, declared as data. Pure.

Programs count under these names and no others; `docs/metrics.md` is generated from here. Labels are bounded: never an
address, a pod or a DNS name.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Metric(Struct, frozen=True, kw_only=True):
    """One metric: full name, kind, what it means (with the unit in the name), and its labels."""

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    program: Literal["agent", "watcher", "processor", "exporter", "page"]
    labels: tuple[str, ...] = ()


def escape_label(value: str) -> str:
    """Escape a label value for the text exposition format 0.0.4."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


METRICS: tuple[Metric, ...] = (
    Metric(
        name="whocalls_agent_received_total",
        kind="counter",
        about="Answers, SYNs and socket rows that reached the agent.",
        program="agent",
        labels=("source",),
    ),
    Metric(
        name="whocalls_agent_published_total",
        kind="counter",
        about="Of these: carried as new observations, acknowledged by the broker.",
        program="agent",
        labels=("source",),
    ),
    Metric(
        name="whocalls_agent_suppressed_total",
        kind="counter",
        about="Of these: repeats of a known fact.",
        program="agent",
        labels=("source",),
    ),
    Metric(
        name="whocalls_agent_dropped_total",
        kind="counter",
        about="Of these: not used, by reason.",
        program="agent",
        labels=("source", "reason"),
    ),
    Metric(
        name="whocalls_agent_kernel_dropped_total",
        kind="counter",
        about="Packets that the kernel could not hand over because the ring was full.",
        program="agent",
    ),
    Metric(
        name="whocalls_processor_batches_total",
        kind="counter",
        about="Batches of observations taken from Kafka.",
        program="processor",
        labels=("topic",),
    ),
    Metric(
        name="whocalls_processor_observations_total",
        kind="counter",
        about="Observations taken from Kafka.",
        program="processor",
        labels=("topic",),
    ),
    Metric(
        name="whocalls_processor_calls_total",
        kind="counter",
        about="Observations attributed to a client and a server.",
        program="processor",
    ),
    Metric(
        name="whocalls_processor_folded_total",
        kind="counter",
        about="Observations in the calls that were folded into edges, repeated deliveries included.",
        program="processor",
    ),
    Metric(
        name="whocalls_processor_unresolved_total",
        kind="counter",
        about="Observations that were not attributed, by reason.",
        program="processor",
        labels=("reason",),
    ),
    Metric(
        name="whocalls_processor_dead_letters_total",
        kind="counter",
        about="Records that did not decode, by topic and reason.",
        program="processor",
        labels=("topic", "reason"),
    ),
    Metric(
        name="whocalls_processor_edges",
        kind="gauge",
        about="Edges in the state of this worker.",
        program="processor",
    ),
    Metric(
        name="whocalls_processor_watermark_age_seconds",
        kind="gauge",
        about="How far the inventory's watermark is behind the clock.",
        program="processor",
        labels=("cluster",),
    ),
    Metric(
        name="whocalls_processor_lag_records",
        kind="gauge",
        about="Records of the partition that are not finished, held ones included.",
        program="processor",
        labels=("topic", "partition"),
    ),
    Metric(
        name="whocalls_processor_unfinished_age_seconds",
        kind="gauge",
        about="Age of the oldest record of the partition that was taken and is not finished; 0: none is.",
        program="processor",
        labels=("topic", "partition"),
    ),
    Metric(
        name="whocalls_processor_held_observations",
        kind="gauge",
        about="Observations that wait for the inventory's watermark or in the late table.",
        program="processor",
    ),
    Metric(
        name="whocalls_watcher_objects",
        kind="gauge",
        about="Kubernetes objects known.",
        program="watcher",
        labels=("kind",),
    ),
    Metric(
        name="whocalls_watcher_events_total",
        kind="counter",
        about="Watch events applied.",
        program="watcher",
        labels=("kind",),
    ),
    Metric(
        name="whocalls_watcher_denied",
        kind="gauge",
        about="1 while the API server refuses to list or watch the resource.",
        program="watcher",
        labels=("resource",),
    ),
    Metric(
        name="whocalls_watcher_failures_total",
        kind="counter",
        about="Requests and watches that failed, by what was done about it: resume, relist, denied, unauthorized.",
        program="watcher",
        labels=("resource", "action"),
    ),
    Metric(
        name="whocalls_watcher_undecodable_total",
        kind="counter",
        about="Objects and events that did not decode and were left out.",
        program="watcher",
        labels=("resource",),
    ),
    Metric(
        name="whocalls_watcher_published_total",
        kind="counter",
        about="Records written to the inventory topic, watermarks not counted.",
        program="watcher",
    ),
    Metric(
        name="whocalls_watcher_watermark_age_seconds",
        kind="gauge",
        about="How far the last watermark published is behind the clock.",
        program="watcher",
    ),
    Metric(
        name="whocalls_watcher_active",
        kind="gauge",
        about="1 on the watcher that publishes, 0 on a standby.",
        program="watcher",
    ),
    Metric(
        name="whocalls_exporter_edges",
        kind="gauge",
        about="Edges in the graph.",
        program="exporter",
    ),
    Metric(
        name="whocalls_exporter_dead_letters_total",
        kind="counter",
        about="Records of the call graph that did not decode, by reason.",
        program="exporter",
        labels=("reason",),
    ),
    Metric(
        name="whocalls_exporter_files_written_total",
        kind="counter",
        about="Files written because their bytes changed.",
        program="exporter",
    ),
    Metric(
        name="whocalls_exporter_last_success_timestamp_seconds",
        kind="gauge",
        about="When files or remote last held the graph, in seconds since the epoch; 0: not yet.",
        program="exporter",
    ),
    Metric(
        name="whocalls_exporter_failures_total",
        kind="counter",
        about="Exports put off: the remote was away, or the overrides were wrong.",
        program="exporter",
    ),
    Metric(
        name="whocalls_exporter_nodes",
        kind="gauge",
        about="Nodes that send batches, and those that have stopped, by state: reporting, silent.",
        program="exporter",
        labels=("state",),
    ),
    Metric(
        name="whocalls_exporter_service_graph_overflow",
        kind="gauge",
        about="Pairs of workloads beyond `exporter.service_graph_series`.",
        program="exporter",
    ),
    Metric(
        name="whocalls_page_edges",
        kind="gauge",
        about="Edges in the graph.",
        program="page",
    ),
    Metric(
        name="whocalls_page_dead_letters_total",
        kind="counter",
        about="Records of the call graph that did not decode, by reason.",
        program="page",
        labels=("reason",),
    ),
    Metric(
        name="whocalls_page_followers",
        kind="gauge",
        about="Open event streams.",
        program="page",
    ),
    Metric(
        name="whocalls_page_events_sent_total",
        kind="counter",
        about="Messages of changes sent, each follower counted.",
        program="page",
    ),
    Metric(
        name="whocalls_page_slow_followers_total",
        kind="counter",
        about="Event streams that were cut off because their reader was too slow.",
        program="page",
    ),
)

SERVICE_GRAPH = Metric(
    name="traces_service_graph_request_total",
    kind="counter",
    about="Observations of calls by client and server, where `exporter.service_graph_series` allows any; not requests.",
    program="exporter",
    labels=("client", "client_namespace", "server", "server_namespace", "connection_type"),
)
"""Named as others read it, and the one metric whose labels are workloads: off by default, and capped."""
