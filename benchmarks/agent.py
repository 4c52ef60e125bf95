"""The agent against its peers on one node: CPU per packet, memory, loss, and the highest rate without loss.

`python -m benchmarks.agent [--rounds 3] [--seconds 4] [--quick]`; needs root, cc, tcpdump, and Go with libpcap's
headers for the gopacket peer. Contenders are interleaved in shuffled order; figures are medians; CPU is user + system
of the process tree. Every contender gets the same frames twice. In the first stage everything is new: the agent
parses, encodes and publishes each pair. The second stage is the state in which it spends its life: it has seen them
all. Figures named `first_…` are of the first stage, those without are of the second; the ratio of the whole agent is
that of both stages together, so that all that it publishes is in it.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.dns_traffic import write_traffic
from benchmarks.node_bed import NodeBed, Sent, measure, settle, stop
from benchmarks.proc_scan import measure_proc_scan
from benchmarks.report import report
from capture_agent.filters import dns_expression

BUILD = Path("build/bench")
FRAMES = 100_000
RATES = (1_000, 10_000, 100_000)
LOSS_FREE_STEPS = (12_500, 25_000, 50_000, 100_000, 150_000, 200_000, 250_000, 400_000, 600_000)
LOSS_FREE_CONTENDERS = ("whocalls", "gopacket", "tcpdump_floor")

_AGENT = (sys.executable, "-m", "whocalls", "agent", "--agent-node=bench")
_NO_SOCKETS = "--agent-sockets-enabled=false"


class Contender(NamedTuple):
    """A program that reads the node's DNS."""

    name: str
    command: tuple[str, ...]
    dropped: str
    """Finds the kernel's drops in what the program writes at its end."""


class Run(NamedTuple):
    """One contender under one load."""

    first_ns_per_packet: float
    cpu_ns_per_packet: float
    cpu_percent: float
    rss_mb: float
    loss: float


def main() -> None:
    arguments = _parse_arguments()
    traffic = build_all()
    loads = (
        [("mixed", 10_000), ("answers", 10_000)]
        if arguments.quick
        else [(kind, rate) for kind in ("mixed", "answers") for rate in RATES]
    )
    runs: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    with NodeBed(BUILD / "blast") as bed, _broker(bed) as port:
        contenders = list_contenders(port)
        if arguments.only:
            contenders = [each for each in contenders if each.name in arguments.only.split(",")]
        for _ in range(arguments.rounds):
            for kind, rate in loads:
                for contender in random.sample(contenders, len(contenders)):
                    run = run_once(bed, contender, traffic[kind], rate=rate, seconds=arguments.seconds)
                    runs[contender.name, kind, rate].append(run)
                    print(contender.name, kind, rate, run, file=sys.stderr)
        figures = {contender.name: _figures(contender.name, runs) for contender in contenders}
        if not arguments.quick:
            for contender in contenders:
                if contender.name in LOSS_FREE_CONTENDERS:
                    for kind, frames in traffic.items():
                        figures[contender.name][f"loss_free_pps_{kind}"] = find_loss_free(bed, contender, frames)
            figures["whocalls"] |= {"idle_cpu_percent": measure_idle(bed, contenders[0])}
    _add_ratios(figures)
    if not arguments.quick:
        figures["proc_scan"] = measure_proc_scan()
    report("agent", figures, packages=("confluent-kafka", "msgspec"))


def list_contenders(kafka_port: int) -> list[Contender]:
    """Name the programs that are compared; the agent comes first."""
    ours = r'"kernel_dropped":(\d+)'
    kafka = (f"--kafka-bootstrap-servers=127.0.0.1:{kafka_port}", "--topics-create=true", "--kafka-embedded=true")
    tcpdump = r"(\d+) packets? dropped by kernel"
    return [
        Contender("whocalls", (*_AGENT, *kafka), ours),
        Contender("whocalls_capture", (*_AGENT, _NO_SOCKETS, "--to", "/dev/null"), ours),
        Contender("gopacket", (str(BUILD / "gopacket-peer"),), r'"dropped":(\d+)'),
        Contender("tcpdump_text", ("tcpdump", "-Z", "root", "-n", "-l", "-i", "any", "udp port 53"), tcpdump),
        Contender(
            "tcpdump_floor", ("tcpdump", "-Z", "root", "-n", "-i", "any", "-w", "/dev/null", dns_expression()), tcpdump
        ),
    ]


