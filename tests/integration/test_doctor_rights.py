"""`whocalls doctor rbac`: each check is broken on the fake API server, over HTTP, and names its cause and its fix."""

from __future__ import annotations

import pytest

from tests.doctor_runs import diagnose
from tests.fake_api_server import FakeApiServer

OURS = {"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["pods", "services", "nodes"]}
LEASE = {
    "verbs": ["get", "update"],
    "apiGroups": ["coordination.k8s.io"],
    "resources": ["leases"],
    "resourceNames": ["whocalls-watcher"],
}


@pytest.fixture
def server():
    with FakeApiServer() as server:
        server.switches.rules = [OURS, LEASE]
        yield server


@pytest.fixture
def ask(server, tmp_path):
    kubeconfig = server.write_kubeconfig(tmp_path, token="a-token")
    return lambda *arguments: diagnose(
        "rbac", f"--watcher-kubeconfig={kubeconfig}", "--watcher-watch-connect-seconds=1", *arguments
    )


def a_namespace(name, level=""):
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def test_the_watchers_rights_and_no_more_are_found_well(ask):
    done = ask("--watcher-lease-name=whocalls-watcher")
    assert {finding["status"] for finding in done.findings} == {"ok"}
    assert done.code == 0


def test_without_a_right_on_pods_nothing_works(ask, server):
    server.deny("pods", "watch")
    done = ask()
    assert done.failed("rbac.needed")["message"] == "may not watch pods in the whole cluster"
    assert "nothing is attributed" in done.failed("rbac.needed")["fix"]
    assert done.code == 5


def test_without_another_right_it_says_what_is_lost(ask, server):
    server.deny("jobs", "list")
    done = ask()
    assert done.warned("rbac.needed")["message"] == "may not list jobs.batch in the whole cluster"
    assert "the CronJob is inferred" in done.warned("rbac.needed")["fix"]
    assert done.code == 0


def test_rights_in_namespaces_are_asked_for_there(ask, server):
    server.deny("pods", "list", namespace="payments")
    done = ask("--watcher-namespaces=shop,payments")
    assert done.failed("rbac.needed")["message"] == "may not list pods in payments"


def test_a_lease_that_may_not_be_held_fails(ask, server):
    server.deny("leases", "update")
    done = ask("--watcher-lease-name=whocalls-watcher", "--watcher-lease-namespace=whocalls")
    assert done.failed("rbac.needed")["message"] == "may not update leases.coordination.k8s.io in whocalls"
    assert "only one watcher may run" in done.failed("rbac.needed")["fix"]


@pytest.mark.parametrize(
    ("rule", "excess"),
    [
        ({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}, "get secrets, list secrets"),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, "get pods"),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, "* *.*"),
        (LEASE | {"resourceNames": []}, "get leases.coordination.k8s.io, update leases.coordination.k8s.io"),
    ],
)
def test_more_than_is_needed_is_warned_of(ask, server, rule, excess):
    server.switches.rules.append(rule)
    done = ask()
    assert done.warned("rbac.excess")["message"] == f"this account may also {excess}"
    assert "unbind the role" in done.warned("rbac.excess")["fix"]
    assert done.code == 0


def test_an_api_server_that_is_away_is_unreachable(ask, server):
    server.stop()
    done = ask()
    assert "cannot reach the Kubernetes API" in done.failed("rbac.server")["message"]
    assert "watcher.kubeconfig" in done.failed("rbac.server")["fix"]
    assert done.code == 6


def test_a_token_that_is_not_accepted_is_named(ask, server):
    server.switches.users = {"another": "somebody"}
    done = ask()
    assert "refuses to say what this account may do: Unauthorized" in done.failed("rbac.server")["message"]
    assert "check the token" in done.failed("rbac.server")["fix"]


def test_without_a_kubernetes_configuration_there_is_nothing_to_check(tmp_path):
    done = diagnose("rbac", f"--watcher-kubeconfig={tmp_path}/none")
    assert done.states("rbac.server") == {"skip"}
    assert done.code == 0


# -- Before an installation -------------------------------------------------------------------------------------------


def test_somebody_who_may_install_is_told_so(ask, server):
    server.put(a_namespace("agents", "privileged"))
    done = ask("--pre", "--agents-namespace=agents")
    assert {finding["status"] for finding in done.findings} == {"ok"}
    assert done.code == 0


def test_what_may_not_be_created_is_named(ask, server):
    server.put(a_namespace("whocalls"))
    server.deny("clusterroles", "create")
    server.deny("daemonsets", "create", namespace="whocalls")
    done = ask("--pre")
    assert [finding["message"] for finding in done.of("rbac.install")] == [
        "may not create daemonsets.apps in whocalls",
        "may not create clusterroles.rbac.authorization.k8s.io in the whole cluster",
    ]
    assert "rbac.namespaces" in done.of("rbac.install")[1]["fix"]
    assert done.code == 5


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_namespace_that_refuses_the_agents_is_named(ask, server, level):
    server.put(a_namespace("agents", level))
    done = ask("--pre", "--agents-namespace=agents")
    assert f"agents enforces {level}" in done.failed("rbac.podsecurity")["message"]
    assert done.failed("rbac.podsecurity")["fix"].startswith("kubectl label namespace agents ")
    assert done.code == 5


def test_a_namespace_that_is_not_there_yet_is_warned_of(ask):
    done = ask("--pre")
    assert done.warned("rbac.podsecurity")["fix"] == "kubectl create namespace whocalls"
