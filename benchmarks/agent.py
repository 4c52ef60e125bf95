"""The agent against its peers on one node: CPU per packet, memory, loss, and the highest rate without loss.

`python -m benchmarks.agent [--rounds 3] [--seconds 5] [--quick] [--only NAME,NAME]`; needs root, cc, tcpdump, and Go
with libpcap's headers for the gopacket peer. Contenders are interleaved in shuffled order; figures are medians over the
rounds; CPU is user + system of the process tree.

A run is one load for some seconds, and it begins cold: each contender is started anew, and what it does with the
first packet, the first name and the first batch is in its figure. Batches are flushed each second, five times as often
as by default, and a run is measured when the last of them is out, so that nothing which a run causes is left out of it.
`known_…` are figures of the same frames once more, to a process that has seen them all.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.dns_traffic import write_traffic
from benchmarks.node_bed import NodeBed, Sent, measure, stop, wait_until_idle
from benchmarks.proc_scan import measure_proc_scan
from benchmarks.report import Row, report
from capture_agent.filters import dns_expression

BUILD = Path("build/bench")
FRAMES = 100_000
KINDS = ("mixed", "answers")
CAPTURE, LINES = "whocalls_capture", "whocalls_lines"
COMPARED_ALONE = (CAPTURE, LINES)
"""All others are also measured at other rates, and up to their loss-free one."""
COMPARED_RATE = 10_000
OTHER_RATES = (1_000, 100_000)
OTHER_SECONDS = 2.0
KNOWN_SECONDS = 3.0
LOSS_FREE_STEPS = tuple(round(10 ** (step / 10), -2) for step in range(40, 62))
"""Packets a second: ten steps to a tenfold rate, 10,000 to 1,258,900."""
LOSS_FREE_TRIES = 2
LOSS_FREE_SECONDS = 2.0
_CAPTURED_SECONDS, _PUBLISHED_SECONDS = 0.7, 1.8
"""After the last packet: a block of the ring that is not full is handed over after 0.5 s, a batch after 1 s."""

_AGENT = (sys.executable, "-m", "whocalls", "agent", "--agent-node=bench")
_CAPTURE_ALONE = (sys.executable, "-m", "benchmarks.capture_alone")
_NO_SOCKETS = "--agent-sockets-enabled=false"
_FLUSH_AT_ONCE = "--agent-publish-flush-seconds=1"


class Contender(NamedTuple):
    """A program that reads the node's DNS."""

    name: str
    command: tuple[str, ...]
    dropped: str
    """Finds the kernel's drops in what the program writes at its end."""
    is_compared: bool = False
    """Its ratios are claimed: it takes part in every round, and its loss-free rate is looked for in smaller steps."""
    settle_seconds: float = _CAPTURED_SECONDS


class Load(NamedTuple):
    """What is sent to a contender."""

    kind: str
    rate: int
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.rate // 1000}k"


class Run(NamedTuple):
    """One contender under one load."""

    us_per_packet: float
    known_us_per_packet: float | None
    """The same once more, for the agent under the rate that is compared."""
    rss_mb: float
    loss: float


Runs = dict[tuple[str, str], list[Run]]
"""By contender and load."""


def main() -> None:
    arguments = _parse_arguments()
    traffic = build_all()
    with NodeBed(BUILD / "blast") as bed, _broker(bed) as port:
        contenders = list_contenders(port)
        if arguments.only:
            contenders = [each for each in contenders if each.name in arguments.only.split(",")]
        runs = _run_all(bed, contenders, traffic, arguments)
        figures = {contender.name: _figures(contender.name, runs) for contender in contenders}
        if not arguments.quick:
            for contender in contenders:
                if contender.name not in COMPARED_ALONE:
                    for kind, frames in traffic.items():
                        figures[contender.name][f"loss_free_pps_{kind}"] = find_loss_free(bed, contender, frames)
            idle = next(each for each in list_contenders(port, flushes_at_once=False) if each.name == "whocalls")
            figures["whocalls"]["idle_cpu_percent"] = measure_idle(bed, idle)
    _add_ratios(figures)
    if not arguments.quick:
        figures["proc_scan"] = measure_proc_scan()
    report("agent", figures, packages=("confluent-kafka", "msgspec"))


