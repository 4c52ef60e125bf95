"""Looks at the roles, through every fault. Shell: /proc, Kafka."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from callgraph.clients import consumer_config
from tests.cluster.line import GROUP, PARTITIONS, PREFIX, Line
from tests.cluster.soak_figures import Sample


class Samples:
    """What the roles hold, and how far the processors are behind, at each `take`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._consumer = Consumer(consumer_config(line.kafka, client_id="soak") | {"group.id": GROUP, "log_level": 0})
        self.lag: list[int] = []
        """Batches that the processors' group had not acknowledged; none are added while the broker is away."""
        self.lives: dict[tuple[str, int], list[Sample]] = defaultdict(list)

    def take(self) -> None:
        """Look at everything once."""
        self._look_at_processes()
        with contextlib.suppress(KafkaException):
            self.lag.append(self._measure_lag())

    def close(self) -> None:
        """Take no more."""
        self._consumer.close()

    def _look_at_processes(self) -> None:
        for name, pid in self._line.roles.pids().items():
            # Between the two, a role may be killed: then there is nothing to read, or no memory in it.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                self.lives[name, pid].append(Sample(time.monotonic(), megabytes, files))

    def _measure_lag(self) -> int:
        names = [f"{PREFIX}{name}" for name in ("dns-answers", "connections")]
        partitions = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        lag = 0
        for each in self._consumer.committed(partitions, timeout=2):
            low, high = self._consumer.get_watermark_offsets(each, timeout=2)
            lag += high - (each.offset if each.offset >= 0 else low)
        return lag
