"""What policies must know of workloads and Services, from Kubernetes objects. Pure.

In: the JSON of `kubectl get deployments,statefulsets,daemonsets,cronjobs,jobs,pods,services,namespaces -A -o json`.
Out: how to select the pods of each workload, which ports they name, and where the ports of a Service lead.
The owner's selector is taken as it stands, because it is immutable; where there is none (Pod, Job, CronJob) the labels
of the pod, without those that differ from pod to pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from callgraph.errors import InputError
from callgraph.records import Workload

VOLATILE_LABELS = frozenset(
    (
        *("controller-revision-hash", "pod-template-generation", "pod-template-hash", "controller-uid", "job-name"),
        *("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "apps.kubernetes.io/pod-index"),
        *("batch.kubernetes.io/job-completion-index", "statefulset.kubernetes.io/pod-name"),
        *("topology.kubernetes.io/region", "topology.kubernetes.io/zone"),
        *("failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"),
    )
)

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Every namespace carries it, with its own name."""


class Requirement(Struct, frozen=True, kw_only=True):
    """One of a selector's `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class Selector(Struct, frozen=True, kw_only=True, rename="camel"):
    """A LabelSelector of Kubernetes."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether it selects anything less than everything."""
        return bool(self.match_labels or self.match_expressions)


class WorkloadFacts(Struct, frozen=True, kw_only=True):
    """How to select the pods of a workload; `ports` are the names of its containers' ports."""

    selector: Selector
    labels: dict[str, str] = {}
    host_network: bool = False
    service_account: str = "default"
    ports: dict[str, int] = {}


class ServicePortFacts(Struct, frozen=True, kw_only=True):
    """A port of a Service and the pod's port behind it, a number or a name."""

    port: int
    transport: str
    target: int | str


class ServiceFacts(Struct, frozen=True, kw_only=True):
    """A Service: an empty selector means that Kubernetes does not know what is behind it."""

    selector: dict[str, str] = {}
    ports: tuple[ServicePortFacts, ...] = ()


class KubeFacts(Struct, frozen=True, kw_only=True):
    """By namespace, kind and name; Services by namespace and name; the labels of namespaces by their names."""

    workloads: dict[tuple[str, str, str], WorkloadFacts] = {}
    services: dict[tuple[str, str], ServiceFacts] = {}
    namespaces: dict[str, dict[str, str]] = {}

    def find(self, workload: Workload) -> WorkloadFacts | None:
        """Return what is known of a workload."""
        return self.workloads.get((workload.namespace, workload.kind, workload.name))

    def labels_of(self, workload: Workload) -> dict[str, str]:
        """Return the labels of a workload's pods; none where it is not known."""
        known = self.find(workload)
        return known.labels if known else {}

    def namespace_labels(self, namespace: str) -> dict[str, str]:
        """Return the labels of a namespace; that with its name is there always."""
        return {NAMESPACE_LABEL: namespace} | self.namespaces.get(namespace, {})

    def services_of(self, workload: Workload) -> Iterator[ServiceFacts]:
        """Return the Services that lead to a workload's pods, or the Service itself."""
        if workload.kind == "Service":
            yield from filter(None, (self.services.get((workload.namespace, workload.name)),))
        elif facts := self.find(workload):
            for (namespace, _), service in sorted(self.services.items(), key=lambda item: item[0]):
                if namespace == workload.namespace and service.selector.items() <= facts.labels.items():
                    yield from (service,) if service.selector else ()


class _OwnerReference(Struct, frozen=True):
    controller: bool = False


