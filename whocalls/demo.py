"""`whocalls demo`: a shop's traffic through the whole pipeline, on this machine, with no cluster. Shell.

Every joint is real: agents, watcher, processor and exporter are processes that meet only through a broker. The input is
made by `whocalls.shop_traffic`; the broker is the embedded one.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import click

from callgraph.broker import Broker
from callgraph.settings import TopicSettings
from callgraph.topics import TOPICS
from stream_processor.settings import ProcessorSettings
from whocalls.drained import await_drained
from whocalls.embedded_broker import EmbeddedBroker
from whocalls.shop import CALLS
from whocalls.shop_traffic import ShopInput, write_shop_input
from whocalls.supervisor import Supervisor

_PARTITIONS = 2
_PATIENCE_SECONDS = 60.0


@click.command("demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True, help="Folder of the YAML."
)
@click.option("--write-input", type=click.Path(path_type=Path), help="Only write the shop's captures and objects here.")
@click.option("--keep-logs", is_flag=True, help="Keep the folder with the input and the logs of the processes.")
def demo_command(out: Path, write_input: Path | None, keep_logs: bool) -> None:
    """A shop's traffic through the whole real pipeline on an embedded broker: no cluster, no root, no Java."""
    if write_input:
        write_shop_input(write_input)
        _say(f"wrote the shop's captures, /proc tables and Kubernetes objects to {write_input}")
        return
    folder = Path(tempfile.mkdtemp(prefix="whocalls-demo-"))
    try:
        run_demo(folder, out)
    finally:
        if keep_logs:
            _say(f"logs and input are in {folder}")
        else:
            shutil.rmtree(folder)
    click.echo((out / "callgraph.txt").read_text(encoding="utf-8"), nl=False)


def run_demo(folder: Path, out: Path) -> None:
    """Run the pipeline once over the shop's input and write the graph to `out`."""
    started = time.monotonic()
    shop = write_shop_input(folder / "input")
    calls = sum(len(servers) for servers in CALLS.values())
    _say(f"input      two nodes' captures and /proc tables of a shop with {calls} calls")
    with EmbeddedBroker(folder / "broker") as broker:
        kafka = broker.kafka_settings
        topics = TopicSettings(partitions=_PARTITIONS)
        Broker(kafka).create_topics(TOPICS, topics)
        _say(f"broker     embedded, on {kafka.bootstrap_servers}, {len(TOPICS)} topics")
        environment = {
            "WHOCALLS_CLUSTER": "demo",
            "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "WHOCALLS_KAFKA_EMBEDDED": "true",
            "WHOCALLS_PROCESSOR_LISTEN": "127.0.0.1:0",
            # What only moves a last_seen would else be acknowledged up to a minute later.
            "WHOCALLS_PROCESSOR_LAST_SEEN_SECONDS": "0",
        }
        with Supervisor(folder, environment) as supervisor:
            _run_roles(supervisor, shop, out)
            group = ProcessorSettings().group
            records = await_drained(kafka, topics, group=group, seconds=_PATIENCE_SECONDS, check=supervisor.check)
            _say(f"processor  finished {records} records")
            exporter = supervisor.start("exporter", "exporter", "--once", "--exporter-out", str(out))
            supervisor.finish(exporter, seconds=_PATIENCE_SECONDS)
            _say(f"exporter   wrote {out}/ ({time.monotonic() - started:.1f} s since the start)")


def _run_roles(supervisor: Supervisor, shop: ShopInput, out: Path) -> None:
    """Start everything at once; wait for the roles that end by themselves."""
    out.mkdir(parents=True, exist_ok=True)
    supervisor.start("processor", "processor")
    watcher = supervisor.start("watcher", "watcher", "--watcher-objects-file", str(shop.objects))
    agents = [
        supervisor.start(
            f"agent {node}",
            "agent",
            f"--agent-node={node}",
            f"--source=pcap:{capture}",
            f"--source=proc:{shop.proc_trees[node]}",
        )
        for node, capture in shop.captures.items()
    ]
    supervisor.finish(watcher, seconds=_PATIENCE_SECONDS)
    _say("watcher    published the Kubernetes objects")
    for agent in agents:
        supervisor.finish(agent, seconds=_PATIENCE_SECONDS)
    _say(f"agents     {len(agents)} nodes, captures and /proc tables published")


def _say(line: str) -> None:
    click.echo(line, err=True)
