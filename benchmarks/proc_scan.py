"""One reading for each network namespace against one for each process. Shell: needs root.

10,000 sockets in 50 namespaces with 10 processes each, on this machine's own /proc. Both ways use the same parser, so
the difference is what they ask the kernel for.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from callgraph.records import ConnectionObservation
from capture_agent.proc import Namespace, ProcReader

NAMESPACES, PROCESSES, CONNECTIONS = 50, 10, 100

Connections = Counter[tuple[str, str, int]]
"""Client, server and port of each connection."""

_POD = """
import os, socket, subprocess, sys, time
address = sys.argv[1]
for command in ("link set lo up", f"addr add {address}/32 dev lo"):
    subprocess.run(["ip", *command.split()], check=True)
server = socket.create_server((address, 8080), backlog=128)
kept = []
for _ in range(int(sys.argv[2])):
    kept.append(socket.create_connection((address, 8080)))
    kept.append(server.accept()[0])
for _ in range(int(sys.argv[3]) - 1):
    if os.fork() == 0:
        break
else:
    print("ready", flush=True)
time.sleep(600)
"""


def measure_proc_scan() -> dict[str, float]:
    """Return the CPU of both ways and their ratio; both must find the same connections."""
    with _pods() as pids:
        once, by_namespace = _cpu_seconds(lambda: _read_by_namespace(pids))
        every, by_process = _cpu_seconds(lambda: _read_by_process(pids))
    if by_namespace != by_process:
        raise SystemExit(f"the two ways differ: {len(by_namespace)} and {len(by_process)} connections")
    return {
        "connections": sum(by_namespace.values()),
        "cpu_ms": once * 1000,
        "cpu_ms_every_process": every * 1000,
        "cpu_ratio_to_every_process": every / once,
    }


def _read_by_namespace(pids: set[str]) -> Connections:
    reader = ProcReader("/proc")
    namespaces = [each for each in reader.list_namespaces() if pids.intersection(each.pids)]
    return _collect(reader.read_namespace(each, observed_at=1).observations for each in namespaces)


def _read_by_process(pids: set[str]) -> Connections:
    reader = ProcReader("/proc")
    found: Connections = Counter()
    for pid in pids:
        found |= _collect([reader.read_namespace(Namespace(0, (pid,)), observed_at=1).observations])
    return found


def _collect(readings: Iterable[list[ConnectionObservation]]) -> Connections:
    found: Connections = Counter()
    for observations in readings:
        for each in observations:
            found[each.client_address, each.server_address, each.server_port] += each.count
    return found


def _cpu_seconds(work: Callable[[], Connections]) -> tuple[float, Connections]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result


@contextmanager
def _pods() -> Iterator[set[str]]:
    """Start the pods; yield the ids of all their processes."""
    pods = []
    try:
        for number in range(NAMESPACES):
            command = ["unshare", "--net", sys.executable, "-c", _POD]
            arguments = [f"10.77.0.{number + 1}", str(CONNECTIONS), str(PROCESSES)]
            pods.append(subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, start_new_session=True))
        for pod in pods:
            assert pod.stdout
            pod.stdout.readline()
        time.sleep(0.2)
        yield {pid for pod in pods for pid in (str(pod.pid), *_children(pod.pid))}
    finally:
        for pod in pods:
            os.killpg(pod.pid, signal.SIGKILL)
            pod.wait()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


if __name__ == "__main__":
    print(measure_proc_scan())
