"""A node to benchmark agents on: two network namespaces, a sender in one, contenders in the other. Shell: needs root.

In: frames in a pcap file. Out: what a process used while they arrived. CPU is what the scheduler charged to all
threads of the process and its children, in nanoseconds (/proc/PID/task/TID/schedstat), never wall time.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

_LEAST_START_SECONDS, _START_SECONDS, _IDLE_SECONDS, _IDLE_CPU_NS = 0.8, 30, 0.4, 3_000_000


_MOST_OF_ONE_SENDER = 400_000
"""Packets a second; one sender reaches about 560,000 beside a contender, two twice as many."""


class Usage(NamedTuple):
    """What a process used so far, and its memory now and at its peak."""

    cpu_ns: int
    rss_kib: int
    peak_kib: int


class Sent(NamedTuple):
    """What the sender did."""

    packets: int
    seconds: float


class NodeBed:
    """The two namespaces."""

    def __init__(self, blast: Path) -> None:
        self._blast = blast
        self.sender, self.node = f"wcs{os.getpid()}", f"wcn{os.getpid()}"

    def __enter__(self) -> Self:
        for name in (self.sender, self.node):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "link", "add", "s0", "netns", self.sender, "type", "veth", "peer", "name", "n0", "netns", self.node)
        for name, link in ((self.sender, "s0"), (self.node, "n0")):
            # Nothing of the kernel's own: no router solicitations, no multicast reports.
            _run("ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
            _run("ip", "-n", name, "link", "set", link, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.sender, self.node):
            subprocess.run(["ip", "netns", "del", name], check=False)

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        """Start a process on the node."""
        return subprocess.Popen(["ip", "netns", "exec", self.node, *command], **options)  # type: ignore[call-overload]

    def send(self, frames: Path, *, rate: int, seconds: float) -> Sent:
        """Send frames to the node at a steady rate: from one sender, or half of it from each of two."""
        senders = 1 if rate <= _MOST_OF_ONE_SENDER else 2
        inside = ["ip", "netns", "exec", self.sender, str(self._blast), "s0", str(frames)]
        running = [
            subprocess.Popen(
                [*inside, str(rate // senders), str(seconds), str(number / senders)], stdout=subprocess.PIPE, text=True
            )
            for number in range(senders)
        ]
        told = [each.communicate()[0].split() for each in running]
        if any(each.returncode for each in running):
            raise SystemExit("blast failed")
        return Sent(sum(int(each[0]) for each in told), max(float(each[1]) for each in told))


def measure(pid: int) -> Usage:
    """Say what a process and its children used."""
    cpu = rss = peak = 0
    for member in _family(pid):
        try:
            cpu += sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{member}/task").glob("*/schedstat"))
            status = Path(f"/proc/{member}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        rss += _kib(status, "VmRSS")
        peak += _kib(status, "VmHWM")
    return Usage(cpu, rss, peak)


def stop(process: subprocess.Popen[bytes], *, number: int = signal.SIGTERM) -> bytes:
    """End a process and return what it wrote."""
    process.send_signal(number)
    try:
        output, errors = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    return (output or b"") + (errors or b"")


def wait_until_idle(pid: int) -> None:
    """Wait until a process that was just started uses next to no CPU."""
    deadline = time.monotonic() + _START_SECONDS
    time.sleep(_LEAST_START_SECONDS)
    before = 0
    while (used := measure(pid).cpu_ns) - before > _IDLE_CPU_NS:
        if time.monotonic() > deadline:
            raise SystemExit(f"process {pid} is still busy {_START_SECONDS} s after its start")
        before = used
        time.sleep(_IDLE_SECONDS)


def _family(pid: int) -> list[int]:
    members = [pid]
    for member in members:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            members += map(int, children.read_text().split())
    return members


def _kib(status: str, field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
    return int(match[1]) if match else 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
