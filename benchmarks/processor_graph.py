"""A call graph of any size, as the processor left it. Seeded by numbers; pure, but for the filling. Shell: Kafka."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Producer

from benchmarks.large_cluster import BORN, CLUSTER, SECOND
from callgraph.clients import producer_config
from callgraph.codec import encode
from callgraph.records import Applied, Edge, Workload
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import full_name
from stream_processor.fold import edge_key, with_exemplars


def make_edges(count: int, *, workloads: int = 10_000) -> Iterator[Edge]:
    """Yield edges with the bookkeeping of four nodes in each."""
    for number in range(count):
        client, server = number % workloads, (number * 7 + number // workloads) % workloads
        applied = {
            f"whocalls.dns-answers/{(number + node) % 12}": Applied(
                floor=10_000 + number, offsets={f"{10_100 + number}": "4"}
            )
            for node in range(4)
        }
        edge = Edge(
            client=_workload(client),
            server=_workload(server),
            evidence=("dns",),
            dns_names=(f"app-{server}.team-{server % 40}.svc.cluster.local",),
            services=(f"team-{server % 40}/app-{server}",),
            nodes=tuple(f"node-{number % 1000 + node}" for node in range(4)),
            first_seen=BORN,
            last_seen=BORN + number * SECOND,
            observations=number + 1,
            applied=applied,
        )
        yield with_exemplars(edge)


def fill_graph(kafka: KafkaSettings, topics: TopicSettings, count: int) -> None:
    """Publish the edges."""
    producer = Producer(producer_config(kafka, client_id="bench") | {"queue.buffering.max.messages": 1_000_000})
    topic = full_name("call-graph", topics)
    for edge in make_edges(count):
        producer.produce(topic, encode(edge), edge_key(edge))
        producer.poll(0)
    assert producer.flush(120) == 0


def _workload(number: int) -> Workload:
    return Workload(cluster=CLUSTER, namespace=f"team-{number % 40}", kind="Deployment", name=f"app-{number}")
