"""A long run of the box: traffic and faults by a schedule, and what the roles hold meanwhile. Shell.

`python -m tests.cluster.soak [--seconds 3600]` (root, Apache Kafka): the shop calls without pause, its clients are
replaced now and then, and every half minute something fails: the broker, a processor, the API server, an agent. After
each fault a call that was never made before must reach git: its seconds are the drift from the truth. Resident memory
and file descriptors of every role are sampled. Writes `build/soak/soak.json`; ends with 1 where the graph is not the
truth at the end, or held a false edge at any time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.report import describe_machine, format_table
from callgraph.clients import consumer_config
from tests.cluster.box import Box, missing_tool
from tests.cluster.control_plane import ControlPlane
from tests.cluster.coredns_program import build_coredns
from tests.cluster.line import GROUP, PARTITIONS, PREFIX, PROCESSORS, Line
from tests.cluster.name_servers import serve_names
from tests.cluster.player import Flood, Player, Watched
from tests.cluster.steps import Call, Scenario, Start, Stop
from tests.cluster.world import NODES, Pod, Workload
from tests.fake_api_server import FakeApiServer

RESULT = Path("build/soak/soak.json")
PROBES = 6
"""Servers that nobody has called before a fault; called again, they prove that nothing was lost meanwhile."""
_FAULT_SECONDS = 30.0
_TRUTH_SECONDS = 120.0
_SEEN = "dns syn 8080/TCP"

SCENARIO = Scenario(
    "soak",
    "calls without pause",
    workloads=(
        Workload("client"),
        *(Workload(f"server-{number}", port=8080, service="cluster") for number in range(PROBES)),
    ),
    pods=(
        *(Pod(f"client-{number}", "client", node, 6, revision=f"{number}") for number, node in enumerate(NODES)),
        *(Pod(f"server-{number}-1", f"server-{number}", NODES[number % 3], number) for number in range(PROBES)),
    ),
    steps=(),
    truth={"client": {f"soak/server-{number}": _SEEN for number in range(PROBES)}},
)


class Fault(NamedTuple):
    """Something that fails, and how it is brought back."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None] | None = None


class Samples:
    """What the roles hold, over time."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._consumer = Consumer(consumer_config(line.kafka, client_id="soak") | {"group.id": GROUP, "log_level": 0})
        self.lag: list[float] = []
        self.memory: dict[str, list[float]] = defaultdict(list)
        self.files: dict[str, list[float]] = defaultdict(list)

    def take(self) -> None:
        for name, pid in self._line.roles.pids().items():
            role = name.partition("-")[0]
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                self.files[role].append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.memory[role].append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
        with contextlib.suppress(KafkaException):  # while the broker is away there is no lag to ask for
            self.lag.append(self._measure_lag())

    def close(self) -> None:
        self._consumer.close()

    def _measure_lag(self) -> int:
        """Count the batches that the processors' group has not acknowledged."""
        names = [f"{PREFIX}{name}" for name in ("dns-answers", "connections")]
        partitions = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        lag = 0
        for each in self._consumer.committed(partitions, timeout=2):
            low, high = self._consumer.get_watermark_offsets(each, timeout=2)
            lag += high - (each.offset if each.offset >= 0 else low)
        return lag


