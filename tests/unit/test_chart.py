"""The Helm chart, rendered by Helm's own engine and judged as a cluster would: no cluster, no network."""

from __future__ import annotations

import copy
import re

import helm_python
import kubernetes_validate
import pytest
import yaml

from callgraph.configuration import list_settings, load_settings
from callgraph.topics import TOPICS
from tests.deployment.chart import (
    CHART,
    GOLDEN,
    MINIMAL,
    ROOT,
    containers,
    golden_text,
    objects,
    of_kind,
    pod_specs,
    pod_template,
    read_values,
    render,
    rendered,
    topics_file,
    value_set_names,
    values_schema,
)
from whocalls.configuration import Settings

VALUE_SETS = value_set_names()
REGENERATE = "run `python -m tests.deployment.regenerate` and read what changed"
CUSTOM_KINDS = {
    "KafkaTopic",
    "KafkaUser",
    "PodMonitor",
    "PrometheusRule",
    "SecurityContextConstraints",
    "ServiceMonitor",
}


def with_values(path, value, base=MINIMAL):
    values = copy.deepcopy(base)
    *parents, last = path.split(".")
    place = values
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = value
    return values


# -- What is rendered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUE_SETS)
def test_each_value_set_renders_as_its_golden_file(name):
    assert golden_text(name) == (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8"), REGENERATE


def test_every_golden_file_belongs_to_a_value_set():
    assert sorted(path.stem for path in GOLDEN.glob("*.yaml")) == VALUE_SETS


@pytest.mark.parametrize("name", VALUE_SETS)
def test_helm_finds_nothing_to_complain_of(name):
    report = helm_python.lint(str(CHART), read_values(name), strict=True)
    assert [message for message in report["messages"] if message["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("version", ["1.28.0", "1.32.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", VALUE_SETS)
def test_kubernetes_knows_every_field_of_every_object(name, version):
    for kube_object in objects(read_values(name), kube_version=f"v{version}"):
        if kube_object["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(kube_object, version, strict=True)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_objects_of_one_kind_have_different_names(name):
    found = [
        (o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in rendered(name)
    ]
    assert sorted(found, key=str) == sorted(set(found), key=str)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_selector_matches_the_pods_of_its_role(name):
    pods = [template["metadata"]["labels"] for template in map(pod_template, rendered(name)) if template]
    for kube_object in of_kind(
        rendered(name), "DaemonSet", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "Service"
    ):
        spec = kube_object["spec"]
        selector = spec.get("selector") or spec.get("podSelector")
        wanted = selector.get("matchLabels", selector)
        found = [labels for labels in pods if wanted.items() <= labels.items()]
        # The two pods of `helm test` are one role.
        assert {labels["app.kubernetes.io/component"] for labels in found} == {wanted["app.kubernetes.io/component"]}
        assert len(found) == (2 if wanted["app.kubernetes.io/component"] == "doctor" else 1)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_service_monitor_finds_one_service_with_its_port(name):
    services = of_kind(rendered(name), "Service")
    for monitor in of_kind(rendered(name), "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [each for each in services if wanted <= each["metadata"]["labels"].items()]
        assert {each["port"] for each in monitor["spec"]["endpoints"]} == {p["name"] for p in service["spec"]["ports"]}


# -- The chart and the code -------------------------------------------------------------------------------------------


def test_the_schema_of_config_is_that_of_the_settings():
    assert (CHART / "values.schema.json").read_text(encoding="utf-8") == values_schema(), REGENERATE


def test_the_topics_of_the_chart_are_those_of_the_code():
    assert (CHART / "files" / "topics.yaml").read_text(encoding="utf-8") == topics_file(), REGENERATE


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_programs_load_what_the_chart_configures(name, tmp_path):
    variables = {setting.variable for setting in list_settings(Settings)}
    maps = [o["data"]["whocalls.yaml"] for o in of_kind(rendered(name), "ConfigMap") if "whocalls.yaml" in o["data"]]
    assert len(set(maps)) == 1
    file = tmp_path / "whocalls.yaml"
    file.write_text(maps[0], encoding="utf-8")
    for role, container in containers(name):
        environment = {entry["name"]: entry.get("value", "from the cluster") for entry in container.get("env", [])}
        assert {variable for variable in environment if variable.startswith("WHOCALLS_")} <= variables, role
        settings = load_settings(Settings, file=file, environment=environment)
        assert settings.kafka.bootstrap_servers == read_values(name)["config"]["kafka"]["bootstrap_servers"]


def test_a_number_above_a_million_reaches_the_program_as_an_integer(tmp_path):
    file = tmp_path / "whocalls.yaml"
    file.write_text(of_kind(rendered("everything"), "ConfigMap")[0]["data"]["whocalls.yaml"], encoding="utf-8")
    assert load_settings(Settings, file=file).agent.capture.ring_bytes == 16 * 2**20


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_file_that_a_container_is_told_of_is_mounted(name):
    for _role, container in containers(name):
        told = [e["value"] for e in container.get("env", []) if e["name"].endswith("_FILE")]
        told += [argument for argument in container["args"] if argument.startswith("/")]
        mounts = tuple(mount["mountPath"] + "/" for mount in container["volumeMounts"])
        assert all(path.startswith(mounts) for path in told), told


# -- Secrets and Kafka ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUE_SETS)
def test_no_manifest_holds_a_secret(name):
    assert of_kind(rendered(name), "Secret") == []
    for _role, container in containers(name):
        for entry in container.get("env", []):
            assert not re.search(r"(PASSWORD|SECRET|TOKEN)$", entry["name"])


def test_a_password_in_config_is_refused():
    with pytest.raises(helm_python.HelmError, match="password"):
        render(with_values("config.kafka.sasl.password", "hunter2"))


def test_each_role_mounts_its_own_kafka_secret():
    secrets = {}
    for role, pod in pod_specs(rendered("scram")):
        mounted = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        secrets[role] = secrets.get(role, set()) | mounted
    roles = {"agent", "watcher", "processor", "exporter"}
    assert secrets == {role: {f"kafka-{role}", "kafka-ca"} for role in roles} | {
        "topics": {"kafka-admin", "kafka-ca"},
        "doctor": {"kafka-processor", "kafka-ca"},
    }


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("config.kafka.security_protocol", "SASL_SSL", "has no password .set kafka.sasl.existingSecret"),
        ("topics.manage", "strimzi", "topics.strimzi.cluster is empty"),
        ("exporter.git.existingSecret", "deploy-key", "without a key .set exporter.git.tokenKey"),
        ("monitoring", {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}, "are both enabled"),
        ("kafka.tls", {"existingSecret": "x", "certificateKey": "tls.crt"}, "without kafka.tls.keyKey"),
    ],
)
def test_contradicting_values_are_refused_with_the_remedy(path, value, sentence):
    with pytest.raises(helm_python.HelmError, match=sentence):
        render(with_values(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("agnet", {}),
        ("agent.tolerationz", []),
        ("agent.metrics.prot", 1),
        ("config.kafak", {}),
        ("config.kafka.bootstrap_server", "kafka:9092"),
        ("config.agent.capture.ring_byte", 1),
        ("config.kafka.bootstrap_servers", ""),
        ("config.kafka.security_protocol", "TLS"),
        ("config.topics.partitions", 0),
        ("processor.replicas", "two"),
        ("image.pullPolicy", "Sometimes"),
        ("agent.image.digest", "latest"),
    ],
)
def test_a_typo_or_a_wrong_value_is_refused(path, value):
    with pytest.raises(helm_python.HelmError, match=path.rpartition(".")[2]):
        render(with_values(path, value))


def test_an_installation_without_a_kafka_is_refused():
    with pytest.raises(helm_python.HelmError, match="bootstrap_servers"):
        render({})


def test_strimzi_makes_the_topics_of_the_code_under_the_configured_prefix():
    topics = {o["spec"]["topicName"]: o["spec"] for o in of_kind(rendered("strimzi"), "KafkaTopic")}
    assert topics.keys() == {f"team.whocalls.{topic.name}" for topic in TOPICS}
    assert {name: spec["partitions"] for name, spec in topics.items() if spec["partitions"] != 24} == {
        f"team.whocalls.{topic.name}": topic.partitions for topic in TOPICS if topic.partitions
    }
    assert {spec["replicas"] for spec in topics.values()} == {3}


def test_acls_name_topics_that_exist_and_every_topic_has_a_writer():
    roles = yaml.safe_load((CHART / "files" / "acls.yaml").read_text(encoding="utf-8"))["roles"]
    rights = [right for role in roles.values() for right in role["topics"]]
    assert {right["name"] for right in rights} == {topic.name for topic in TOPICS}
    assert {right["name"] for right in rights if "Write" in right["operations"]} == {topic.name for topic in TOPICS}


def test_the_document_shows_the_same_acls():
    roles = yaml.safe_load((CHART / "files" / "acls.yaml").read_text(encoding="utf-8"))["roles"]
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    for role, rights in roles.items():
        for right in rights["topics"]:
            assert f"| {role} | topic `{right['name']}` | {', '.join(right['operations'])} |" in text
        for right in rights["groups"]:
            name = "`processor.group`" if right["name"] == "GROUP" else f"`{right['name']}`"
            assert f"| {role} | group {name} | {', '.join(right['operations'])} |" in text


def test_a_digest_takes_the_place_of_the_tag():
    images = {role: container["image"] for role, container in containers("mtls")}
    assert images["agent"].startswith("registry.example.org/team/whocalls-agent@sha256:")
    assert images["processor"] == "registry.example.org/team/whocalls-processor:0.1.0"
