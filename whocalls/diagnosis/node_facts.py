"""What a process with the agent's rights finds on its node. Shell: /proc, a packet socket, the resolver.

Run where the agent runs: kubectl exec daemonset/whocalls-agent -- whocalls doctor agent. It opens a ring of its own
beside the running agent's, which every packet socket gets a copy for.
"""

from __future__ import annotations

import os
import re
import select
import socket
import threading
import time
from pathlib import Path

from callgraph.errors import CapabilityError
from capture_agent.live import open_ring
from capture_agent.proc import ProcReader
from capture_agent.ring import Ring
from capture_agent.ring_layout import BLOCK_HEADER
from capture_agent.settings import AgentSettings, CaptureSettings
from whocalls.diagnosis.node import NodeFacts

_DOT_PORT = 853
_ASK_AGAIN_SECONDS = 1.0


def gather_node(agent: AgentSettings, *, name: str, seconds: float) -> NodeFacts:
    """Look around; wait up to `seconds` for a DNS answer, while `name` is asked for."""
    root = agent.sockets.proc_root
    ring, trouble = _open(agent.capture)
    watch = _await_answer(ring, name, seconds) if ring else (0, 0.0, "")
    reader = ProcReader(root)
    processes, trouble_with_proc = _count_processes(root)
    found = reader.list_namespaces() if agent.sockets.enabled else []
    return NodeFacts(
        uid=os.geteuid(),
        capabilities=_capabilities(),
        ring=trouble,
        shares_host_network=_shares_network(root),
        namespaces=len(found),
        proc=trouble_with_proc if agent.sockets.enabled else "",
        processes=processes,
        unreadable=reader.gone,
        answers=watch[0],
        waited_seconds=watch[1],
        asked_name=name,
        asked_trouble=watch[2],
        interfaces=_interfaces(root),
        encrypted_dns=sum(
            observation.count
            for namespace in found
            for observation in reader.read_namespace(namespace, observed_at=time.time_ns()).observations
            if observation.server_port == _DOT_PORT
        ),
    )


def _open(capture: CaptureSettings) -> tuple[Ring | None, str]:
    """Open a ring for DNS answers alone: SYNs would be counted as answers."""
    wanted = CaptureSettings(dns=capture.dns, syn=False, resolver_ports=capture.resolver_ports)
    try:
        return open_ring(wanted), ""
    except CapabilityError as error:
        return None, str(error)


def _await_answer(ring: Ring, name: str, seconds: float) -> tuple[int, float, str]:
    """Return how many answers came, how long that took, and why the name did not resolve."""
    trouble = [""]
    poller = select.poll()
    poller.register(ring, select.POLLIN)
    began = time.monotonic()
    answers, asked_at = 0, 0.0
    while not answers and (passed := time.monotonic() - began) < seconds:
        if not asked_at or time.monotonic() - asked_at > _ASK_AGAIN_SECONDS:
            threading.Thread(target=_ask, args=(name, trouble), daemon=True).start()
            asked_at = time.monotonic()
        poller.poll(min(500, (seconds - passed) * 1000))
        answers = sum(BLOCK_HEADER.unpack_from(ring.memory, start)[1] for start in ring.ready_blocks())
    ring.close()
    return answers, time.monotonic() - began, trouble[0]


def _ask(name: str, trouble: list[str]) -> None:
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        trouble[0] = error.strerror or str(error)


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return int(found[1], 16) if found else 0


def _shares_network(root: str) -> bool | None:
    """Compare our network namespace with that of the node's first process, by the inode that needs no privilege."""
    try:
        return Path(root, "1/net/tcp").stat().st_ino == Path("/proc/self/net/tcp").stat().st_ino
    except OSError:
        return None


def _count_processes(root: str) -> tuple[int, str]:
    """Return how many processes a /proc shows, and why it cannot be listed."""
    try:
        return sum(name.isdecimal() for name in os.listdir(root)), ""  # noqa: PTH208  (names, not paths)
    except OSError as error:
        return 0, error.strerror or str(error)


def _interfaces(root: str) -> tuple[str, ...]:
    """List the interfaces of the node's first process, else our own."""
    for path in (Path(root, "1/net/dev"), Path("/proc/self/net/dev")):
        try:
            lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            continue
        return tuple(line.partition(":")[0].strip() for line in lines if ":" in line)
    return ()
