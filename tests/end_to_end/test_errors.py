"""What a person is told when something is wrong: one sentence on stderr, nothing on stdout, the right exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.apache_kafka import free_ports
from tests.end_to_end.processes import WHOCALLS, Roles, run_whocalls
from tests.fake_api_server import FakeApiServer

OBJECTS = '{"items": [{"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a", "uid": "u"}}]}'
HOW_TO_MAKE_OBJECTS = "(make it with `kubectl get pods,services,endpointslices,replicasets,jobs,nodes -A -o json`)"
EVERY_READER_OF_KAFKA = [
    ("topics", "plan"),
    ("topics", "apply"),
    ("watcher",),
    ("processor", "--processor-listen", "127.0.0.1:0"),
    ("exporter",),
    ("exporter", "--once"),
    ("list",),
    ("export", "yaml"),
]


@pytest.fixture
def broken_objects(tmp_path):
    file = tmp_path / "objects.json"
    file.write_text("nonsense", encoding="utf-8")
    return str(file)


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture
def settings(kafka_settings, topic_settings):
    """The environment of a role on the session's broker, where no topic of ours is yet."""
    return {
        "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "WHOCALLS_KAFKA_EMBEDDED": str(kafka_settings.embedded).lower(),
        "WHOCALLS_TOPICS_PREFIX": topic_settings.prefix,
        "WHOCALLS_TOPICS_PARTITIONS": "2",
    }


@pytest.mark.parametrize("command", EVERY_READER_OF_KAFKA, ids=" ".join)
def test_unreachable_broker(command):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    told = _told(*command, code=6, WHOCALLS_KAFKA_BOOTSTRAP_SERVERS=address, WHOCALLS_KAFKA_CONNECT_SECONDS="0.5")
    assert told.startswith(f"cannot reach Kafka at '{address}' within 0.5 s: ")
    assert "Connection refused" in told


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (("processor", "--processor-listen", "127.0.0.1:0"), "dns-answers"),
        (("exporter",), "call-graph"),
        (("exporter", "--once"), "call-graph"),
        (("list",), "call-graph"),
        (("watcher", "--watcher-objects-file", "OBJECTS"), "inventory"),
        (("agent", "--source", "proc:FOLDER"), "dns-answers"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each[:2]),
)
def test_missing_topic(command, missing, settings, tmp_path):
    (tmp_path / "objects.json").write_text(OBJECTS, encoding="utf-8")
    paths = {"OBJECTS": str(tmp_path / "objects.json"), "proc:FOLDER": f"proc:{tmp_path}"}
    told = _told(*(paths.get(word, word) for word in command), code=1, **settings)
    server, prefix = settings["WHOCALLS_KAFKA_BOOTSTRAP_SERVERS"], settings["WHOCALLS_TOPICS_PREFIX"]
    assert told.startswith(f"Kafka at {server} has no topic '{prefix}{missing}'")
    assert told.endswith("(create it with `whocalls topics apply`, or set topics.create to true)")


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("role", "flag"),
    [("processor", "--processor-listen"), ("exporter", "--exporter-listen"), ("watcher", "--watcher-listen")],
)
def test_taken_port(role, flag, taken_port, settings, tmp_path):
    made = run_whocalls("topics", "apply", **settings)
    assert made.returncode == 0, made.stderr
    with FakeApiServer() as api:
        settings |= {"WHOCALLS_WATCHER_KUBECONFIG": api.write_kubeconfig(tmp_path)}
        told = _told(role, flag, taken_port, code=1, **settings)
    assert taken_port in told
    assert "in use" in told
    assert told.endswith(")"), "the sentence must end with its remedy"


@pytest.mark.kafka
def test_unreachable_kubernetes_api(settings, tmp_path):
    with FakeApiServer() as api:
        kubeconfig = api.write_kubeconfig(tmp_path)
    settings |= {"WHOCALLS_TOPICS_CREATE": "true", "WHOCALLS_WATCHER_WATCH_CONNECT_SECONDS": "0.5"}
    told = _told("watcher", "--watcher-kubeconfig", kubeconfig, code=6, **settings)
    assert told.startswith("cannot reach the Kubernetes API at http://127.0.0.1:")
    assert told.endswith("(check watcher.kubeconfig and watcher.context)")