def _run_all(
    bed: NodeBed, contenders: list[Contender], traffic: dict[str, Path], arguments: argparse.Namespace
) -> Runs:
    """Measure everything under the rate that is compared, in rounds; and once under the others."""
    runs: Runs = defaultdict(list)
    plan = [
        (Load(kind, COMPARED_RATE, arguments.seconds), [each for each in contenders if each.is_compared or number == 0])
        for number in range(arguments.rounds)
        for kind in KINDS
    ]
    if not arguments.quick:
        whole = [each for each in contenders if each.name not in COMPARED_ALONE]
        plan += [(Load(kind, rate, OTHER_SECONDS), whole) for kind in KINDS for rate in OTHER_RATES]
    for load, taking_part in plan:
        for contender in random.sample(taking_part, len(taking_part)):
            run = run_once(bed, contender, load, traffic[load.kind])
            runs[contender.name, load.name].append(run)
            print(contender.name, load.name, run, file=sys.stderr)
    return runs


def list_contenders(kafka_port: int, *, flushes_at_once: bool = True) -> list[Contender]:
    """Name the programs that are compared."""
    ours = r'"kernel_dropped":(\d+)'
    agent = (*_AGENT, _FLUSH_AT_ONCE) if flushes_at_once else _AGENT
    kafka = (f"--kafka-bootstrap-servers=127.0.0.1:{kafka_port}", "--topics-create=true", "--kafka-embedded=true")
    tcpdump = r"(\d+) packets? dropped by kernel"
    return [
        Contender("whocalls", (*agent, *kafka), ours, is_compared=True, settle_seconds=_PUBLISHED_SECONDS),
        Contender(CAPTURE, _CAPTURE_ALONE, ours, is_compared=True, settle_seconds=_PUBLISHED_SECONDS),
        Contender(
            LINES,
            (*agent, _NO_SOCKETS, "--to", "/dev/null"),
            ours,
            is_compared=True,
            settle_seconds=_PUBLISHED_SECONDS,
        ),
        Contender("gopacket", (str(BUILD / "gopacket-peer"),), r'"dropped":(\d+)', is_compared=True),
        Contender("tcpdump_text", ("tcpdump", "-Z", "root", "-n", "-l", "-i", "any", "udp port 53"), tcpdump),
        Contender(
            "tcpdump_floor", ("tcpdump", "-Z", "root", "-n", "-i", "any", "-w", "/dev/null", dns_expression()), tcpdump
        ),
    ]


def run_once(bed: NodeBed, contender: Contender, load: Load, frames: Path) -> Run:
    """Measure one contender under one load, from a cold start."""
    process = _start(bed, contender)
    usage, sent = [measure(process.pid)], []
    is_known_of_interest = contender.name == CAPTURE and load.rate == COMPARED_RATE
    for seconds in (load.seconds, KNOWN_SECONDS) if is_known_of_interest else (load.seconds,):
        sent.append(bed.send(frames, rate=load.rate, seconds=seconds))
        time.sleep(contender.settle_seconds)
        usage.append(measure(process.pid))
    dropped = _drops(contender, stop(process))
    costs = [(after.cpu_ns - before.cpu_ns) / 1000 for before, after in itertools.pairwise(usage)]
    return Run(
        us_per_packet=costs[0] / sent[0].packets,
        known_us_per_packet=costs[1] / sent[1].packets if is_known_of_interest else None,
        rss_mb=usage[-1].peak_kib / 1024,
        loss=dropped / sum(each.packets for each in sent),
    )


def find_loss_free(bed: NodeBed, contender: Contender, frames: Path) -> float:
    """Return the highest rate at which the kernel dropped nothing, between two steps, beginning with everything new.

    A step has two tries: on a machine with other work a pause of somebody else's is no loss of the contender's.
    """
    steps = LOSS_FREE_STEPS if contender.is_compared else LOSS_FREE_STEPS[1::3]
    best, low, high = 0.0, 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        rate = int(steps[middle])
        tries = (_send_without_loss(bed, contender, frames, rate) for _ in range(LOSS_FREE_TRIES))
        sent = next(filter(None, tries), None)
        print(contender.name, frames.stem, rate, sent or "lost some", file=sys.stderr)
        if sent is None:
            high = middle
        else:
            # The sender may be at its own limit: what it did counts, not what it was asked for.
            best, low = max(best, sent.packets / sent.seconds), middle + 1
    return best


