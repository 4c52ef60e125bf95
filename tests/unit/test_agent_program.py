"""Files in, JSON Lines out; what a running agent loads; what it gives up; what it serves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from callgraph.errors import CapabilityError, ConfigurationError, InputError, PortTakenError, UnreachableError
from callgraph.records import BatchCounters
from callgraph.settings import KafkaSettings, LogSettings, TopicSettings
from callgraph.telemetry import LeanLogger
from capture_agent.exposition import MetricsListener, expose
from capture_agent.privileges import drop_privileges
from capture_agent.program import run_agent
from capture_agent.settings import AgentSettings, CaptureSettings, SocketSettings
from capture_agent.sources import FileSource, LiveSource, parse_source
from tests.dns_messages import A, message, record
from tests.ip_packets import SYN, tcp, udp
from tests.unit.test_proc import make_process

SECOND = 1_000_000_000
NEVER_IN_AN_AGENT = ("aiohttp", "asyncio", "faust", "kubernetes", "prometheus_client", "scapy", "structlog")


def write_capture(path: Path, packets: list[bytes]) -> Path:
    """Write raw IP packets, a second apart, as a pcap file."""
    head = (0xA1B2C3D4).to_bytes(4, "little") + bytes((2, 0, 4, 0)) + bytes(8) + (65535).to_bytes(4, "little")
    body = b"".join(
        b"".join(each.to_bytes(4, "little") for each in (1_700_000_000 + number, 0, len(packet), len(packet))) + packet
        for number, packet in enumerate(packets)
    )
    path.write_bytes(head + (101).to_bytes(4, "little") + body)
    return path


def answer(client: str, number: int) -> bytes:
    raw = message("a.example", A, [record(b"\xc0\x0c", A, bytes((10, 96, 0, 1)))], number=number)
    return udp(("10.96.0.10", 53), (client, 40000 + number), raw)


def replay(folder: Path, *sources: str, **settings: object) -> list[dict[str, object]]:
    run(sources, to=str(folder / "seen"), **settings)
    return [json.loads(line) for line in (folder / "seen").read_text().splitlines()]


def run(sources: tuple[str, ...], *, kafka: KafkaSettings = KafkaSettings(), **settings: object) -> None:  # noqa: B008
    run_agent(
        cluster="prod",
        kafka=kafka,
        topics=TopicSettings(),
        agent=AgentSettings(node="node-1", **settings),
        log=LeanLogger(LogSettings(level="error")),
        sources=[parse_source(source) for source in sources],
    )


def test_a_capture_gives_each_fact_once_with_the_times_of_the_capture(tmp_path):
    capture = write_capture(tmp_path / "c.pcap", [answer("10.0.0.1", number) for number in range(3)])
    [line] = replay(tmp_path, f"pcap:{capture}")
    assert line == {
        "schema": "dns-answers.v1",
        "cluster": "prod",
        "node": "node-1",
        "observed_at": 1_700_000_000 * SECOND,
        "network_transport": "udp",
        "client_address": "10.0.0.1",
        "server_address": "10.96.0.10",
        "dns_question_name": "a.example",
        "dns_question_type": "A",
        "addresses": ["10.96.0.1"],
        "ttl_seconds": 30,
        "count": 3,
    }


def test_raw_gives_every_sighting(tmp_path):
    capture = write_capture(tmp_path / "c.pcap", [answer("10.0.0.1", number) for number in range(3)])
    lines = replay(tmp_path, f"pcap:{capture}", raw=True)
    assert [line["observed_at"] // SECOND - 1_700_000_000 for line in lines] == [0, 1, 2]


def test_a_long_capture_says_what_repeats_once_in_each_window(tmp_path):
    capture = write_capture(tmp_path / "c.pcap", [answer("10.0.0.1", number) for number in range(1000)])
    lines = replay(tmp_path, f"pcap:{capture}")
    assert sum(line.get("count", 1) for line in lines) == 1000


def test_answers_and_syns_and_sockets_come_from_one_run(tmp_path):
    syn = tcp(("10.0.0.1", 40000), ("10.96.0.1", 443), flags=SYN, sequence=0x5EED0001)
    capture = write_capture(tmp_path / "c.pcap", [answer("10.0.0.1", 1), syn])
    make_process(tmp_path / "tree", 10)
    lines = replay(tmp_path, f"pcap:{capture}", f"proc:{tmp_path / 'tree'}")
    assert [line.get("evidence", "dns") for line in lines] == ["dns", "syn", "socket"]


def test_log_lines_are_read(tmp_path):
    log = tmp_path / "dns.log"
    log.write_text('[INFO] 10.0.0.1:40000 - 7 "A IN a.example. udp 30 false 512" NOERROR qr,rd,ra 60 0.0002s\n')
    [line] = replay(tmp_path, f"coredns-log:{log}")
    assert (line["client_address"], line["dns_question_name"]) == ("10.0.0.1", "a.example")


def test_a_file_that_is_no_capture_is_one_sentence(tmp_path):
    (tmp_path / "c.pcap").write_text("no capture")
    with pytest.raises(InputError):
        replay(tmp_path, f"pcap:{tmp_path / 'c.pcap'}")


def test_a_replay_does_not_wait_for_ever_for_a_broker(tmp_path):
    capture = write_capture(tmp_path / "c.pcap", [answer("10.0.0.1", 1)])
    with pytest.raises(UnreachableError, match="cannot reach Kafka"):
        run((f"pcap:{capture}",), kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1", connect_seconds=0.2))


def test_files_and_the_node_are_not_read_together(tmp_path):
    with pytest.raises(ConfigurationError, match="together"):
        run(("live", f"pcap:{tmp_path}"))


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot write to"):
        run(("live",), to=str(tmp_path / "absent" / "file"))


@pytest.mark.parametrize("text", ["", "pcap", "pcap:", "ebpf:x", "live:x"])
def test_an_unknown_source_is_refused_with_those_that_exist(text):
    with pytest.raises(ConfigurationError, match="pcap:PATH"):
        parse_source(text)


def test_sources_are_read_from_their_spelling():
    assert parse_source("live") == LiveSource()
    assert parse_source("pcap:a:b.pcap") == FileSource("pcap", "a:b.pcap")


def test_a_running_agent_never_loads_what_it_does_not_need(tmp_path):
    """Memory of every node: 16 MB for scapy's reader, 9 for asyncio, and so on."""
    loaded = run_python(
        "import json, os, signal, sys, threading\n"
        "import whocalls.command\n"
        "from capture_agent.live import LiveAgent\n"
        "turn = LiveAgent._turn\n"
        "def stop(self, *rest):\n turn(self, *rest); self.stop()\n"
        "LiveAgent._turn = stop\n"
        "from capture_agent.publisher import KafkaPublisher\n"
        "from callgraph.settings import KafkaSettings, LogSettings, TopicSettings\n"
        "from callgraph.telemetry import LeanLogger\n"
        "log = LeanLogger(LogSettings(level='error'))\n"
        "KafkaPublisher(KafkaSettings(bootstrap_servers='127.0.0.1:1'), TopicSettings(), log).poll()\n"
        "no_packets = ['--agent-capture-dns=false', '--agent-capture-syn=false']\n"
        "sys.argv = ['whocalls', 'agent', '--to', sys.argv[1], *no_packets]\n"
        "try:\n whocalls.command.main()\n"
        "except SystemExit as end:\n assert not end.code, end.code\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n",
        str(tmp_path / "seen"),
    )
    found = set(json.loads(loaded))
    assert "capture_agent" in found
    assert found.isdisjoint(NEVER_IN_AN_AGENT)


