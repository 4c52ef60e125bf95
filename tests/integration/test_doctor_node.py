"""`whocalls doctor agent`: each check is broken for a real process: its capabilities, its network, its /proc."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests.dns_messages import A, message, record
from tests.doctor_runs import Diagnosis, diagnose

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for packet sockets and namespaces"),
]

PORT = 53536
ANSWER = message("doctor.example", A, [record(b"\xc0\x0c", A, bytes(4))])
QUIET = (f"--agent-capture-resolver-ports={PORT}", "--wait=1", "--name=localhost")
NEW_NETWORK = ("unshare", "--net")
NEW_NODE = ("unshare", "--net", "--pid", "--fork", "--mount-proc")


@contextmanager
def answers():
    """Send a DNS answer now and then, as a resolver on the port would."""
    ended = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", PORT))
            while not ended.wait(0.05):
                sender.sendto(ANSWER, ("127.0.0.1", 9))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def diagnose_under(*wrapper: str, flags=QUIET) -> Diagnosis:
    """Run the doctor in a process that the wrapper has changed."""
    command = [*wrapper, sys.executable, "-m", "whocalls", "doctor", "agent", "-o", "json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    return Diagnosis(done.returncode, json.loads(done.stdout))


def test_a_node_where_all_is_seen_is_found_well():
    with answers():
        done = diagnose("agent", f"--agent-capture-resolver-ports={PORT}", "--wait=30", "--name=localhost")
    assert done.bad() == []
    assert done.states("agent.answers") == {"ok"}
    assert done.code == 0


def test_a_process_without_net_raw_is_told_which_security_context_it_needs():
    done = diagnose_under("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    assert done.failed("agent.capability")["message"] == "uid 0 has no NET_RAW"
    assert "add: [NET_RAW]" in done.failed("agent.capability")["fix"]
    assert "permission denied" in done.failed("agent.ring")["message"]
    assert "CAP_NET_RAW" in done.failed("agent.ring")["fix"]
    assert done.code == 5


def test_a_ring_that_the_kernel_has_no_memory_for_is_named():
    done = diagnose("agent", *QUIET, f"--agent-capture-ring-bytes={2**30}")
    if done.states("agent.ring") == {"ok"}:  # a kernel that has a GiB to spare
        assert done.of("agent.ring")[0]["message"] == "a packet ring opens"
    else:
        assert "packet ring" in done.failed("agent.ring")["message"]


def test_a_process_in_a_network_of_its_own_is_told_to_share_the_nodes():
    done = diagnose_under(*NEW_NETWORK)
    assert "its own packets only" in done.failed("agent.hostnetwork")["message"]
    assert "hostNetwork: true" in done.failed("agent.hostnetwork")["fix"]
    assert done.code == 5


def test_no_answer_though_a_name_resolves_points_at_the_ports_of_the_resolvers():
    done = diagnose("agent", *QUIET)
    assert "saw no DNS answer within 1 s" in done.failed("agent.answers")["message"]
    assert f"agent.capture.resolver_ports, now {PORT}" in done.failed("agent.answers")["fix"]
    assert done.code == 5


def test_no_answer_because_the_name_does_not_resolve_is_a_warning():
    done = diagnose("agent", f"--agent-capture-resolver-ports={PORT}", "--wait=1", "--name=no-such-name.invalid")
    assert "--name" in done.warned("agent.answers")["fix"]
    assert done.code == 0


def test_a_proc_that_is_not_mounted_is_named(tmp_path):
    done = diagnose("agent", *QUIET, f"--agent-sockets-proc-root={tmp_path}/hostproc")
    assert done.failed("agent.proc")["message"] == f"{tmp_path}/hostproc cannot be read: No such file or directory"
    assert "read-only" in done.failed("agent.proc")["fix"]
    assert done.states("agent.hostnetwork") == {"skip"}


def test_an_empty_proc_is_named(tmp_path):
    done = diagnose("agent", *QUIET, f"--agent-sockets-proc-root={tmp_path}")
    assert "shows no process" in done.failed("agent.proc")["message"]


def test_a_proc_that_hides_processes_is_warned_of(tmp_path):
    """Under hidepid=1 their folders are listed, and nothing in them can be read."""
    for pid in ("1", "2", "3"):
        (tmp_path / pid).mkdir()
    (tmp_path / "1" / "net").mkdir()
    (tmp_path / "1" / "net" / "tcp").write_bytes(b"")
    done = diagnose("agent", *QUIET, f"--agent-sockets-proc-root={tmp_path}")
    assert done.warned("agent.proc")["fix"] == "mount the host's /proc without hidepid"


@pytest.mark.parametrize(
    ("interface", "check", "told"),
    [
        ("nodelocaldns", "agent.nodelocaldns", "NodeLocal DNSCache"),
        ("cilium_host", "agent.dnsproxy", "its proxy answers pods"),
    ],
)
def test_what_answers_on_the_node_itself_is_warned_of(interface, check, told):
    script = f'ip link set dev lo name {interface} && exec "$@"'
    done = diagnose_under(*NEW_NODE, "sh", "-c", script, "sh")
    assert told in done.warned(check)["message"]


TALKS_TLS = """
import socket, sys
from whocalls.command import main
resolver = socket.create_server(("198.51.100.1", 853))
client = socket.create_connection(resolver.getsockname())
sys.argv[0] = "whocalls"
main()
"""


def test_connections_to_a_resolver_over_tls_are_warned_of():
    script = (
        f"ip link set lo up && ip address add 198.51.100.1/24 dev lo && exec {sys.executable} -c '{TALKS_TLS}' \"$@\""
    )
    command = [*NEW_NODE, "sh", "-c", script, "sh", "doctor", "agent", "-o", "json", *QUIET]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    told = Diagnosis(done.returncode, json.loads(done.stdout)).warned("agent.encrypteddns")
    assert "port 853: answers over TLS are not seen" in told["message"]
    assert "plain DNS" in told["fix"]


def test_what_is_switched_off_is_skipped():
    done = diagnose("agent", "--agent-capture-dns=false", "--agent-capture-syn=false", "--agent-sockets-enabled=false")
    skipped = {finding["check"] for finding in done.findings if finding["status"] == "skip"}
    assert skipped == {"agent.capability", "agent.ring", "agent.proc"}
    assert done.code == 0
