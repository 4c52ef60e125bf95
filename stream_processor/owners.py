"""From a pod to its workload, by owner references alone. Pure.

In: a pod's record and the controllers of the ReplicaSets and Jobs that are known. Out: a `Workload`. Rules R4 and R5 of
`docs/identity.md`: no owner is ever read from the API server, and identity never depends on the rights to do so.
Sources: the pod-template-hash label (SafeEncodeString, k8s.io/apimachinery), CronJob's job names (minutes since 1970).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from callgraph.records import Owner, PodRecord, Workload
from stream_processor.settings import AttributionSettings

Controllers = Mapping[str, Owner | None]
"""UID of a ReplicaSet or Job that is known, to its controller."""

# SafeEncodeString of a decimal number yields these ten characters only.
_TEMPLATE_HASH = re.compile(r"[4-9bcdf]{1,10}")
_JOB_MINUTES = re.compile(r"(.+)-([0-9]{8,10})")
_MINUTE = 60 * 1_000_000_000
_WEEK_OF_MINUTES = 7 * 24 * 60
_RFC1123 = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_DEPLOYMENT_CONFIG_LABELS = ("deploymentconfig", "openshift.io/deployment-config.name")


def workload_of(pod: PodRecord, controllers: Controllers, settings: AttributionSettings) -> Workload:
    """Name the workload that a pod belongs to."""
    kind, name = _top_owner(pod, controllers)
    return Workload(cluster=pod.cluster, namespace=pod.namespace, kind=kind, name=_override(pod, settings) or name)


def _top_owner(pod: PodRecord, controllers: Controllers) -> tuple[str, str]:
    owner = pod.owner
    if owner is None:
        return "Pod", pod.name
    if owner.kind in {"ReplicaSet", "Job"}:
        if owner.uid in controllers:
            # R4.1, R4.2, R4.7: one step, to whatever kind controls it, and no further.
            top = controllers[owner.uid] or owner
            return top.kind, top.name
        return _from_hash(pod, owner) if owner.kind == "ReplicaSet" else _from_minutes(pod, owner)
    if owner.kind == "Node":
        # R4.6: the mirror of a static pod is named after its node.
        return "Pod", pod.name.removesuffix(f"-{pod.node or owner.name}")
    if owner.kind == "ReplicationController":
        for label in _DEPLOYMENT_CONFIG_LABELS:
            if pod.labels.get(label):
                return "DeploymentConfig", pod.labels[label]
    return owner.kind, owner.name


def _from_hash(pod: PodRecord, owner: Owner) -> tuple[str, str]:
    """R4.3: the ReplicaSet is not known; its name ends in the template hash that the pod carries as a label."""
    rollout = _without_suffix(owner.name, pod.labels.get("rollouts-pod-template-hash"))
    if rollout:
        return "Rollout", rollout
    template_hash = pod.labels.get("pod-template-hash", "")
    deployment = _without_suffix(owner.name, template_hash)
    if deployment and _TEMPLATE_HASH.fullmatch(template_hash):
        return "Deployment", deployment
    return owner.kind, owner.name


def _without_suffix(name: str, suffix: str | None) -> str | None:
    return name.removesuffix(f"-{suffix}") if suffix and name.endswith(f"-{suffix}") else None


def _from_minutes(pod: PodRecord, owner: Owner) -> tuple[str, str]:
    """R4.4: the Job is not known; a CronJob names its Jobs by the minute, which must fit the pod's age."""
    found = _JOB_MINUTES.fullmatch(owner.name)
    if found and abs(int(found[2]) - pod.created_at // _MINUTE) <= _WEEK_OF_MINUTES:
        return "CronJob", found[1]
    return owner.kind, owner.name


def _override(pod: PodRecord, settings: AttributionSettings) -> str | None:
    """R5: the first configured annotation, then label, that is a name."""
    if not pod.overrides and not settings.override_labels:
        return None
    candidates = [pod.overrides.get(name) for name in settings.override_annotations]
    candidates += [pod.labels.get(name) for name in settings.override_labels]
    for name in candidates:
        if name and len(name) <= 253 and _RFC1123.fullmatch(name):
            return name
    return None
