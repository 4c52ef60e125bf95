"""What Kubernetes says of workloads, for policies and labels: from a file, else from the inventory topic. Shell.

Owners' selectors stand only in a file that holds the owners; without, the labels that a workload's pods share stand in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callgraph.codec import decode
from callgraph.errors import ConfigurationError, DecodeError, InputError
from callgraph.records import InventoryRecord, KubeObject, ServiceRecord, WatermarkRecord
from callgraph.topics import find_topic, full_name
from sink_exporter.inventory_facts import facts_of_records
from sink_exporter.kube_facts import KubeFacts, merge_facts, parse_kube_facts

if TYPE_CHECKING:
    from whocalls.configuration import Settings

_CLIENT_ID = "whocalls-reader"


def load_facts(kube: str | None, settings: Settings, *, live: bool) -> KubeFacts:
    """Read the facts. Raises ConfigurationError where neither a file nor Kafka can be asked, else WhocallsError."""
    if kube is not None:
        return merge_facts(_facts_of_file(kube, settings), parse_kube_facts(_read_bytes(kube), repr(kube)))
    if not live:
        raise ConfigurationError(
            "labels, selectors and the pods' ports are not in the graph (name --kube FILE, of `kubectl get "
            "deployments,statefulsets,daemonsets,cronjobs,jobs,pods,replicasets,services,namespaces -A -o json`)"
        )
    return _facts_of(_read_topic(settings), settings)


def decode_inventory(records: Iterable[Any], undecodable: Counter[str]) -> Iterator[KubeObject | WatermarkRecord]:
    """Yield the objects in records of the inventory topic; `undecodable` counts by reason what is none."""
    for record in records:
        if record.value() is None:
            continue  # a tombstone: the object ended long ago, and its last record said so
        try:
            yield decode(record.value(), InventoryRecord).object
        except DecodeError as error:
            undecodable[error.reason] += 1


def _facts_of_file(kube: str, settings: Settings) -> KubeFacts:
    from stream_processor.object_files import read_objects  # noqa: PLC0415  (help must not load the processor)

    try:
        read = read_objects(kube, cluster=settings.cluster, attribution=settings.attribution)
    except InputError:
        return KubeFacts()  # nothing but owners, or no objects at all, of which parse_kube_facts complains
    return _facts_of(read.objects, settings)


def _facts_of(objects: Iterable[KubeObject | WatermarkRecord], settings: Settings) -> KubeFacts:
    """Name the workloads of the pods of one cluster: of the only one, or of that in the settings."""
    from stream_processor.inventory import Inventory  # noqa: PLC0415  (as above)

    inventory = Inventory(settings.attribution)
    services: dict[str, ServiceRecord] = {}
    clusters: set[str] = set()
    for record in objects:
        inventory.apply(record)
        clusters.add(record.cluster)
        if isinstance(record, ServiceRecord):
            services[record.uid] = record
    name = clusters.pop() if len(clusters) == 1 else settings.cluster
    if clusters and name not in clusters:
        raise ConfigurationError(
            f"the inventory knows the clusters {', '.join(sorted(clusters))}, not {name!r} (name one with --cluster)"
        )
    cluster = inventory.cluster(name)
    pods = ((cluster.workload(pod), pod) for pod in cluster.pods)
    return facts_of_records(pods, (one for one in services.values() if one.cluster == name))


def _read_topic(settings: Settings) -> Iterator[KubeObject | WatermarkRecord]:
    from msgspec.structs import replace  # noqa: PLC0415

    from callgraph.broker import Broker  # noqa: PLC0415  (28 MB that the help does without)
    from whocalls.topic_span import TopicSpan  # noqa: PLC0415

    only_there = replace(settings.topics, create=False)
    Broker(settings.kafka, client_id=_CLIENT_ID).require_topics([find_topic("inventory")], only_there)
    with TopicSpan(settings.kafka, full_name("inventory", settings.topics), client_id=_CLIENT_ID) as records:
        yield from decode_inventory(records.records(), Counter())


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path!r}: {error.strerror}") from error