def test_the_producer_comes_without_its_package():
    told = run_python(
        "import sys\n"
        "from capture_agent.publisher import import_producer_module\n"
        "module = import_producer_module()\n"
        "print('asyncio' in sys.modules, 'confluent_kafka' in sys.modules)\n"
        "import confluent_kafka\n"
        "print(confluent_kafka.Producer is module.Producer)\n"
    )
    assert told.split() == ["False", "False", "True"]


def test_the_producer_comes_with_its_package_where_it_must():
    told = run_python(
        "import importlib, sys\n"
        "from capture_agent import publisher\n"
        "real = importlib.import_module\n"
        "def refuse(name):\n"
        " if name.endswith('.cimpl'): raise ImportError(name)\n"
        " return real(name)\n"
        "importlib.import_module = refuse\n"
        "print(publisher.import_producer_module().__name__)\n"
    )
    assert told.split() == ["confluent_kafka"]


@pytest.mark.root
@pytest.mark.parametrize(("user", "uid"), [("", 0), ("65532", 65532), ("nobody", 65534)])
def test_no_capability_is_left_and_none_can_be_got_back(user, uid):
    if os.geteuid() != 0:
        pytest.skip("needs root to have capabilities to give up")
    status = run_python(
        "import os, sys\n"
        "from capture_agent.privileges import drop_privileges\n"
        "drop_privileges(sys.argv[1])\n"
        "print(os.getuid())\n"
        "print(open('/proc/self/status').read())\n",
        user,
    )
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert status.splitlines()[0] == str(uid)
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert fields["NoNewPrivs"] == "1"


