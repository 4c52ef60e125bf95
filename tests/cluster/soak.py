"""A long run of the box: traffic and faults by a schedule, and what the roles hold meanwhile. Shell.

`python -m tests.cluster.soak [--seconds 3600] [--quiet 25]` (root, Apache Kafka). Clients look names up and call what
is known without pause, over IPv4, IPv6 and to outside, and ask for names that nobody has. After every so many quiet
seconds something fails (`soak_plan.py`), a client is replaced, and the new one makes a call that was never made before:
the seconds until git has it are the drift from the truth. A role that ends by itself is started again, as by a kubelet,
and counted. Memory, file descriptors and lag are sampled each second, through the faults. Writes
`build/soak/soak.json`, of a run that broke off too; ends with 1 then, and where the graph is not whole at the end, or
was wrong at any time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import describe_machine, format_table
from tests.cluster.box import Box, missing_tool
from tests.cluster.control_plane import ControlPlane
from tests.cluster.coredns_program import build_coredns
from tests.cluster.line import Line
from tests.cluster.name_servers import serve_names
from tests.cluster.player import LOOK_SECONDS, Flood, Player, Watched
from tests.cluster.regularly import regularly
from tests.cluster.soak_figures import drift_figures, graph_figures, is_right, role_figures
from tests.cluster.soak_plan import NAME, SCENARIO, TROUBLES, Traffic, Trouble
from tests.cluster.soak_samples import Samples
from tests.cluster.steps import Step
from tests.fake_api_server import FakeApiServer

RESULT = Path("build/soak/soak.json")
_SEED = 1
_BETWEEN_CALLS_SECONDS = 0.25
_TRUTH_SECONDS = 120.0
"""How long a call may take to git, before it is given up; it is missing at the end then."""


class Soak:
    """One run, and what has come of it so far."""

    def __init__(self, player: Player, line: Line, watched: Watched) -> None:
        self._player = player
        self._line = line
        self._watched = watched
        self._traffic = Traffic(_SEED)
        self._began, self._seconds = time.monotonic(), 0.0
        self._steps = self._ended = self._given_up = 0
        self._drifts: dict[str, list[float]] = defaultdict(list)

    def run(self, seconds: float, *, quiet: float) -> str:
        """Call and break, until the time is over and the truth is told; return why it broke off before, or nothing."""
        try:
            self._run(seconds, quiet=quiet)
        except AssertionError as error:
            return str(error)
        finally:
            self._seconds = time.monotonic() - self._began
        return ""

    def _run(self, seconds: float, *, quiet: float) -> None:
        quiet_since = time.monotonic()
        half, end = self._began + seconds / 2, self._began + seconds
        troubles = _schedule(lambda: time.monotonic() < half)
        while time.monotonic() < end:
            self._play(self._traffic.background())
            self._steps += 1
            self._revive()
            time.sleep(_BETWEEN_CALLS_SECONDS)
            if time.monotonic() - quiet_since > quiet:
                self._probe(next(troubles))
                quiet_since = time.monotonic()
        _await(lambda: self._watched.now.get(NAME) == self._traffic.truth)

    def figures(self, samples: Samples) -> dict[str, Any]:
        """Return everything that was counted and measured."""
        ever, lost = self._watched.ever.get(NAME, set()), self._watched.lost.get(NAME, set())
        return {
            "graph": graph_figures(self._traffic.truth, self._watched.now.get(NAME, {}), ever=ever, lost=lost),
            "run": {
                "minutes": self._seconds / 60,
                "calls_and_lookups": self._steps,
                "faults_with_a_probe": sum(map(len, self._drifts.values())),
                "calls_given_up_after_120_s": self._given_up,
                "roles_that_ended_by_themselves": self._ended,
                "median_batches_behind": statistics.median(samples.lag),
                "most_batches_behind": max(samples.lag),
                "batches_behind_at_the_end": samples.lag[-1],
            },
            "faults": drift_figures(self._drifts),
            "roles": role_figures(samples.lives),
        }

    def _probe(self, trouble: Trouble) -> None:
        """Let something fail, and see how long a call that was never made before takes to git."""
        if (steps := self._traffic.probe()) is None:
            return
        self._play(*trouble.begin)
        called = self._play(*steps)
        self._play(*trouble.end)
        client, name = steps[0].pod.rpartition("-")[0], steps[-1].name
        if _await(lambda: f"{NAME}/{name}" in self._watched.now.get(NAME, {}).get(client, {})):
            self._traffic.learn(client, name)
        else:
            self._given_up += 1
        self._drifts[trouble.kind].append(time.monotonic() - called)
        sys.stderr.write(f"{trouble.kind}: {client} to {name}, {self._drifts[trouble.kind][-1]:.1f} s\n")

    def _revive(self) -> None:
        for name in self._line.roles.ended():
            sys.stderr.write(f"{name} ended by itself: {self._line.roles.last_lines(name)}\n")
            self._line.replace(name)
            self._ended += 1

    def _play(self, *steps: Step) -> float:
        return self._player.play(SCENARIO, steps)


def main() -> int:
    """Run, and write down what came of it; returns 1 where the graph was ever wrong, or is not whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--quiet", type=float, default=25, help="seconds of traffic between two faults")
    options = parser.parse_args()
    if why := missing_tool():
        raise SystemExit(why)
    command = " ".join(["python", "-m", "tests.cluster.soak", *sys.argv[1:]])
    document = {"machine": describe_machine(), "command": command, **measure(options.seconds, options.quiet)}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for part, figures in document["figures"].items():
        sys.stdout.write(format_table(figures if part in ("faults", "roles") else {part: figures}) + "\n\n")
    if document["broke_off"]:
        sys.stderr.write(f"broke off: {document['broke_off']}\n")
    return 0 if is_right(document["figures"]["graph"]) and not document["broke_off"] else 1


def measure(seconds: float, quiet: float) -> dict[str, Any]:
    """Build the box, and run in it; return the figures, and why it broke off."""
    with tempfile.TemporaryDirectory(prefix="whocalls-soak-") as scratch:
        folder = Path(scratch)
        with FakeApiServer(history=100_000) as api, Box(folder) as box, Line(folder, box, api) as line:
            plane = ControlPlane(box, api, (SCENARIO,))
            serve_names(build_coredns(), box, plane, api, folder)
            for pod in SCENARIO.started or ():
                plane.start(SCENARIO.name, pod)
            player = Player(box, plane, line, api, Flood(folder, folder))
            line.start()
            watched, samples = Watched(line.remote, folder / "commits"), Samples(line)
            with contextlib.closing(samples), regularly(watched.look, seconds=LOOK_SECONDS):
                soak = Soak(player, line, watched)
                with regularly(samples.take, seconds=1):
                    broke_off = soak.run(seconds, quiet=quiet)
    return {"broke_off": broke_off, "figures": soak.figures(samples)}


def _schedule(is_first_half: Callable[[], bool]) -> Iterator[Trouble]:
    """Yield what fails next, round and round."""
    for trouble in itertools.cycle(TROUBLES):
        if is_first_half() or not trouble.first_half_alone:
            yield trouble


def _await(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _TRUTH_SECONDS
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds


if __name__ == "__main__":
    sys.exit(main())