def run_once(bed: NodeBed, contender: Contender, frames: Path, *, rate: int, seconds: float) -> Run:
    """Measure one contender under one load: when everything is new, and when it has seen it all."""
    process = _start(bed, contender)
    start = measure(process.pid)
    first = bed.send(frames, rate=rate, seconds=seconds)
    settle()
    before = measure(process.pid)
    sent = bed.send(frames, rate=rate, seconds=seconds)
    settle()
    after = measure(process.pid)
    dropped = _drops(contender, stop(process))
    cpu = after.cpu_ns - before.cpu_ns
    return Run(
        first_ns_per_packet=(before.cpu_ns - start.cpu_ns) / first.packets,
        cpu_ns_per_packet=cpu / sent.packets,
        cpu_percent=cpu / sent.seconds / 1e7,
        rss_mb=after.peak_kib / 1024,
        loss=dropped / (sent.packets + first.packets),
    )


def find_loss_free(bed: NodeBed, contender: Contender, frames: Path) -> float:
    """Return the highest rate at which the kernel dropped nothing, of rising steps, beginning with everything new.

    A step has three tries: on a machine with other work a pause of somebody else's is no loss of the contender's.
    """
    best = 0.0
    for rate in LOSS_FREE_STEPS:
        sent = next(filter(None, (_send_without_loss(bed, contender, frames, rate) for _ in range(3))), None)
        if sent is None:
            break
        # The sender may be at its own limit: then the next step shows what it can do at another moment.
        best = max(best, sent.packets / sent.seconds)
    return best


def _send_without_loss(bed: NodeBed, contender: Contender, frames: Path, rate: int) -> Sent | None:
    """Send for two seconds; None where the kernel dropped any of it."""
    process = _start(bed, contender)
    sent = bed.send(frames, rate=rate, seconds=2)
    settle()
    return None if _drops(contender, stop(process)) else sent


def measure_idle(bed: NodeBed, contender: Contender, *, seconds: float = 20) -> float:
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
    for kind in ("mixed", "answers"):
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
    process = bed.start(contender.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(1.5)
    return process


def _drops(contender: Contender, output: bytes) -> int:
    found = re.findall(contender.dropped, output.decode(errors="replace"))
    if not found:
        raise SystemExit(f"{contender.name} did not say what was dropped: {output[-500:]!r}")
    return int(found[-1])


def _figures(name: str, runs: dict[tuple[str, str, int], list[Run]]) -> dict[str, float]:
    figures = {}
    for (contender, kind, rate), measured in runs.items():
        if contender == name:
            load = f"{kind}_{rate // 1000}k"
            figures[f"us_per_packet_{load}"] = statistics.median(run.cpu_ns_per_packet for run in measured) / 1000
            figures[f"first_us_per_packet_{load}"] = (
                statistics.median(run.first_ns_per_packet for run in measured) / 1000
            )
            figures[f"loss_{load}"] = statistics.median(run.loss for run in measured)
            figures[f"rss_mb_{load}"] = statistics.median(run.rss_mb for run in measured)
    return figures


def _add_ratios(figures: dict[str, dict[str, float]]) -> None:
    peer, whole, capture = figures.get("gopacket"), figures.get("whocalls"), figures.get("whocalls_capture")
    if not peer or not whole or not capture:
        return
    for kind in ("mixed", "answers"):
        cost = f"us_per_packet_{kind}_10k"
        whole[f"cpu_ratio_to_gopacket_{kind}_10k"] = capture[cost] / peer[cost]
        whole[f"whole_agent_cpu_ratio_to_gopacket_{kind}_10k"] = (whole[f"first_{cost}"] + whole[cost]) / (
            peer[f"first_{cost}"] + peer[cost]
        )
        whole[f"first_cpu_ratio_to_gopacket_{kind}_10k"] = capture[f"first_{cost}"] / peer[f"first_{cost}"]
    if "loss_free_pps_mixed" in peer:
        whole["loss_free_ratio_to_gopacket"] = whole["loss_free_pps_mixed"] / peer["loss_free_pps_mixed"]
        whole["loss_free_ratio_to_gopacket_answers"] = whole["loss_free_pps_answers"] / peer["loss_free_pps_answers"]
        whole["rss_mb_100k"] = whole["rss_mb_mixed_100k"]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--quick", action="store_true", help="10,000 packets/s only")
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