class _Meta(Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = "default"
    labels: dict[str, str] | None = None
    owner_references: tuple[_OwnerReference, ...] | None = None

    @property
    def is_owned(self) -> bool:
        return any(owner.controller for owner in self.owner_references or ())


class _Port(Struct, frozen=True, rename="camel"):
    container_port: int
    name: str = ""


class _Container(Struct, frozen=True):
    ports: tuple[_Port, ...] | None = None


class _PodSpec(Struct, frozen=True, rename="camel"):
    containers: tuple[_Container, ...] = ()
    host_network: bool = False
    service_account_name: str = "default"


class _TemplateMeta(Struct, frozen=True):
    labels: dict[str, str] | None = None


class _Template(Struct, frozen=True):
    metadata: _TemplateMeta = _TemplateMeta()
    spec: _PodSpec = _PodSpec()


class _OwnerSpec(Struct, frozen=True):
    template: _Template
    selector: Selector | None = None


class _ServicePort(Struct, frozen=True, rename="camel"):
    port: int
    protocol: str = "TCP"
    target_port: int | str | None = None


class _ServiceSpec(Struct, frozen=True):
    selector: dict[str, str] | None = None
    ports: tuple[_ServicePort, ...] | None = None


class _CronSpec(Struct, frozen=True, rename="camel"):
    job_template: _Job


class _Job(Struct, frozen=True):
    spec: _OwnerSpec


class _Object(Struct, frozen=True):
    kind: str
    metadata: _Meta
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class _List(Struct, frozen=True):
    items: tuple[_Object, ...]


def parse_kube_facts(content: bytes, name: str) -> KubeFacts:
    """Read a `List` of objects; kinds that say nothing here are passed over. Raises InputError."""
    facts = KubeFacts(workloads={}, services={}, namespaces={})
    try:
        for item in msgspec.json.decode(content, type=_List).items:
            _take_object(item, facts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{name} is not a list of Kubernetes objects: {error} (write it with "
            "`kubectl get deployments,statefulsets,daemonsets,cronjobs,jobs,pods,services,namespaces -A -o json`)"
        ) from error
    return facts


def merge_facts(below: KubeFacts, above: KubeFacts) -> KubeFacts:
    """Put the facts of two sources together; where both know something, the second is right."""
    return KubeFacts(
        workloads=below.workloads | above.workloads,
        services=below.services | above.services,
        namespaces=below.namespaces | above.namespaces,
    )


def _take_object(item: _Object, facts: KubeFacts) -> None:
    meta = item.metadata
    if item.kind == "Service":
        facts.services[meta.namespace, meta.name] = _service_facts(msgspec.json.decode(item.spec, type=_ServiceSpec))
    elif item.kind == "Namespace":
        facts.namespaces[meta.name] = meta.labels or {}
    elif not meta.is_owned and (known := _workload_facts(item)):
        # What is owned is no workload of its own: its owner is.
        facts.workloads[meta.namespace, item.kind, meta.name] = known


def _workload_facts(item: _Object) -> WorkloadFacts | None:
    if item.kind == "Pod":
        labels = item.metadata.labels
        return _facts_of(msgspec.json.decode(item.spec, type=_PodSpec), labels or {}, None)
    if item.kind == "CronJob":
        spec = msgspec.json.decode(item.spec, type=_CronSpec).job_template.spec
    elif item.kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"):
        spec = msgspec.json.decode(item.spec, type=_OwnerSpec)
    else:
        return None
    # A Job's selector holds its own UID, so the next run of it would not be selected.
    selector = None if item.kind in ("Job", "CronJob") else spec.selector
    return _facts_of(spec.template.spec, spec.template.metadata.labels or {}, selector)


def lasting_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels that the pods of a workload share and keep."""
    return {key: value for key, value in labels.items() if key not in VOLATILE_LABELS}


def _facts_of(pod: _PodSpec, labels: dict[str, str], selector: Selector | None) -> WorkloadFacts:
    ports: Iterable[_Port] = (port for container in pod.containers for port in container.ports or ())
    return WorkloadFacts(
        selector=selector or Selector(match_labels=lasting_labels(labels)),
        labels=labels,
        host_network=pod.host_network,
        service_account=pod.service_account_name,
        ports={port.name or str(port.container_port): port.container_port for port in ports},
    )


def _service_facts(spec: _ServiceSpec) -> ServiceFacts:
    return ServiceFacts(
        selector=spec.selector or {},
        ports=tuple(
            ServicePortFacts(
                port=port.port,
                transport=port.protocol,
                target=port.port if port.target_port in (None, 0, "") else port.target_port,
            )
            for port in spec.ports or ()
        ),
    )
