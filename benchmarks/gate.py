"""The regression gate: CPU of the hot functions in units of a peer's, in one process and one run.

`python -m benchmarks.gate [--write]`: each subject takes turns with its peer; a ratio is the median over the rounds. It
fails where a ratio is more than twice that of `benchmarks/gate.json`; `--write` makes the present ones the reference.
Ratios to plain Python in the same process depend little on the machine, and on what else runs there.

| subject | peer |
|---|---|
| `parse_dns` | scapy's reader over the same answers |
| `suppress_repeat` | asking a set for the same observations |
| `attribute` | two look-ups in a dictionary from address to workload, as if time did not matter |
| `fold` | counting the same calls in a dictionary by their ends |
| `build_graph` | sorting the same edges by the names of their ends |
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scapy.layers.dns import DNS, DNSQR, DNSRR

from benchmarks.large_cluster import CLUSTER, make_batches, make_records
from benchmarks.report import gather, report
from callgraph.records import Call, PodRecord, ServiceRecord, WatermarkRecord
from capture_agent.dns import parse_dns
from capture_agent.suppression import Suppressor
from sink_exporter.graph import build_graph
from stream_processor.attribution import Attribution, Decision, Origin
from stream_processor.calls import gather_calls
from stream_processor.edge_state import EdgeState
from stream_processor.inventory import Inventory
from stream_processor.moment import ALWAYS
from stream_processor.settings import AttributionSettings

REFERENCE = Path(__file__).with_name("gate.json")
ROUNDS, TOLERATED = 7, 2.0
PODS, BATCHES, ANSWERS = 1_000, 40, 300

Work = Callable[[], object]


class Subject(NamedTuple):
    """Two ways over the same things."""

    ours: Work
    peer: Work
    items: int
    peer_repeats: int = 1
    """How often the peer works for once of ours, so that both take long enough for the clock."""


def main() -> int:
    """Measure, report, and compare; returns 1 where something has become twice as slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    rounds = {name: [measure(subject) for _ in range(ROUNDS)] for name, subject in subjects().items()}
    figures = report("gate", gather(rounds), packages=("msgspec", "scapy"))
    ratios = {name: row["cpu_ratio_to_peer"] for name, row in figures.items()}
    if write:
        REFERENCE.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
        return 0
    return complain(ratios, json.loads(REFERENCE.read_text(encoding="utf-8")))


def complain(ratios: dict[str, float], reference: dict[str, float]) -> int:
    """Say what has become too slow."""
    slow = {name: ratio for name, ratio in ratios.items() if ratio > TOLERATED * reference[name]}
    for name, ratio in slow.items():
        sys.stderr.write(f"{name} costs {ratio:.2f} of its peer, and cost {reference[name]:.2f} (see {REFERENCE})\n")
    return 1 if slow else 0


def measure(subject: Subject) -> dict[str, float]:
    """Let ours and its peer work in turns."""
    ours = _cpu(subject.ours)
    peer = statistics.median(_cpu(subject.peer) for _ in range(3))
    return {
        "cpu_ratio_to_peer": ours / peer * subject.peer_repeats,
        "microseconds": ours / subject.items * 1e6,
        "peer_microseconds": peer / subject.items / subject.peer_repeats * 1e6,
    }


def subjects() -> dict[str, Subject]:
    """Prepare what is measured."""
    return {
        "parse_dns": _parsing(),
        "suppress_repeat": _suppressing(),
        "attribute": _attributing(),
        "fold": _folding(),
        "build_graph": _building(),
    }


def _parsing() -> Subject:
    messages = [_answer(number) for number in range(ANSWERS)]
    return Subject(
        lambda: [parse_dns(each) for _ in range(20) for each in messages],
        lambda: [DNS(each).an for each in messages],
        ANSWERS * 20,
        peer_repeats=1 / 20,
    )


def _answer(number: int) -> bytes:
    name, target = f"app-{number}.team-1.svc.cluster.local", f"edge-{number}.example.net"
    records = [DNSRR(rrname=name, type="CNAME", rdata=target)]
    records += [DNSRR(rrname=target, type="A", rdata=f"10.0.{number % 200}.{host}") for host in (1, 2)]
    return bytes(DNS(id=number, qr=1, ra=1, qd=DNSQR(qname=name), an=records))


def _suppressing() -> Subject:
    observations = [each for batch in make_batches(PODS, batches=BATCHES) for each in batch.observations]
    suppressor = Suppressor(window_ns=10**15, entries=10**6, names_per_client=10**6)
    for each in observations:
        suppressor.offer(each, tap=0, at=each.observed_at)
    known = set(observations)
    return Subject(
        lambda: [suppressor.offer(each, tap=0, at=each.observed_at) for each in observations],
        lambda: [each in known for each in observations],
        len(observations),
    )


def _attributing() -> Subject:
    batches = list(make_batches(PODS, batches=BATCHES))
    ends = [
        (each.client_address, each.addresses[0] if hasattr(each, "addresses") else each.server_address)
        for batch in batches
        for each in batch.observations
    ]
    owners = {
        address: record.name
        for record in make_records(PODS)
        if isinstance(record, PodRecord | ServiceRecord)
        for address in ((record.addresses[0].address,) if isinstance(record, PodRecord) else record.addresses)
    }
    return Subject(
        lambda: _attribute(batches),
        lambda: [(owners[client], owners[server]) for _ in range(10) for client, server in ends],
        len(ends),
        peer_repeats=10,
    )


def _attribute(batches: list) -> list[Decision]:
    settings = AttributionSettings()
    attribution = Attribution(_inventory(settings), settings)
    decisions: list[Decision] = []
    for number, batch in enumerate(batches):
        attribution.offer(batch, Origin("observations", 0, number), now=0)
        decisions += attribution.advance(now=0)
    return decisions


_INVENTORIES: list[Inventory] = []


def _inventory(settings: AttributionSettings) -> Inventory:
    if not _INVENTORIES:
        inventory = Inventory(settings)
        inventory.apply_all(make_records(PODS))
        inventory.apply(WatermarkRecord(cluster=CLUSTER, at=ALWAYS))
        _INVENTORIES.append(inventory)
    return _INVENTORIES[0]


def _calls() -> list[Call]:
    decisions = _attribute(list(make_batches(PODS, batches=BATCHES)))
    return gather_calls(decisions, floor=lambda origin: origin.offset)


def _fold_all(calls: list[Call]) -> EdgeState[int]:
    state: EdgeState[int] = EdgeState(interval=60_000_000_000)
    for call in calls:
        state.apply(call, 0, now=0)
    return state


def _folding() -> Subject:
    calls = _calls()
    return Subject(
        lambda: _fold_all(calls),
        lambda: [Counter((call.client, call.server, call.server_port) for call in calls) for _ in range(4)],
        len(calls),
        peer_repeats=4,
    )


def _building() -> Subject:
    edges = [publication.edge for publication in _fold_all(_calls()).take_due(now=0)]

    def names(edge):
        client, server = edge.client, edge.server
        return (client.namespace, client.name, server.namespace, server.name, edge.server_port or 0)

    return Subject(
        lambda: build_graph(edges),
        lambda: [sorted(edges, key=names) for _ in range(4)],
        len(edges),
        peer_repeats=4,
    )


def _cpu(work: Work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
