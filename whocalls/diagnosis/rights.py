"""May the watcher see what it needs, and no more; may somebody install the chart? Pure.

In: the API server's own answers. Out: a finding for each. Source: kubernetes.io/docs/reference/access-authn-authz
(SelfSubjectAccessReview, SelfSubjectRulesReview, Pod Security Standards).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from stream_processor.settings import WatcherSettings
from stream_processor.watch import RESOURCES
from whocalls.diagnosis.finding import Finding, fail, fail_with, ok, skip, warn

_RIGHTS = "docs/security.md#rights-in-kubernetes"
_AGENT = "docs/security.md#the-agent"
_EFFECTS = {
    "pods": "nothing is attributed",
    "services": "cluster addresses without a name stay unresolved",
    "endpointslices": "Services are resolved through their selectors",
    "replicasets": "the Deployment is inferred from the pod template hash",
    "jobs": "the CronJob is inferred from the Job's name",
    "nodes": "set attribution.pod_cidrs and attribution.service_cidrs",
    "leases": "only one watcher may run",
}
_OF_EVERYBODY = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
"""Groups of the reviews of oneself, which every account may ask for."""
_INSTALLED = (
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("batch", "jobs"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
)
_INSTALLED_CLUSTER_WIDE = (
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
)


class Question(Struct, frozen=True, kw_only=True):
    """May I? An empty namespace means all of them, or an object that has none."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


class Rule(Struct, frozen=True, kw_only=True):
    """What is granted: every verb on every resource of every group listed."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class RightsFacts(Struct, frozen=True, kw_only=True):
    """What the API server said."""

    host: str = ""
    unconfigured: str = ""
    """Why there is no API server to ask."""
    trouble: str = ""
    """Why it does not answer."""
    answers: tuple[tuple[Question, bool], ...] = ()
    rules: tuple[Rule, ...] = ()
    is_incomplete: bool = False
    """The server does not know all rules (webhook authorizers)."""
    enforced: tuple[tuple[str, str | None], ...] = ()
    """Namespaces and the Pod Security level that they enforce: None where the namespace is not there."""


def needed_by_watcher(watcher: WatcherSettings, *, own_namespace: str) -> list[Question]:
    """List the questions that the watcher's work depends on."""
    places = watcher.namespaces or ("",)
    questions = [
        Question(verb=verb, group=_group(resource.prefix), resource=resource.name, namespace=place)
        for resource in RESOURCES
        for place in (places if resource.namespaced else ("",))
        for verb in ("list", "watch")
        if resource.namespaced or not watcher.namespaces
    ]
    if lease := watcher.lease.name:
        place = watcher.lease.namespace or own_namespace
        group = "coordination.k8s.io"
        questions.append(Question(verb="create", group=group, resource="leases", namespace=place))
        questions += [
            Question(verb=verb, group=group, resource="leases", namespace=place, name=lease)
            for verb in ("get", "update")
        ]
    return questions


def needed_to_install(namespaces: Sequence[str]) -> list[Question]:
    """List what an installation of the chart creates."""
    return [
        Question(verb="create", group=group, resource=resource, namespace=namespace)
        for namespace in namespaces
        for group, resource in _INSTALLED
    ] + [Question(verb="create", group=group, resource=resource) for group, resource in _INSTALLED_CLUSTER_WIDE]


def check_rights(facts: RightsFacts, *, installs: bool) -> list[Finding]:
    """Judge the rights of the watcher, or with `installs` those of whoever installs."""
    if facts.unconfigured:
        return [skip("rbac.server", facts.unconfigured)]
    if facts.trouble:
        return [fail_with("rbac.server", facts.trouble, doc=_RIGHTS, unreachable=True)]
    found = [ok("rbac.server", f"{facts.host} answers")]
    denied = [question for question, allowed in facts.answers if not allowed]
    found += [_refused(question, installs=installs) for question in denied]
    if not denied:
        what = "what the chart installs may be created" if installs else "the watcher may do its work"
        found.append(ok("rbac.install" if installs else "rbac.needed", what))
    return [*found, *(_check_namespaces(facts) if installs else _check_excess(facts))]


def _refused(question: Question, *, installs: bool) -> Finding:
    what = f"{question.resource}.{question.group}" if question.group else question.resource
    place = f"in {question.namespace}" if question.namespace else "in the whole cluster"
    message = f"may not {question.verb} {what} {place}"
    if installs:
        fix = "install as somebody who may"
        if question.resource.startswith("cluster"):
            fix += ", or render Roles with rbac.namespaces"
        return fail("rbac.install", message, fix=fix, doc="docs/deployment.md#in-a-cluster-helm")
    fix = f"grant it as charts/whocalls/templates/rbac.yaml does; without it {_EFFECTS[question.resource]}"
    found = fail if question.resource in ("pods", "leases") else warn
    return found("rbac.needed", message, fix=fix, doc=_RIGHTS)


def _check_excess(facts: RightsFacts) -> Iterator[Finding]:
    check = "rbac.excess"
    excess = sorted({text for rule in facts.rules for text in _excess(rule)})
    if excess:
        shown = ", ".join(excess[:8]) + (f" and {len(excess) - 8} more" if len(excess) > 8 else "")
        fix = "unbind the role that grants it: the watcher lists and watches six kinds, and holds one Lease"
        yield warn(check, f"this account may also {shown}", fix=fix, doc=_RIGHTS)
    elif facts.is_incomplete:
        yield skip(check, "the API server does not tell all rules (a webhook authorizer)")
    else:
        yield ok(check, "this account may do nothing else")


def _excess(rule: Rule) -> Iterator[str]:
    """Yield what a rule grants beyond the watcher's needs."""
    known = {(_group(resource.prefix), resource.name) for resource in RESOURCES}
    for group in rule.groups:
        if group in _OF_EVERYBODY:
            continue
        for resource in rule.resources:
            allowed = {"list", "watch"} if (group, resource) in known else set()
            if (group, resource) == ("coordination.k8s.io", "leases"):
                allowed = {"create"} | ({"get", "update"} if rule.names else set())
            what = f"{resource}.{group}" if group else resource
            yield from (f"{verb} {what}" for verb in rule.verbs if verb not in allowed)


def _check_namespaces(facts: RightsFacts) -> Iterator[Finding]:
    check = "rbac.podsecurity"
    for namespace, level in facts.enforced:
        if level is None:
            yield warn(
                check,
                f"the namespace {namespace} is not there, or may not be read",
                fix=f"kubectl create namespace {namespace}",
            )
        elif level in ("baseline", "restricted"):
            fix = f"kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged --overwrite"
            yield fail(check, f"{namespace} enforces {level}, which refuses the agents' pods", fix=fix, doc=_AGENT)
        else:
            yield ok(check, f"{namespace} admits the agents' pods")


def _group(prefix: str) -> str:
    """Return the API group of a path prefix: none in `/api/v1`."""
    return prefix.split("/")[2] if prefix.startswith("/apis/") else ""