def _send_without_loss(bed: NodeBed, contender: Contender, frames: Path, rate: int) -> Sent | None:
    """Send for a while; None where the kernel dropped any of it."""
    process = _start(bed, contender)
    sent = bed.send(frames, rate=rate, seconds=LOSS_FREE_SECONDS)
    time.sleep(_CAPTURED_SECONDS)
    return None if _drops(contender, stop(process)) else sent


def measure_idle(bed: NodeBed, contender: Contender, *, seconds: float = 15) -> float:
    """Return the CPU of a contender to which nothing comes, in percent of a core."""
    process = _start(bed, contender)
    time.sleep(3)
    before = measure(process.pid)
    time.sleep(seconds)
    used = measure(process.pid).cpu_ns - before.cpu_ns
    stop(process)
    return used / seconds / 1e7


def build_all() -> dict[str, Path]:
    """Build the sender, the peer and the traffic."""
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", str(BUILD / "blast"), "benchmarks/blast.c"], check=True)
    peer = (BUILD / "gopacket-peer").resolve()
    subprocess.run(["go", "build", "-o", str(peer), "."], cwd="benchmarks/peers/gopacket", check=True)
    traffic = {}
    for kind in KINDS:
        traffic[kind] = BUILD / f"{kind}.pcap"
        write_traffic(traffic[kind], kind=kind, frames=FRAMES)
    return traffic


@contextmanager
def _broker(bed: NodeBed) -> Iterator[int]:
    """Run the embedded broker on the node; its CPU is nobody's."""
    code = (
        "from whocalls.embedded_broker import EmbeddedBroker\nimport sys\n"
        "with EmbeddedBroker() as broker:\n print(broker.port, flush=True)\n sys.stdin.read()\n"
    )
    process = bed.start([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)


def _start(bed: NodeBed, contender: Contender) -> subprocess.Popen[bytes]:
    """Start a contender, and wait until it does nothing more: its start is no part of a run."""
    process = bed.start(contender.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until_idle(process.pid)
    return process


def _drops(contender: Contender, output: bytes) -> int:
    found = re.findall(contender.dropped, output.decode(errors="replace"))
    if not found:
        raise SystemExit(f"{contender.name} did not say what was dropped: {output[-500:]!r}")
    return int(found[-1])


def _figures(name: str, runs: Runs) -> Row:
    figures: Row = {}
    for (contender, load), measured in runs.items():
        if contender != name:
            continue
        figures[f"us_per_packet_{load}"] = [run.us_per_packet for run in measured]
        known = [run.known_us_per_packet for run in measured if run.known_us_per_packet is not None]
        if known:
            figures[f"known_us_per_packet_{load}"] = known
        figures[f"loss_{load}"] = [run.loss for run in measured]
        figures[f"rss_mb_{load}"] = [run.rss_mb for run in measured]
    return figures


def _add_ratios(figures: dict[str, Row]) -> None:
    peer, whole, capture = figures.get("gopacket"), figures.get("whocalls"), figures.get(CAPTURE)
    if not peer or not whole or not capture:
        return
    for kind in KINDS:
        cost = f"us_per_packet_{kind}_10k"
        whole[f"cpu_ratio_to_gopacket_{kind}_10k"] = _ratios(capture[cost], peer[cost])
        whole[f"known_cpu_ratio_to_gopacket_{kind}_10k"] = _ratios(capture[f"known_{cost}"], peer[cost])
        whole[f"whole_agent_cpu_ratio_to_gopacket_{kind}_10k"] = _ratios(whole[cost], peer[cost])
        if LINES in figures:
            whole[f"lines_cpu_ratio_to_gopacket_{kind}_10k"] = _ratios(figures[LINES][cost], peer[cost])
    if "loss_free_pps_mixed" in peer:
        whole["loss_free_ratio_to_gopacket"] = whole["loss_free_pps_mixed"] / peer["loss_free_pps_mixed"]
        whole["loss_free_ratio_to_gopacket_answers"] = whole["loss_free_pps_answers"] / peer["loss_free_pps_answers"]
        whole["rss_mb_100k"] = whole["rss_mb_mixed_100k"]


def _ratios(ours: list[float], peer: list[float]) -> list[float]:
    """Return the ratio of each round, in which both were under the same conditions."""
    return [one / other for one, other in zip(ours, peer, strict=True)]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--quick", action="store_true", help="10,000 packets/s only")
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
