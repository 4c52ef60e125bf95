"""What the chart's pods and accounts may do: Pod Security, tokens, rules, constraints."""

from __future__ import annotations

import json

import pytest

from callgraph.configuration import load_settings
from tests.deployment.chart import (
    MINIMAL,
    NAMESPACE,
    containers,
    objects,
    of_kind,
    pod_specs,
    rendered,
    value_set_names,
)
from whocalls.configuration import Settings

VALUE_SETS = value_set_names()
ROLE_KINDS = ("Role", "ClusterRole")


@pytest.mark.parametrize("name", VALUE_SETS)
def test_pods_other_than_the_agents_are_what_pod_security_calls_restricted(name):
    for role, pod in pod_specs(rendered(name)):
        if role == "agent":
            continue
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"].get("runAsUser") != 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(v.keys() & {"configMap", "emptyDir", "secret", "persistentVolumeClaim"} for v in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_agent_has_a_packet_socket_and_a_view_of_proc_and_nothing_more(name):
    (pod,) = [pod for role, pod in pod_specs(rendered(name)) if role == "agent"]
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert not {"hostPID", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]},
    }
    assert [v["hostPath"] for v in pod["volumes"] if "hostPath" in v] == [{"path": "/proc", "type": "Directory"}]
    assert {"name": "hostproc", "mountPath": "/hostproc", "readOnly": True} in container["volumeMounts"]


def test_the_agent_names_apparmor_only_where_kubernetes_has_the_field():
    def profile(kube_version):
        pods = pod_specs(objects(MINIMAL, kube_version=kube_version))
        return next(pod for role, pod in pods if role == "agent")["securityContext"].get("appArmorProfile")

    assert profile("v1.29.9") is None
    assert profile("v1.30.0") == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_only_the_watcher_gets_a_token(name):
    with_token = {
        pod["serviceAccountName"] for _, pod in pod_specs(rendered(name)) if pod["automountServiceAccountToken"]
    }
    assert len(with_token) == 1
    assert with_token.pop().endswith("-watcher")


def reading_rules(*core):
    return [
        {"apiGroups": [""], "resources": list(core), "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list", "watch"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch"]},
    ]


def granted(name):
    """List (account, namespace or None for the cluster, rules) of each binding."""

    def identity(kind, kube_object, role):
        return kind, kube_object["metadata"].get("namespace"), role

    roles = {identity(o["kind"], o, o["metadata"]["name"]): o["rules"] for o in of_kind(rendered(name), *ROLE_KINDS)}
    return [
        (subject["name"], binding["metadata"].get("namespace"), roles[identity(ref["kind"], binding, ref["name"])])
        for binding in of_kind(rendered(name), "RoleBinding", "ClusterRoleBinding")
        for ref in [binding["roleRef"]]
        for subject in binding["subjects"]
    ]


LEASE = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["whocalls-watcher"],
        "verbs": ["get", "update"],
    },
]


def test_the_watcher_lists_and_watches_six_kinds_and_holds_one_lease():
    assert granted("plaintext") == [
        ("whocalls-watcher", None, reading_rules("pods", "services", "nodes")),
        ("whocalls-watcher", NAMESPACE, LEASE),
    ]


def test_roles_in_namespaces_replace_the_cluster_role_and_one_replica_needs_no_lease():
    assert granted("namespaced") == [
        ("whocalls-watcher", "shop", reading_rules("pods", "services")),
        ("whocalls-watcher", "payments", reading_rules("pods", "services")),
    ]


def test_the_watcher_watches_the_namespaces_that_it_may_read():
    (environment,) = [
        {entry["name"]: entry["value"] for entry in container["env"]}
        for role, container in containers("namespaced")
        if role == "watcher"
    ]
    assert load_settings(Settings, environment=environment).watcher.namespaces == ("shop", "payments")


def test_the_watchers_compete_for_the_lease_that_they_may_hold():
    (environment,) = [
        {entry["name"]: entry.get("value") for entry in container["env"]}
        for role, container in containers("plaintext")
        if role == "watcher"
    ]
    assert environment["WHOCALLS_WATCHER_LEASE_NAME"] == LEASE[1]["resourceNames"][0]
    assert "WHOCALLS_WATCHER_LEASE_NAME" not in json.dumps(rendered("namespaced"))


def test_openshift_lets_the_agents_alone_use_their_constraints():
    (constraints,) = of_kind(rendered("openshift"), "SecurityContextConstraints")
    assert constraints["allowedCapabilities"] == ["NET_RAW"]
    assert constraints["allowPrivilegedContainer"] is False
    uses = [
        (who, rules) for who, _, rules in granted("openshift") if "securitycontextconstraints" in rules[0]["resources"]
    ]
    assert [(who, rules[0]["resourceNames"]) for who, rules in uses] == [
        ("whocalls-agent", [constraints["metadata"]["name"]])
    ]
    assert not any(
        "runAsUser" in pod["securityContext"] for role, pod in pod_specs(rendered("openshift")) if role != "agent"
    )
