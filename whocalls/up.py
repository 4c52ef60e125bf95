"""`whocalls up`: the whole pipeline on this machine, live, on the embedded broker. Shell."""

from __future__ import annotations

import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import click

from callgraph.broker import Broker
from callgraph.settings import TopicSettings
from callgraph.topics import TOPICS
from whocalls.embedded_broker import EmbeddedBroker
from whocalls.supervisor import Supervisor

_PARTITIONS = 2


@click.command("up")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True, help="Folder of the files."
)
@click.option("--kube", default="", help="File of Kubernetes objects; without it, the cluster of the kubeconfig.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder of the broker's data; without it, a temporary one."
)
@click.option("--node", default="", help="Kubernetes name of this machine; without it, the host name.")
@click.option("--cluster", default="default", show_default=True, help="Name of the cluster in the records.")
def up_command(out: Path, kube: str, data: Path | None, node: str, cluster: str) -> None:
    """The whole pipeline on this machine, live: capture here, attribute, export to files until stopped.

    Capturing needs root or CAP_NET_RAW. The broker is embedded: for a cluster, deploy beside your own Kafka.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        tempfile.TemporaryDirectory(prefix="whocalls-up-") as folder,
        EmbeddedBroker(data or Path(folder) / "broker") as broker,
    ):
        Broker(broker.kafka_settings).create_topics(TOPICS, TopicSettings(partitions=_PARTITIONS))
        environment = {
            "WHOCALLS_CLUSTER": cluster,
            "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": broker.kafka_settings.bootstrap_servers,
            "WHOCALLS_KAFKA_EMBEDDED": "true",
            "WHOCALLS_AGENT_NODE": node,
        }
        with Supervisor(Path(folder), environment) as supervisor:
            _start_roles(supervisor, out, kube)
            click.echo(f"capturing; the graph is written to {out}/ (Ctrl-C ends)", err=True)
            while not stop.wait(0.5):
                supervisor.check()


def _start_roles(supervisor: Supervisor, out: Path, kube: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    options: dict[str, list[Any]] = {
        "processor": [],
        "watcher": [f"--watcher-objects-file={kube}"] if kube else [],
        "agent": [],
        "exporter": [f"--exporter-out={out}", "--exporter-interval-seconds=5"],
    }
    for role, arguments in options.items():
        supervisor.start(role, role, *arguments)
