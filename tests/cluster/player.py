"""Plays scenarios in the box, and watches what is exported meanwhile. Shell: time, git.

In: scenarios, the box, the control plane, the line. Out: an `Outcome` for each scenario, with the seconds from its
last call to the file that shows its whole truth, and every edge that was ever exported.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.cluster.box import Box, key_of
from tests.cluster.control_plane import ControlPlane
from tests.cluster.exports import read_truths
from tests.cluster.hostile import forged_answer, malformed_messages
from tests.cluster.line import Line
from tests.cluster.steps import (
    Blocked,
    Call,
    Edges,
    Fault,
    Finish,
    Lookup,
    Pause,
    Scenario,
    Start,
    Step,
    Stop,
    Truth,
    edges_of,
)
from tests.fake_api_server import FakeApiServer
from tests.git_remote import git

_CALL_SECONDS = 30.0
"""How long a client tries: names of new pods take a moment to be known."""
_TRUTH_SECONDS = 120.0
_FLOOD_SECONDS = 5
FLOOD_RATE = 50_000


class Flood(NamedTuple):
    """What floods, and with what; see benchmarks/blast.c."""

    sender: Path
    frames: Path


class Outcome(NamedTuple):
    """What came of a scenario."""

    scenario: Scenario
    exported: Truth
    """What stood in the files when it was given up, or whole."""
    seconds: float
    """From its last call to the commit with its whole truth."""


LOOK_SECONDS = 0.1
"""Between two looks at what was pushed."""


class Watched:
    """What the exporter pushed to its repository: now, and ever, by namespace of the client."""

    def __init__(self, remote: Path, folder: Path) -> None:
        self._remote = remote
        self._folder = folder
        self._commit = ""
        self.now: dict[str, Truth] = {}
        self.ever: dict[str, Edges] = {}
        self.lost: dict[str, Edges] = {}
        """Edges that were in a commit, and not in a later one."""

    def look(self) -> None:
        """Check out what is new; of several commits since the last look, every one."""
        head = git(self._remote, "rev-parse", "--quiet", "--verify", "main", check=False).strip()
        if head == self._commit:
            return
        news = f"{self._commit}..{head}" if self._commit else head
        for commit in git(self._remote, "rev-list", "--reverse", news).split():
            self._take(commit)
        self._commit = head

    def _take(self, commit: str) -> None:
        place = self._folder / commit
        place.mkdir(parents=True)
        git(self._remote, f"--work-tree={place}", "checkout", "--force", commit, "--", ".")
        self.now = read_truths(place)
        for namespace in self.ever.keys() | self.now.keys():
            edges, ever = edges_of(self.now.get(namespace, {})), self.ever.setdefault(namespace, set())
            self.lost.setdefault(namespace, set()).update(ever - edges)
            ever.update(edges)


class Player:
    """Plays one scenario at a time, in the thread that asks."""

    def __init__(self, box: Box, plane: ControlPlane, line: Line, api: FakeApiServer, flood: Flood) -> None:
        self._box = box
        self._plane = plane
        self._line = line
        self._flood = flood
        self._floods: list[subprocess.Popen[str]] = []
        self._faults: dict[str, Callable[[str, str], None]] = {
            "block": lambda home, pod: box.drop_connections(plane.placed(home, pod)),
            "broker_restarts": lambda *_: line.restart_broker(),
            "role_killed": lambda _, role: line.replace(role),
            "node_lost": lambda _, node: self._lose(node),
            "node_back": lambda _, node: self._bring_back(node),
            "api_away": lambda *_: api.stop(),
            "api_back": lambda *_: api.start(),
            "flood": self._start_flood,
            "hostile_packets": lambda home, pod: self._send(home, pod, malformed_messages()),
            "forged_answer": lambda home, pod: self._send(home, pod, (forged_answer(),)),
        }

    def play(self, scenario: Scenario, steps: Iterable[Step]) -> float:
        """Play steps; return the time of the last call, on the monotonic clock."""
        last = time.monotonic()
        for step in steps:
            match step:
                case Start(pod):
                    self._plane.start(scenario.name, pod)
                case Stop(pod):
                    self._plane.stop(scenario.name, pod)
                case Finish(pod):
                    self._plane.finish(scenario.name, pod)
                case Pause(seconds):
                    time.sleep(seconds)
                case Fault(name, pod):
                    self._faults[name](scenario.name, pod)
                case Lookup(pod, name):
                    self._look_up(scenario.name, pod, name)
                case Call() | Blocked():
                    last = self._call(scenario.name, step)
        return last

    def _call(self, home: str, step: Call | Blocked) -> float:
        name = key_of(self._plane.placed(home, step.pod))
        keep = isinstance(step, Call) and step.keep
        deadline = time.monotonic() + _CALL_SECONDS
        while True:
            at = time.monotonic()
            answer = self._box.order(name, "call", name=step.name, port=step.port, keep=keep, seconds=3)
            if isinstance(step, Blocked):
                assert "timed out" in answer["error"], f"{name} reached {step.name}, which was to be blocked: {answer}"
                return at
            if not answer:
                return at
            assert at < deadline, f"{name} cannot call {step.name}:{step.port}: {answer}"
            time.sleep(0.2)

    def _look_up(self, home: str, pod: str, name: str) -> None:
        answer = self._box.order(key_of(self._plane.placed(home, pod)), "resolve", name=name)
        assert "error" in answer, f"{name}, which nobody is to have, is {answer}"

    def _lose(self, node: str) -> None:
        self._line.roles.kill(f"agent-{node}")
        self._box.set_cable(node, "down")

    def _bring_back(self, node: str) -> None:
        self._box.set_cable(node, "up")
        self._line.bring_agent(node)

    def _start_flood(self, home: str, pod: str) -> None:
        command = [str(self._flood.sender), "eth0", str(self._flood.frames), str(FLOOD_RATE), str(_FLOOD_SECONDS)]
        self._floods.append(self._box.run_in_place(key_of(self._plane.placed(home, pod)), command))

    def flooded(self) -> list[tuple[int, float]]:
        """Wait for the floods; return packets and seconds of each."""
        told = [process.communicate(timeout=60)[0].split() for process in self._floods]
        return [(int(packets), float(seconds)) for packets, seconds in told]

    def _send(self, home: str, pod: str, payloads: Iterable[bytes]) -> None:
        victim = self._plane.placed(home, "client-1").addresses[0]
        for payload in payloads:
            details = {"source_port": 53, "address": victim, "port": 40_000, "payload": payload.hex()}
            answer = self._box.order(key_of(self._plane.placed(home, pod)), "send_datagram", **details)
            assert not answer, answer


def await_truth(scenario: Scenario, watched: Watched, since: float, check: Callable[[], None]) -> Outcome:
    """Wait until the files show the scenario's truth, or until its time is over."""
    deadline = time.monotonic() + _TRUTH_SECONDS
    while (found := watched.now.get(scenario.name, {})) != scenario.truth and time.monotonic() < deadline:
        check()
        time.sleep(0.05)
    return Outcome(scenario, found, max(0.0, time.monotonic() - since))
