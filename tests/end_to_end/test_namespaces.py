"""Real packets through the whole line: pods in network namespaces, a DNS server, agents, Kafka, files."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import pytest
import yaml

from tests.end_to_end.lab import Lab, missing_tool
from tests.end_to_end.lab_cluster import FULL_TRUTH, SEARCH, SHOP, Cluster
from tests.end_to_end.processes import Roles, run_whocalls, until

pytestmark = [pytest.mark.root, pytest.mark.kafka]


@pytest.fixture
def cluster():
    return Cluster(random.randrange(64, 224))


@pytest.fixture
def lab(cluster):
    if why := missing_tool():
        pytest.skip(why)
    with Lab(cluster.nodes(), cluster.places(), resolver=cluster.resolver, search=SEARCH) as lab:
        lab.serve_names("coredns", cluster.dns_records())
        yield lab


@pytest.fixture
def config(cluster, kafka_settings, topic_settings, tmp_path):
    """One configuration file for all roles, and the topics made."""
    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps(cluster.objects(datetime.now(UTC))), encoding="utf-8")
    settings = {
        "cluster": "lab",
        "kafka": {"bootstrap_servers": kafka_settings.bootstrap_servers, "embedded": kafka_settings.embedded},
        "topics": {"prefix": topic_settings.prefix, "partitions": topic_settings.partitions},
        "agent": {"publish": {"flush_seconds": 0.3}},
        "watcher": {"objects_file": str(objects)},
        "processor": {"group": topic_settings.prefix, "listen": "127.0.0.1:0"},
        "exporter": {"out": str(tmp_path / "out"), "interval_seconds": 0.2, "formats": ["yaml"]},
    }
    file = tmp_path / "whocalls.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    made = run_whocalls("topics", "apply", "--config", str(file))
    assert made.returncode == 0, made.stderr
    return str(file)


@pytest.fixture
def roles(tmp_path):
    with Roles(tmp_path) as roles:
        yield roles


def test_exported_graph_is_who_really_called_whom(lab, cluster, config, roles, kafka_settings, tmp_path):
    lab.call("cart", "redis", 6379, keep=True)
    for node in ("node-a", "node-b"):
        lab.open_port(node, int(kafka_settings.bootstrap_servers.rpartition(":")[2]))
        roles.start(
            f"agent-{node}",
            "agent",
            "--config",
            config,
            "--agent-node",
            node,
            wrap=lambda command, node=node: lab.inside(node, command),
        )
    for role in ("watcher", "processor", "exporter"):
        roles.start(role, role, "--config", config)
    for node in ("node-a", "node-b"):
        roles.await_event(f"agent-{node}", "agent_started")
    roles.finish("watcher")
    out = tmp_path / "out"
    already_open = {("shop", "cart"): FULL_TRUTH["shop", "cart"]}
    _await_graph(out, already_open, roles)
    make_calls(lab, cluster)
    _await_graph(out, FULL_TRUTH, roles)
    for role in ("agent-node-a", "agent-node-b", "processor", "exporter"):
        roles.stop(role)
    assert exported(out) == FULL_TRUTH


def make_calls(lab, cluster):
    """Make every call of the ground truth once, but for the one that is open already."""
    lab.call("loadgenerator", "frontend", 8080)
    lab.call("loadgenerator", cluster.addresses_of("payment")[0], 50051)
    lab.call("frontend", "cart.shop", 7070)
    lab.call("frontend", f"checkout.{SHOP}", 5050)
    lab.call("checkout", "payment.payments.svc.cluster.local.", 50051)
    lab.call("checkout", "api.example.org", 443)
    lab.call("report", "frontend.shop.svc", 8080)


def exported(folder):
    """Read the YAML files as (namespace, client) to (namespace, server) to the evidence."""
    graph = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            home = document["metadata"]["namespace"]
            for service in document["services"]:
                graph[home, service["name"]] = _servers(service, home)
    return graph


def _servers(service, home):
    inside = {(each.get("namespace", home), each["name"]): _evidence(each) for each in service.get("calls", ())}
    outside = {("", each["name"]): _evidence(each) for each in service.get("external", ())}
    return inside | outside


def _evidence(server):
    return {key: server[key] for key in ("via", "ports") if key in server}


def _await_graph(folder, truth, roles):
    until(
        lambda: exported(folder) == truth,
        seconds=60,
        what=lambda: f"{truth}, but {exported(folder)}",
        check=roles.check,
    )