@pytest.mark.root
def test_what_socket_diagnosis_needs_is_kept_where_it_is_asked_for():
    if os.geteuid() != 0:
        pytest.skip("needs root to have capabilities to keep")
    status = run_python(
        "from capture_agent.privileges import FOR_DIAGNOSIS, drop_privileges\n"
        "drop_privileges('65532', keep=FOR_DIAGNOSIS)\n"
        "print(open('/proc/self/status').read())\n"
    )
    assert f"CapEff:\t{1 << 19 | 1 << 21:016x}" in status


def test_an_unknown_user_is_one_sentence():
    with pytest.raises(ConfigurationError, match="there is no user 'nobody-at-all'"):
        drop_privileges("nobody-at-all")


@pytest.mark.root
def test_without_capabilities_sockets_are_read_and_the_rest_is_said_once():
    if os.geteuid() != 0:
        pytest.skip("needs root to become nobody")
    ended = run_without_capabilities(AgentSettings())
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    [refused] = [line for line in lines if line["event"] == "packets_not_captured"]
    assert "the agent needs CAP_NET_RAW" in refused["reason"]
    assert ended.returncode == 0


@pytest.mark.root
def test_an_agent_that_can_do_nothing_ends():
    if os.geteuid() != 0:
        pytest.skip("needs root to become nobody")
    ended = run_without_capabilities(AgentSettings(sockets=SocketSettings(enabled=False)))
    assert CapabilityError.__name__ in ended.stderr
    assert "cannot open a packet socket: permission denied" in ended.stderr


def test_an_agent_without_any_source_is_told_so():
    with pytest.raises(ConfigurationError, match="nothing to observe"):
        run(("live",), to="-", capture=CaptureSettings(dns=False, syn=False), sockets=SocketSettings(enabled=False))


def test_counters_are_served_as_prometheus_text():
    totals = {
        "dns": BatchCounters(received=9, published=4, suppressed=3, dropped={"malformed_pointer": 2}, kernel_dropped=7)
    }
    text = expose(totals)
    assert 'whocalls_agent_received_total{source="dns"} 9' in text.splitlines()
    assert 'whocalls_agent_dropped_total{source="dns",reason="malformed_pointer"} 2' in text.splitlines()
    assert "whocalls_agent_kernel_dropped_total 7" in text.splitlines()
    assert "# TYPE whocalls_agent_published_total counter" in text.splitlines()


def test_a_scraper_gets_its_answer():
    listener = MetricsListener("127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", listener.port)) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        listener.answer("whocalls 1\n")
        answered = b"".join(iter(lambda: scraper.recv(4096), b""))
    listener.close()
    assert answered.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answered.endswith(b"\r\n\r\nwhocalls 1\n")


def test_nobody_at_the_door_is_no_error():
    listener = MetricsListener("127.0.0.1:0")
    listener.answer("")
    listener.close()


def test_a_taken_port_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTakenError, match="cannot listen on"):
        MetricsListener(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("where", ["9464", "localhost", "localhost:http"])
def test_a_place_to_listen_that_is_none_is_one_sentence(where):
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        MetricsListener(where)


def run_python(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True).stdout


def run_without_capabilities(settings: AgentSettings) -> subprocess.CompletedProcess[str]:
    """Run an agent for one turn as nobody."""
    code = (
        "import sys\n"
        "import msgspec\n"
        "from callgraph.settings import KafkaSettings, LogSettings, TopicSettings\n"
        "from callgraph.telemetry import LeanLogger\n"
        "from capture_agent.live import LiveAgent\n"
        "from capture_agent.privileges import drop_privileges\n"
        "from capture_agent.program import run_agent\n"
        "from capture_agent.settings import AgentSettings\n"
        "drop_privileges('65534')\n"
        "turn = LiveAgent._turn\n"
        "def stop(self, *rest):\n turn(self, *rest); self.stop()\n"
        "LiveAgent._turn = stop\n"
        "agent = msgspec.convert(msgspec.json.decode(sys.argv[1]), AgentSettings)\n"
        "log = LeanLogger(LogSettings())\n"
        "run_agent(cluster='c', kafka=KafkaSettings(), topics=TopicSettings(), agent=agent, log=log)\n"
    )
    written = msgspec.json.encode(msgspec.structs.replace(settings, to="-")).decode()
    return subprocess.run([sys.executable, "-c", code, written], check=False, capture_output=True, text=True, cwd="/")
