"""What the Kubernetes API says of our own rights. Shell: the API server, asked as the watcher asks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from callgraph.errors import ConfigurationError, UnreachableError
from stream_processor.kube_client import KubeClient, KubeError, wait_until_reachable
from stream_processor.settings import WatcherSettings
from whocalls.diagnosis.rights import Question, RightsFacts, Rule, needed_by_watcher, needed_to_install

_REVIEWS = "/apis/authorization.k8s.io/v1"
_LEVEL = "pod-security.kubernetes.io/enforce"
_READ_SECONDS = 10.0


class _Decision(Struct):
    allowed: bool = False


class _Review(Struct):
    status: _Decision = field(default_factory=_Decision)


class _ResourceRule(Struct, rename="camel"):
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class _Rules(Struct, rename="camel"):
    resource_rules: tuple[_ResourceRule, ...] = ()
    incomplete: bool = False


class _RulesReview(Struct):
    status: _Rules = field(default_factory=_Rules)


class _Metadata(Struct):
    labels: dict[str, str] = {}


class _Namespace(Struct):
    metadata: _Metadata = field(default_factory=_Metadata)


def gather_rights(watcher: WatcherSettings, *, installs_into: Iterable[str] = ()) -> RightsFacts:
    """Ask what this account may do: the watcher's work, or an installation; the agents' namespace is named last."""
    namespaces = tuple(installs_into)
    try:
        client = KubeClient(watcher)
    except ConfigurationError as error:
        return RightsFacts(unconfigured=str(error))
    try:
        wait_until_reachable(client, watcher.watch.connect_seconds)
        return _ask(client, watcher, namespaces)
    except UnreachableError as error:
        return RightsFacts(trouble=str(error))
    except KubeError as error:
        why = f"the Kubernetes API at {client.host} refuses to say what this account may do: {error}"
        return RightsFacts(trouble=f"{why} (check the token or certificate in the kubeconfig)")


def _ask(client: KubeClient, watcher: WatcherSettings, namespaces: tuple[str, ...]) -> RightsFacts:
    own = client.context_namespace
    questions = needed_to_install(namespaces) if namespaces else needed_by_watcher(watcher, own_namespace=own)
    answers = tuple((question, _may(client, question)) for question in questions)
    if namespaces:
        agents = namespaces[-1]
        return RightsFacts(host=client.host, answers=answers, enforced=((agents, _level(client, agents)),))
    granted = _rules(client, own)
    return RightsFacts(
        host=client.host,
        answers=answers,
        rules=tuple(
            Rule(verbs=rule.verbs, groups=rule.api_groups, resources=rule.resources, names=rule.resource_names)
            for rule in granted.resource_rules
        ),
        is_incomplete=granted.incomplete,
    )


def _may(client: KubeClient, question: Question) -> bool:
    attributes = {
        "verb": question.verb,
        "group": question.group,
        "resource": question.resource,
        "namespace": question.namespace,
        "name": question.name,
    }
    body = _review("SelfSubjectAccessReview", {"resourceAttributes": attributes})
    answer = client.send("POST", f"{_REVIEWS}/selfsubjectaccessreviews", body, read_timeout=_READ_SECONDS)
    return msgspec.json.decode(answer, type=_Review).status.allowed


def _rules(client: KubeClient, namespace: str) -> _Rules:
    body = _review("SelfSubjectRulesReview", {"namespace": namespace})
    answer = client.send("POST", f"{_REVIEWS}/selfsubjectrulesreviews", body, read_timeout=_READ_SECONDS)
    return msgspec.json.decode(answer, type=_RulesReview).status


def _review(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}


def _level(client: KubeClient, namespace: str) -> str | None:
    """Return the Pod Security level that a namespace enforces, empty for none; None: it cannot be read."""
    try:
        body = client.get(f"/api/v1/namespaces/{namespace}", {}, accept="application/json", read_timeout=_READ_SECONDS)
    except KubeError as error:
        if error.failure.kind == "status":
            return None
        raise
    return msgspec.json.decode(body, type=_Namespace).metadata.labels.get(_LEVEL, "")
