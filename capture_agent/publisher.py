"""Batches to Kafka, or to a file as JSON Lines. Shell: confluent-kafka, files.

A publisher is handed batches and says later, through the callback that came with each, whether the broker has it:
only then is anything marked as sent. `poll` serves those callbacks; nothing is called from another thread.

Only the C module of confluent-kafka is imported: its package imports asyncio for the schema registry, 9 MB that an
agent does not need (docs/adr/0002).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import IO, Any

import msgspec

from callgraph.clients import producer_config
from callgraph.codec import encode_key, schema_header, schema_of
from callgraph.settings import KafkaSettings, TopicSettings
from callgraph.telemetry import Logger
from callgraph.topics import full_name
from capture_agent.batches import Batch
from capture_agent.outlet import MAX_BATCHES_IN_FLIGHT, Acknowledge

_LINES = msgspec.json.Encoder()


class KafkaPublisher:
    """A producer that keeps trying while Kafka is away."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, log: Logger) -> None:
        self.in_flight = 0
        self.complaint = ""
        """What librdkafka last complained of."""
        self._topics = topics
        self._log = log
        self._reachable = True
        self.refusal = ""
        self._log_refusals = True
        module = import_producer_module()
        self._producer: Any = module.Producer(
            producer_config(kafka, client_id="whocalls-agent")
            | {
                # A batch waits for Kafka as long as it takes; how many do is bounded by MAX_BATCHES_IN_FLIGHT.
                "message.timeout.ms": 0,
                "queue.buffering.max.messages": 4 * MAX_BATCHES_IN_FLIGHT,
                "log_level": 0,
                "error_cb": self._note_complaint,
            }
        )

    def publish(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """Hand a batch to librdkafka, which sends it in order, once."""
        self.in_flight += 1
        self._producer.produce(
            full_name(batch.topic, self._topics),
            key=encode_key(batch.record.cluster, batch.record.node),
            value=batch.value,
            headers=schema_header(batch.record),
            on_delivery=lambda error, _message: self._settle(error, acknowledge),
        )

    def poll(self) -> None:
        """Serve delivery reports and complaints."""
        self._producer.poll(0)

    def flush(self, seconds: float) -> None:
        """Wait for delivery reports."""
        self._producer.flush(seconds)

    def close(self) -> None:
        """Let librdkafka forget what it could not deliver; it would wait for it at the end of the process."""
        self._log_refusals = False
        self._producer.purge()
        self._producer.poll(0)

    def _settle(self, error: Any, acknowledge: Acknowledge) -> None:
        self.in_flight -= 1
        refusal = error.str() if error is not None else ""
        if refusal and refusal != self.refusal and self._log_refusals:
            self._log.error("batch_refused", reason=refusal, remedy="whocalls topics apply; check the agent's ACLs")
        self.refusal = refusal
        if not refusal and not self._reachable:
            self._reachable = True
            self._log.info("kafka_reached")
        acknowledge(not refusal)

    def _note_complaint(self, error: Any) -> None:
        self.complaint = error.str()
        if self._reachable:
            self._reachable = False
            self._log.warning("kafka_unreachable", reason=self.complaint, remedy="trying again; nothing is lost yet")


class LinesPublisher:
    """JSON Lines, one observation a line: for pipes and for comparing with other decoders."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.in_flight = 0
        self.refusal = ""
        self._stream = stream

    def publish(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """Write the observations of a batch."""
        record = batch.record
        origin = {"schema": schema_of(record), "cluster": record.cluster, "node": record.node}
        head = _LINES.encode(origin)[:-1] + b","
        # A line break inside of JSON can only be one between two lines.
        lines = b"\n" + _LINES.encode_lines(record.observations)
        self._stream.write(lines.replace(b"\n{", b"\n" + head)[1:])
        acknowledge(True)

    def poll(self) -> None:
        """Let a reader at the other end of a pipe see the lines."""
        self._stream.flush()

    def flush(self, seconds: float) -> None:  # noqa: ARG002  (nothing is ever in flight)
        """Write out what is buffered."""
        self._stream.flush()

    def close(self) -> None:
        """Write out what is buffered."""
        self._stream.flush()


def import_producer_module() -> Any:
    """Import `confluent_kafka.cimpl` without its package; fall back to the package."""
    name = "confluent_kafka"
    if name in sys.modules:
        return importlib.import_module(f"{name}.cimpl")
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return importlib.import_module(name)
    stub = types.ModuleType(name)
    stub.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = stub
    try:
        return importlib.import_module(f"{name}.cimpl")
    except ImportError:
        del sys.modules[name]
        return importlib.import_module(name)
    finally:
        # Whoever imports the package later gets the whole of it, with this same C module inside.
        if sys.modules.get(name) is stub:
            del sys.modules[name]
