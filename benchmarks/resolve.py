"""How fast observations are resolved, and what the inventory and the first list cost.

`python -m benchmarks.resolve`: at 1k, 10k and 100k pods, in a process each: observations per second of CPU, and bytes
of resident memory per pod, Services, slices and owners included.

- `observations_per_second`: as it goes on, while pods are replaced: one for each 10,000 observations. At 10,000
  observations a second, which 10,000 pods make if each makes one, every pod is replaced once in three hours.
- `observations_per_second_unchanged`: the same, while nothing changes.
- `observations_per_second_cold`: the first 100,000 observations after a start, when nothing has been looked up yet.

And the first list of 100k pods of 8 KB, in CPU seconds and the peak of resident memory: `first_list` and
`first_list_in_pages` of a whole watcher process, between a fake API server and a broker (`benchmarks.first_list`);
`first_list_decoding` of nothing but the way from pages of bytes to encoded inventory records.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import first_list
from benchmarks.large_cluster import CLUSTER, make_batches, make_records, make_replacements, pod_json
from benchmarks.report import Row, report
from callgraph.codec import encode
from callgraph.records import InventoryRecord, KubeObject, ObservationBatch, WatermarkRecord
from stream_processor.attribution import Attribution, Origin
from stream_processor.inventory import Inventory
from stream_processor.kube_types import decode_kind, decode_list
from stream_processor.moment import ALWAYS
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from tests.apache_kafka import NoApacheKafkaError

SIZES = {"1k_pods": 1_000, "10k_pods": 10_000, "100k_pods": 100_000}
DECODING = "first_list_decoding"
LISTED, PAGE = 100_000, 500
BATCHES, ROUNDS, CHANGES = 200, 5, 10


def measure_resolving(pods: int) -> Row:
    """Resolve the same observations several times; the first time nothing is known of their ends."""
    settings = AttributionSettings()
    inventory = Inventory(settings)
    Inventory(settings).apply_all(make_records(500))  # what the interpreter takes once is not the pods'
    before = _resident()
    inventory.apply_all(make_records(pods))
    gc.collect()
    memory = (_resident() - before) / pods
    inventory.apply(WatermarkRecord(cluster=CLUSTER, at=ALWAYS))
    batches = list(make_batches(pods, batches=BATCHES))
    attribution = Attribution(inventory, settings)
    gc.freeze()  # as the processor does once its inventory is read
    cold = _rate(attribution, batches)
    unchanged = [_rate(attribution, batches) for _ in range(ROUNDS)]
    changing = [
        _rate(attribution, batches, changes=make_replacements(pods, count, CHANGES), inventory=inventory)
        for count in range(ROUNDS)
    ]
    return {
        "observations_per_second": changing,
        "observations_per_second_unchanged": unchanged,
        "observations_per_second_cold": cold,
        "inventory_bytes_per_pod": memory,
    }


def _rate(
    attribution: Attribution,
    batches: list[ObservationBatch],
    *,
    changes: Iterable[list[KubeObject]] = (),
    inventory: Inventory | None = None,
) -> float:
    """Return observations per second of CPU, with the changes spread over the batches."""
    decided, coming = 0, list(changes)
    every = len(batches) // len(coming) if coming else len(batches) + 1
    started = time.process_time()
    for number, batch in enumerate(batches):
        if inventory is not None and number % every == 0 and coming:
            inventory.apply_all(coming.pop())
        attribution.offer(batch, Origin("observations", 0, number), now=0)
        decided += sum(len(decision.indexes) for decision in attribution.advance(now=0))
    return decided / (time.process_time() - started)


def measure_decoding() -> dict[str, float]:
    """Project a long list page by page, as the watcher does; making the pages is not counted."""
    projector = Projector(CLUSTER, AttributionSettings())
    cpu = 0.0
    size = 0
    for first in range(0, LISTED, PAGE):
        page = b'{"metadata":{},"items":[' + b",".join(pod_json(first + each) for each in range(PAGE)) + b"]}"
        size += len(page)
        started = time.process_time()
        for item in decode_list(page).items or ():
            record = projector.apply("ADDED", decode_kind("Pod", item), 0)
            assert record is not None
            encode(InventoryRecord(object=record))
        cpu += time.process_time() - started
    return {
        "pods": LISTED,
        "list_bytes": size,
        "cpu_seconds": cpu,
        "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main() -> None:
    """Run each part in a process of its own, so that none measures what another left behind."""
    figures = {}
    for subject in [*SIZES, DECODING]:
        command = [sys.executable, "-m", "benchmarks.resolve", subject]
        figures[subject] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    try:
        figures |= first_list.measure_all()
    except NoApacheKafkaError as error:
        print(f"no first_list: {error}", file=sys.stderr)
    report("resolve", figures, packages=("msgspec", "kubernetes", "confluent-kafka"))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        subject = sys.argv[1]
        print(json.dumps(measure_decoding() if subject == DECODING else measure_resolving(SIZES[subject])))
    else:
        main()
