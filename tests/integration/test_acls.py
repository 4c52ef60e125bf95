"""The rights of `charts/whocalls/files/acls.yaml` suffice for the whole line, on a Kafka that grants nothing else."""

from __future__ import annotations

import pytest
import yaml
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from callgraph.clients import librdkafka_config
from callgraph.settings import TopicSettings
from tests.deployment.chart import CHART
from tests.worker_processes import await_that
from whocalls.shop import CALLS
from whocalls.shop_traffic import write_shop_input
from whocalls.supervisor import Supervisor

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("needs_apache")]

TOPICS = TopicSettings(prefix="acl.", partitions=2)
GROUP = "acl-processors"
SECONDS = 90
ROLES = yaml.safe_load((CHART / "files" / "acls.yaml").read_text(encoding="utf-8"))["roles"]
# What `whocalls topics apply` needs, as docs/security.md says.
ADMINISTRATOR = [(ResourceType.TOPIC, TOPICS.prefix, ResourcePatternType.PREFIXED, ["Create", "Describe"])]
AUTHORIZING = {
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    # Whoever comes without a name: the broker itself and the test.
    "super.users": "User:ANONYMOUS",
}


def rights_of(role):
    """Yield resource type, name, pattern and operations."""
    for right in role["topics"]:
        yield ResourceType.TOPIC, TOPICS.prefix + right["name"], ResourcePatternType.LITERAL, right["operations"]
    for right in role["groups"]:
        name = GROUP if right["name"] == "GROUP" else right["name"]
        yield ResourceType.GROUP, name, ResourcePatternType.LITERAL, right["operations"]


def grant(admin, user, rights):
    bindings = [
        AclBinding(kind, name, pattern, f"User:{user}", "*", AclOperation[operation.upper()], AclPermissionType.ALLOW)
        for kind, name, pattern, operations in rights
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result()


@pytest.fixture
def broker(start_kafka):
    users = dict.fromkeys((*ROLES, "administrator"), "secret")
    broker = start_kafka(listeners=["SASL_PLAINTEXT"], properties=AUTHORIZING, users=users)
    admin = AdminClient(librdkafka_config(broker.kafka_settings, client_id="test-acls"))
    grant(admin, "administrator", ADMINISTRATOR)
    for user, role in ROLES.items():
        grant(admin, user, rights_of(role))
    return broker


@pytest.fixture
def supervisor(broker, tmp_path):
    environment = {
        "WHOCALLS_CLUSTER": "shop",
        "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": broker.address("SASL_PLAINTEXT"),
        "WHOCALLS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "WHOCALLS_KAFKA_SASL_PASSWORD": "secret",
        "WHOCALLS_TOPICS_PREFIX": TOPICS.prefix,
        "WHOCALLS_TOPICS_PARTITIONS": str(TOPICS.partitions),
        "WHOCALLS_PROCESSOR_GROUP": GROUP,
        "WHOCALLS_PROCESSOR_LISTEN": "127.0.0.1:0",
    }
    with Supervisor(tmp_path, environment) as supervisor:
        yield supervisor


def test_each_role_does_its_work_with_the_rights_that_the_chart_gives_it(supervisor, tmp_path):
    shop = write_shop_input(tmp_path / "input")

    def start(role, *arguments, user=""):
        return supervisor.start(role, *arguments, f"--kafka-sasl-username={user or role}")

    supervisor.finish(start("topics", "topics", "apply", user="administrator"), seconds=SECONDS)
    start("processor", "processor")
    watcher = start("watcher", "watcher", f"--watcher-objects-file={shop.objects}")
    agents = [
        start(
            f"agent {node}",
            "agent",
            f"--agent-node={node}",
            f"--source=pcap:{capture}",
            f"--source=proc:{shop.proc_trees[node]}",
            user="agent",
        )
        for node, capture in shop.captures.items()
    ]
    for role in (watcher, *agents):
        supervisor.finish(role, seconds=SECONDS)
    out = tmp_path / "out"
    start("exporter", "exporter", f"--exporter-out={out}", "--exporter-interval-seconds=0.2")

    def complete():
        supervisor.check()
        file = out / "callgraph.txt"
        return file.exists() and file.read_text(encoding="utf-8").count("  - ") == calls

    calls = sum(len(servers) for servers in CALLS.values())
    await_that(complete, seconds=SECONDS, what=f"a graph of {calls} calls")
