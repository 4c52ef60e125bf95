"""One run: known traffic, roles that are killed by a schedule, and what came of it. Shell."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from callgraph.broker import Broker
from callgraph.clients import producer_config
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.topics import TOPICS, TopicName, full_name
from tests.chaos.agent import read_journal
from tests.chaos.observer import Observer, read_dead_letters, read_observations, wait
from tests.chaos.roles import Program, Role, make_cast
from tests.chaos.schedule import Fault
from tests.chaos.traffic import SECOND, Edge, Traffic, all_edges, count_edges

_TICK_SECONDS = 0.1
_SETTLE_SECONDS = 300.0


class Plan(NamedTuple):
    """What a run is made of; `planted` are topics that get rubbish."""

    traffic: Traffic
    faults: list[Fault]
    settings: dict[str, object]
    workers: int = 2
    planted: tuple[TopicName, ...] = ()
    exported_within: float = 60.0


class Injury(NamedTuple):
    """A fault as it was done, in seconds of the monotonic clock and of the traffic's."""

    fault: Fault
    killed_at: float
    happened_at: int


class Verdict(NamedTuple):
    """What came of it."""

    problems: list[str]
    recovered: list[tuple[Fault, float]]
    ended_by_themselves: Counter[str]
    edges: int
    observations: int