def main() -> int:
    """Run, and write down what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    seconds = parser.parse_args().seconds
    if why := missing_tool():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory(prefix="whocalls-soak-") as scratch:
        folder = Path(scratch)
        with FakeApiServer(history=100_000) as api, Box(folder) as box, Line(folder, box, api) as line:
            plane = ControlPlane(box, api, (SCENARIO,))
            serve_names(build_coredns(), box, plane, api, folder)
            for pod in SCENARIO.pods:
                if pod.workload != "client" or pod.name == "client-0":
                    plane.start(SCENARIO.name, pod.name)
            player = Player(box, plane, line, api, Flood(folder, folder))
            line.start()
            with Watched(line.remote, folder / "commits") as watched:
                figures = soak(player, line, api, watched, seconds)
                line.stop()
    return conclude(figures, watched)


def soak(player: Player, line: Line, api: FakeApiServer, watched: Watched, seconds: float) -> dict[str, float]:
    """Call and break, until the time is over."""
    samples, drifts = Samples(line), []
    calls = faults = 0
    began = next_fault = time.monotonic()
    clients = _clients(player)
    schedule = itertools.cycle(_faults(line, api))
    probes = iter(range(1, PROBES))
    client = next(clients)
    while time.monotonic() - began < seconds:
        player.play(SCENARIO, (Call(client, "server-0"),))
        calls += 1
        samples.take()
        time.sleep(0.5)
        if time.monotonic() < next_fault + _FAULT_SECONDS:
            continue
        fault = next(schedule)
        fault.begin()
        faults += 1
        client = next(clients)
        if (probe := next(probes, None)) is not None:
            at = player.play(SCENARIO, (Call(client, f"server-{probe}"),))
        if fault.end:
            time.sleep(5)
            fault.end()
        if probe is not None:
            drifts.append(_await_edge(watched, f"soak/server-{probe}", at))
        next_fault = time.monotonic()
    for probe in probes:  # a short run has not come to all of them
        player.play(SCENARIO, (Call(client, f"server-{probe}"),))
    _await(lambda: watched.now.get("soak") == SCENARIO.truth)
    samples.close()
    return {"seconds": time.monotonic() - began, "calls": calls, "faults": faults} | _summary(samples, drifts)


def conclude(figures: dict[str, float], watched: Watched) -> int:
    """Write the result; returns 1 where the graph was ever wrong, or is not whole."""
    true = {("client", server) for server in SCENARIO.truth["client"]}
    figures["false_edges"] = len(watched.ever.get("soak", set()) - true)
    figures["missing_edges"] = len(true - watched.ever.get("soak", set()))
    command = " ".join(["python", "-m", "tests.cluster.soak", *sys.argv[1:]])
    document = {"machine": describe_machine(), "command": command, "figures": {"soak": figures}}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(format_table({"soak": figures}) + "\n")
    return 1 if figures["false_edges"] or figures["missing_edges"] else 0


def _clients(player: Player) -> Iterator[str]:
    """Replace the client again and again, on another node each time."""
    yield "client-0"
    for before, after in itertools.pairwise(itertools.cycle(f"client-{number}" for number in range(len(NODES)))):
        player.play(SCENARIO, (Start(after), Stop(before)))
        yield after


def _faults(line: Line, api: FakeApiServer) -> tuple[Fault, ...]:
    processor = itertools.cycle(PROCESSORS)

    def replace_processor() -> None:
        name = next(processor)
        line.roles.kill(name)
        line.start_role(name)

    def restart_agent() -> None:
        line.roles.kill(f"agent-{NODES[0]}")
        line.start_agent(NODES[0])

    return (
        Fault("processor", replace_processor),
        Fault("broker", line.restart_broker),
        Fault("api", api.stop, api.start),
        Fault("agent", restart_agent),
    )


def _await_edge(watched: Watched, server: str, since: float) -> float:
    _await(lambda: server in watched.now.get("soak", {}).get("client", {}))
    return time.monotonic() - since


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TRUTH_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _summary(samples: Samples, drifts: list[float]) -> dict[str, float]:
    """Return the first and the last quarter of what each role held: what grows is seen between them."""
    figures = {"longest_drift_seconds": max(drifts, default=0.0)}
    figures |= {"most_batches_behind": max(samples.lag), "batches_behind_at_the_end": samples.lag[-1]}
    for what, found in (("megabytes", samples.memory), ("files", samples.files)):
        for role, values in found.items():
            quarter = max(1, len(values) // 4)
            figures[f"{role}_{what}_first_quarter"] = sum(values[:quarter]) / quarter
            figures[f"{role}_{what}_last_quarter"] = sum(values[-quarter:]) / quarter
    return figures


if __name__ == "__main__":
    sys.exit(main())
