"""The shop's traffic through the real programs, as processes: on the embedded broker (the demo) and on a real Kafka."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from callgraph.clients import producer_config
from callgraph.settings import TopicSettings
from callgraph.topics import TOPICS, full_name
from whocalls.drained import await_drained
from whocalls.shop import REUSED_ADDRESS, START
from whocalls.shop_traffic import write_shop_input
from whocalls.supervisor import Supervisor

GOLDEN = Path(__file__).parents[1] / "golden" / "demo.txt"
PATIENCE = 60.0


def whocalls(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whocalls", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_the_demo_prints_the_graph_alone_on_stdout_and_leaves_the_yaml(tmp_path):
    result = whocalls("demo", "--out", str(tmp_path / "out"))
    assert result.stderr.count("\n") >= 5, result.stderr
    assert result.stdout == GOLDEN.read_text()
    assert "name: redis-cart" in (tmp_path / "out" / "namespaces" / "otterize-ecom-demo.yaml").read_text()


def test_the_offline_map_prints_the_same_graph(tmp_path):
    shop = write_shop_input(tmp_path)
    sockets = [f"--sockets={tree}" for tree in shop.proc_trees.values()]
    result = whocalls("map", *map(str, shop.captures.values()), "--kube", str(shop.objects), *sockets)
    assert result.stdout == GOLDEN.read_text()


def stranger_capture(path: Path) -> Path:
    """A lookup from a pod address that nobody had."""
    name = "cartservice.otterize-ecom-demo.svc.cluster.local"
    answer = DNS(id=1, qr=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, ttl=5, rdata="10.96.12.12"))
    packet = Ether() / IP(src="10.96.0.10", dst="10.244.1.77") / UDP(sport=53, dport=4000) / answer
    packet.time = START.timestamp() + 20
    wrpcap(str(path), [packet])
    return path


@pytest.fixture(scope="module")
def finished_line(kafka, tmp_path_factory):
    """The shop, a stranger and a poisoned record, through the whole line on the session's broker."""
    folder = tmp_path_factory.mktemp("shop-line")
    shop = write_shop_input(folder / "input")
    topics = TopicSettings(prefix="shop-line.", partitions=2)
    environment = {
        "WHOCALLS_CLUSTER": "shop",
        "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_settings.bootstrap_servers,
        "WHOCALLS_KAFKA_EMBEDDED": str(kafka.kafka_settings.embedded).lower(),
        "WHOCALLS_TOPICS_PREFIX": topics.prefix,
        "WHOCALLS_TOPICS_PARTITIONS": "2",
        "WHOCALLS_PROCESSOR_LISTEN": "127.0.0.1:0",
        "WHOCALLS_PROCESSOR_LAST_SEEN_SECONDS": "0",
        "WHOCALLS_PROCESSOR_GROUP": "shop-line",
    }
    with Supervisor(folder, environment) as supervisor:
        supervisor.finish(supervisor.start("topics", "topics", "apply"), seconds=PATIENCE)
        poison(kafka, full_name("dns-answers", topics))
        supervisor.start("processor", "processor")
        watcher = supervisor.start("watcher", "watcher", f"--watcher-objects-file={shop.objects}")
        supervisor.finish(watcher, seconds=PATIENCE)
        captures = {**shop.captures, "node-3": stranger_capture(folder / "stranger.pcap")}
        for node, capture in captures.items():
            tree = [f"--source=proc:{shop.proc_trees[node]}"] if node in shop.proc_trees else []
            agent = supervisor.start(
                f"agent-{node}", "agent", f"--agent-node={node}", f"--source=pcap:{capture}", *tree
            )
            supervisor.finish(agent, seconds=PATIENCE)
        await_drained(kafka.kafka_settings, topics, group="shop-line", seconds=PATIENCE, check=supervisor.check)
        exporter = supervisor.start("exporter", "exporter", "--once", f"--exporter-out={folder / 'out'}")
        supervisor.finish(exporter, seconds=PATIENCE)
        yield folder, topics, environment


def poison(kafka, topic: str) -> None:
    producer = Producer(producer_config(kafka.kafka_settings, client_id="poisoner"))
    producer.produce(topic, key=b"poison", value=b'{"schema":"dns-answers.v1","cluster":')
    assert producer.flush(30) == 0


def test_real_kafka_gives_the_same_graph_with_a_poisoned_record_among_the_batches(finished_line):
    folder, _, _ = finished_line
    assert (folder / "out" / "callgraph.txt").read_text() == GOLDEN.read_text()


def test_the_reading_command_prints_it_from_the_topic(finished_line):
    _, _, environment = finished_line
    assert whocalls("list", env=environment).stdout == GOLDEN.read_text()


def test_a_reused_address_gives_the_old_call_to_the_old_pod_only(finished_line):
    folder, _, _ = finished_line
    text = (folder / "out" / "namespaces" / "otterize-ecom-demo.yaml").read_text()
    checkout = text[text.index("name: checkoutservice") : text.index("name: frontend")]
    assert REUSED_ADDRESS == "10.244.1.50"
    assert "loadgenerator" not in checkout
    assert "- name: frontend" not in checkout


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_kcat_reads_json_with_its_schema_from_every_topic(finished_line, kafka, topic):
    _, topics, _ = finished_line
    if shutil.which("kcat") is None:
        pytest.skip("needs kcat (apt-get install kcat)")
    described = next(known for known in TOPICS if known.name == topic)
    servers = kafka.kafka_settings.bootstrap_servers
    command = ["kcat", "-b", servers, "-C", "-e", "-q", "-t", full_name(topic, topics), "-f", "%h\t%s\n"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert lines
    for line in lines:
        headers, _, value = line.partition("\t")
        if headers == "" and topic == "dns-answers":  # the poison
            continue
        record = json.loads(value)
        assert record["schema"] == described.value.__struct_config__.tag
        assert headers == f"schema={record['schema']}"


def test_the_poisoned_record_is_a_dead_letter_with_its_origin(finished_line, kafka):
    _, topics, _ = finished_line
    if shutil.which("kcat") is None:
        pytest.skip("needs kcat (apt-get install kcat)")
    servers = kafka.kafka_settings.bootstrap_servers
    command = ["kcat", "-b", servers, "-C", "-e", "-q", "-t", full_name("dead-letters", topics), "-f", "%s\n"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    letters = [json.loads(line) for line in lines]
    assert [letter["reason"] for letter in letters] == ["malformed"]
    assert letters[0]["topic"] == full_name("dns-answers", topics)