class Run:
    """The roles of one plan, on a broker that runs."""

    def __init__(self, plan: Plan, folder: Path, kafka: KafkaSettings) -> None:
        self._plan, self._folder, self._kafka = plan, folder, kafka
        self.topics = TopicSettings(prefix=f"{folder.name}.", create=True, partitions=4)
        Broker(kafka).require_topics(TOPICS, self.topics)
        self._roles: dict[str, Role] = {role.name: role for role in self._programs()}
        self._away: dict[str, float] = {}
        self._ended: Counter[str] = Counter()
        self._open: list[Injury] = []
        self._recovered: list[tuple[Fault, float]] = []
        self._planted: set[bytes] = set()
        self._planter = Producer(producer_config(kafka, client_id="chaos-planter"))

    def _programs(self) -> Iterator[Program]:
        make = make_cast(self._folder, self._kafka, self.topics)
        for number in range(self._plan.workers):
            # A member that is known by name gets its partitions back at once, without a session running out first.
            yield make(
                f"worker-{number}", ["whocalls", "processor"], processor_instance=f"{number}", **self._plan.settings
            )
        export = {"exporter_out": self._folder / "out", "exporter_formats": '["csv"]', "exporter_interval_seconds": 1}
        yield make("exporter", ["whocalls", "exporter"], **export)
        traffic = self._plan.traffic
        sent = [traffic.kind, f"{traffic.began_at}", f"{traffic.slots}", f"{traffic.rate}"]
        for node in range(traffic.nodes):
            where = [self._kafka.bootstrap_servers, self.topics.prefix, f"{node}", f"{self._journal(node)}"]
            yield make(f"agent-{node}", ["tests.chaos.agent", *where, *sent])

    def add(self, role: Role) -> None:
        """Let another role take part."""
        self._roles[role.name] = role

    def play(self, tick: Callable[[int], None]) -> Verdict:
        """Run the plan to its end, wait for the graph, and compare; `tick` is told when a slot begins."""
        for role in self._roles.values():
            if role.name != "broker":
                role.start()
        observer = Observer(self._kafka, self.topics)
        try:
            self._live_through(observer, tick)
            return self._judge(observer)
        finally:
            observer.end()
            for role in self._roles.values():
                if role.name != "broker":
                    role.kill()

    def _live_through(self, observer: Observer, tick: Callable[[int], None]) -> None:
        traffic, faults, slot = self._plan.traffic, list(self._plan.faults), 0
        deadline = time.monotonic() + traffic.slots + _SETTLE_SECONDS
        while faults or self._away or self._open or self._unsent():
            assert time.monotonic() < deadline, f"not over in time: {self._open} {self._away} {self._unsent()}"
            now = (time.time_ns() - traffic.began_at) / SECOND
            while slot < min(now, traffic.slots):
                tick(slot)
                self._plant(slot)
                slot += 1
            while faults and faults[0].at <= now:
                self._kill(faults.pop(0))
            self._bring_back()
            self._note_recoveries(observer)
            time.sleep(_TICK_SECONDS)

    def _unsent(self) -> int:
        traffic = self._plan.traffic
        return sum(traffic.slots - read_journal(self._journal(node)) for node in range(traffic.nodes))

    def _journal(self, node: int) -> Path:
        return self._folder / f"agent-{node}.journal"

    def _plant(self, slot: int) -> None:
        """Send one record that is none to each of the topics named, once in twenty slots; the broker may be away."""
        if slot % 20:
            return
        for topic in self._plan.planted:
            key = f"planted {slot} in {topic}".encode()
            self._planted.add(key)
            self._planter.produce(full_name(topic, self.topics), b"{", key=key)

    def _kill(self, fault: Fault) -> None:
        role = self._roles[fault.role]
        role.kill()
        self._away[fault.role] = time.monotonic() + fault.away
        self._open.append(Injury(fault, time.monotonic(), time.time_ns()))

    def _bring_back(self) -> None:
        """Start whatever was away long enough, and whatever ended by itself, as a supervisor does."""
        for name, role in self._roles.items():
            if name in self._away:
                if time.monotonic() >= self._away[name]:
                    del self._away[name]
                    role.start()
                continue
            code = role.ended_by_itself()
            if code is not None and not (name.startswith("agent") and code == 0):
                self._ended[f"{name} with {code}"] += 1
                role.start()

    def _note_recoveries(self, observer: Observer) -> None:
        fresh = observer.fresh_until(self._plan.traffic.nodes)
        end = self._plan.traffic.began_at + (self._plan.traffic.slots - 2) * SECOND
        still_open = []
        for injury in self._open:
            if injury.fault.role in self._away or not self._is_over(injury, min(fresh, end), end):
                still_open.append(injury)
            else:
                self._recovered.append((injury.fault, time.monotonic() - injury.killed_at))
        self._open = still_open

    def _is_over(self, injury: Injury, fresh: int, end: int) -> bool:
        """Over is a fault when the graph (or the export) shows what came after it."""
        if injury.fault.role == "exporter":
            exported = self._export()
            return exported.exists() and exported.stat().st_mtime_ns > injury.happened_at
        return fresh >= min(injury.happened_at, end)

    def _export(self) -> Path:
        return self._folder / "out" / "callgraph.csv"

    def _judge(self, observer: Observer) -> Verdict:
        assert not self._planter.flush(60), "the planted records did not reach the broker"
        traffic = self._plan.traffic
        expected = count_edges(traffic, read_observations(self._kafka, self.topics))
        wait(lambda: observer.graph() == expected, seconds=_SETTLE_SECONDS)
        wanted = set(expected)
        wait(lambda: self._exported() == wanted, seconds=self._plan.exported_within)
        letters = read_dead_letters(self._kafka, self.topics)
        problems = [
            *_difference("edges of the traffic that no record holds", all_edges(traffic) - wanted),
            *_difference("edges in records that the traffic does not have", wanted - all_edges(traffic)),
            *_difference("counts that are wrong", set((expected - observer.graph()) + (observer.graph() - expected))),
            *_difference("edges that are not exported", wanted - self._exported()),
            *_difference("edges exported that are none", self._exported() - wanted),
            *_difference("dead letters that were not planted", letters - self._planted),
            *_difference("planted records without a dead letter", self._planted - letters),
        ]
        return Verdict(problems, self._recovered, self._ended, len(expected), expected.total())

    def _exported(self) -> set[Edge]:
        if not self._export().exists():
            return set()
        with self._export().open(encoding="utf-8") as file:
            return {
                (row["client_name"], row["server_name"], int(row["port"].partition("/")[0]) if row["port"] else None)
                for row in csv.DictReader(file)
            }


def _difference(what: str, found: set[object]) -> list[str]:
    """Say how many, and show a few."""
    return [f"{len(found)} {what}, such as {sorted(map(str, found))[:3]}"] if found else []
