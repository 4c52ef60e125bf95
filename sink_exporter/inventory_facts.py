"""What policies and labels need of workloads, from the records of the inventory topic. Pure.

Owners are never read, so their selectors are not known: the labels that all present pods of a workload share stand in.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from callgraph.records import PodRecord, ServicePort, ServiceRecord, Workload
from sink_exporter.kube_facts import (
    KubeFacts,
    Selector,
    ServiceFacts,
    ServicePortFacts,
    WorkloadFacts,
    lasting_labels,
)


def facts_of_records(pods: Iterable[tuple[Workload, PodRecord]], services: Iterable[ServiceRecord]) -> KubeFacts:
    """Gather the facts of one cluster. Pods come with the workload that they belong to; what has ended counts less."""
    members: dict[Workload, list[PodRecord]] = {}
    for workload, pod in pods:
        members.setdefault(workload, []).append(pod)
    return KubeFacts(
        workloads={(one.namespace, one.kind, one.name): _facts_of_pods(some) for one, some in members.items()},
        services={(one.namespace, one.name): _facts_of_service(one) for one in services if one.to_at is None},
    )


def _facts_of_pods(pods: list[PodRecord]) -> WorkloadFacts:
    present = [pod for pod in pods if pod.ended_at is None] or pods
    newest = max(present, key=lambda pod: (pod.created_at, pod.uid))
    shared = reduce(lambda some, other: dict(some.items() & other.items()), (pod.labels for pod in present))
    return WorkloadFacts(
        selector=Selector(match_labels=dict(sorted(lasting_labels(shared).items()))),
        labels=newest.labels,
        host_network=newest.host_network,
        service_account=newest.service_account or "default",
        ports={port.name or str(port.port): port.port for port in newest.ports},
    )


def _facts_of_service(service: ServiceRecord) -> ServiceFacts:
    return ServiceFacts(selector=service.selector, ports=tuple(_facts_of_port(port) for port in service.ports))


def _facts_of_port(port: ServicePort) -> ServicePortFacts:
    target = port.target_port or str(port.port)
    number = int(target) if target.isdecimal() else 0
    return ServicePortFacts(port=port.port, transport=port.transport.upper(), target=number or target)
