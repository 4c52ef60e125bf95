"""The settings of the Faust application, each stated and none left to chance. Shell: takes secrets from files.

Source: faust 0.15.3 faust/types/settings; why each is as it is: docs/adr/0003. Faust gives group membership,
assignment, agents and their life cycle; no tables, no leader, no web pages, no topics of its own.
"""

from __future__ import annotations

from typing import Any

from callgraph.settings import KafkaSettings
from stream_processor.embedded_quirks import member_id
from stream_processor.kafka_access import faust_credentials, servers
from stream_processor.settings import ProcessorSettings

SESSION_SECONDS = 30.0
"""After this silence a worker is taken for dead and its partitions go to others."""

STREAM_BUFFER_RECORDS = 64
"""Fetched batches that wait for each stage; a batch is up to some 100 kB."""

MOST_FETCHED_BYTES = 2**20
"""Of each of 36 partitions, compressed, waiting in the client."""

MOST_POLLED_RECORDS = 100
"""Without a bound aiokafka unpacks everything that it has fetched at once, for all partitions."""


def client_id(processor: ProcessorSettings) -> str:
    """Name this worker to the brokers."""
    return f"{processor.group}-{processor.instance}" if processor.instance else processor.group


def faust_settings(kafka: KafkaSettings, processor: ProcessorSettings) -> dict[str, Any]:
    """Build the keyword arguments of `faust.App`."""
    settings = _of_the_group(processor) | _OF_THE_STREAMS | _SWITCHED_OFF
    settings["broker"] = [f"kafka://{server}" for server in servers(kafka)]
    if credentials := faust_credentials(kafka):
        settings["broker_credentials"] = credentials
    instance = member_id(processor.instance) if kafka.embedded else processor.instance
    if instance:
        settings["consumer_group_instance_id"] = instance
    return settings


def _of_the_group(processor: ProcessorSettings) -> dict[str, Any]:
    return {
        "id": processor.group,
        "broker_client_id": client_id(processor),
        "broker_session_timeout": SESSION_SECONDS,
        "broker_heartbeat_interval": 3.0,
        "broker_rebalance_timeout": 60.0,
        "broker_request_timeout": 40.0,  # must be above the session timeout
        "broker_max_poll_interval": 300.0,
        "broker_max_poll_records": MOST_POLLED_RECORDS,
        "broker_commit_interval": 1.0,
        "broker_commit_every": 1000,
        # No error in Faust's log for what is held on purpose.
        "broker_commit_livelock_soft_timeout": 600.0,
        "stream_processing_timeout": 600.0,
    }


_OF_THE_STREAMS: dict[str, Any] = {
    "version": 1,
    "processing_guarantee": "at_least_once",
    # False loses the record in flight at each rebalance.
    "stream_wait_empty": True,
    "stream_buffer_maxsize": STREAM_BUFFER_RECORDS,
    "cython_optimizations": True,
    "consumer_max_fetch_size": MOST_FETCHED_BYTES,
    "consumer_auto_offset_reset": "earliest",
    "key_serializer": "raw",
    "value_serializer": "raw",
    "producer_acks": -1,
    "producer_compression_type": "lz4",
    "producer_request_timeout": 30.0,
}

_SWITCHED_OFF: dict[str, Any] = {
    "store": "memory://",
    "autodiscover": False,
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "table_standby_replicas": 0,
    "web_enabled": False,
    "worker_redirect_stdouts": False,
}