def test_taken_port_of_the_metrics_does_not_stop_the_agent(taken_port, tmp_path):
    with Roles(tmp_path) as roles:
        roles.start("agent", "agent", "--to", "-", "--agent-metrics-listen", taken_port)
        told = roles.await_event("agent", "metrics_not_served")
        roles.await_event("agent", "agent_started")
        roles.stop("agent")
    assert taken_port in told["reason"]


@pytest.mark.parametrize("command", [("watcher", "--watcher-objects-file"), ("map", "x.pcap", "--kube")], ids=" ".join)
def test_objects_file_that_is_no_json(command, broken_objects):
    told = _told(*command, broken_objects, code=1)
    assert told == (
        f"'{broken_objects}' holds no Kubernetes object of use: JSON is malformed: invalid character (byte 4) "
        f"{HOW_TO_MAKE_OBJECTS}"
    )


def test_objects_file_that_is_not_there(tmp_path):
    told = _told("watcher", "--watcher-objects-file", str(tmp_path / "none.json"), code=1)
    assert told == f"cannot read '{tmp_path}/none.json': No such file or directory"


def test_capture_file_that_is_not_there(tmp_path):
    told = _told("agent", "--to", "-", "--source", f"pcap:{tmp_path}/none.pcap", code=1)
    assert told == f"cannot open '{tmp_path}/none.pcap': No such file or directory"


def test_capture_file_that_is_none(broken_objects):
    told = _told("agent", "--to", "-", "--source", f"pcap:{broken_objects}", code=1)
    assert told.startswith(f"'{broken_objects}' is neither pcap nor pcapng (")


def test_missing_capability():
    run = _without_net_raw("agent", "--to", "-", "--agent-sockets-enabled", "false")
    assert run.returncode == 1
    assert run.stderr == (
        "whocalls: cannot open a packet socket: permission denied (the agent needs CAP_NET_RAW, "
        "or run it with agent.capture.dns and agent.capture.syn set to false)\n"
    )


def test_configuration_file_that_is_not_there(tmp_path):
    told = _told("processor", "--config", f"{tmp_path}/none.yaml", code=2)
    assert told == f"cannot read the configuration file '{tmp_path}/none.yaml': No such file or directory"


def test_unknown_setting_in_the_configuration_file(tmp_path):
    file = tmp_path / "whocalls.yaml"
    file.write_text("kafka: {tls: {cafile: x}}", encoding="utf-8")
    told = _told("exporter", "--config", str(file), code=2)
    assert told.startswith(f"'kafka.tls' in {file}: Object contains unknown field `cafile` (")


def test_value_of_the_wrong_type_in_a_flag():
    told = _told("exporter", "--topics-partitions", "many", code=2)
    assert told.startswith("'topics.partitions' in the flags: Expected `int`, got `str`")


def test_secret_file_that_is_not_there(tmp_path):
    environment = {
        "WHOCALLS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "WHOCALLS_KAFKA_SASL_PASSWORD_FILE": f"{tmp_path}/none",
    }
    told = _told("exporter", "--once", code=2, **environment)
    assert told == f"cannot read kafka.sasl.password_file from '{tmp_path}/none': No such file or directory"


def _told(*arguments, code, **environment):
    """Run the command, see that it says one sentence and nothing else, and return the sentence."""
    run = run_whocalls(*arguments, **environment)
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("whocalls: ")
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr.removeprefix("whocalls: ").rstrip("\n")


def _without_net_raw(*arguments):
    """Run the command as root without the capability, or as whoever we are, who has none."""
    as_root = ["setpriv", "--bounding-set=-net_raw"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*as_root, sys.executable, str(WHOCALLS), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
