"""The live page at two sizes: how long until it can be used, and what the server holds.

`python -m benchmarks.page`: 500 services with 5,000 edges, and 5,000 with 50,000, through the broker that
WHOCALLS_TEST_KAFKA chooses into `whocalls serve`, shown by Debian's chromium without a GPU. Milliseconds are medians of
five, from the click (for the table: from the navigation) to the second frame after; memory is the resident set.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import Row, report
from callgraph.records import Edge, Workload
from callgraph.settings import KafkaSettings, TopicSettings
from sink_exporter.graph import EXTERNAL
from tests.brokers import choose_broker, make_broker
from tests.page.browser import SIZE, launch_chromium
from tests.page.serving import ServeProcess, Topic

SIZES = ((500, 5_000, 25), (5_000, 50_000, 100))
RUNS = 5
_SECOND = 1_000_000_000
_MIB = 1024 * 1024
_PATIENCE_MS = 60_000
_UNTIL_DRAWN = """async (selector) => {
  const started = performance.now();
  document.querySelector(selector).click();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - started;
}"""
_SEARCH = """async (text) => {
  const field = document.querySelector("#search");
  const before = document.querySelector(".shown").textContent;
  const started = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input"));
  while (document.querySelector(".shown").textContent === before) await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""


def make_edges(services: int, edges: int, namespaces: int) -> Iterator[Edge]:
    """Make a cluster, always the same: two calls of three stay in their namespace, one of fifty leaves the cluster."""
    chance = random.Random(1)
    workloads = [_workload(f"team-{n % namespaces:03d}", f"service-{n:05d}") for n in range(services)]
    outside = [_workload("", f"host-{n}.domain-{n % 20}.example", EXTERNAL) for n in range(100)]
    pairs: set[tuple[Workload, Workload]] = set()
    while len(pairs) < edges:
        number = chance.randrange(services)
        kind = chance.random()
        if kind < 0.02:
            server = chance.choice(outside)
        elif kind < 0.67:
            server = workloads[chance.randrange(number % namespaces, services, namespaces)]
        else:
            server = workloads[int(chance.random() ** 2 * services)]
        pairs.add((workloads[number], server))
    for number, (client, server) in enumerate(sorted(pairs, key=_names)):
        yield _edge(client, server, number)


def main() -> None:
    """Measure both sizes, one after the other."""
    figures: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        for services, edges, namespaces in SIZES:
            subject = f"{services:,} services, {edges:,} edges"
            home = Path(folder, str(services))
            home.mkdir()
            figures[subject] = _measure(browser, home, list(make_edges(services, edges, namespaces)))
        browser.close()
    report("page", figures, packages=("aiohttp", "rustworkx", "playwright"))


def _measure(browser: Browser, folder: Path, edges: list[Edge]) -> Row:
    broker = make_broker(choose_broker()[0], folder / "broker")
    broker.start()
    try:
        return _measure_server(browser, folder, broker.kafka_settings, edges)
    finally:
        broker.stop()


def _measure_server(browser: Browser, folder: Path, kafka: KafkaSettings, edges: list[Edge]) -> Row:
    topic = Topic(kafka, TopicSettings(prefix="bench-page.", create=True, partitions=4))
    topic.publish(*edges)
    served = ServeProcess(folder, environment=topic.environment)
    started = time.monotonic()
    served.start()
    figures: Row = {"ready_s": time.monotonic() - started}
    page = browser.new_page(viewport=SIZE)
    figures |= _measure_page(page, served.address)
    figures["live_s"] = _measure_update(page, topic, edges[0])
    figures["server_mib"] = served.resident_bytes() / _MIB
    page.close()
    served.stop()
    return figures


def _measure_page(page: Page, address: str) -> Row:
    def tab(name: str) -> float:
        return float(page.evaluate(_UNTIL_DRAWN, f'.tab[title^="{name}"]'))

    return {
        "table_ms": _rounds(lambda: _open(page, address)),
        "search_ms": _rounds(lambda: _search(page)),
        "focus_ms": _rounds(lambda: _focus(page, tab)),
        "map_ms": _rounds(lambda: (tab("Services"), tab("Map"))[1]),
        "matrix_ms": _rounds(lambda: (tab("Services"), tab("Matrix"))[1]),
        "boxes": page.evaluate("location.hash = '#view=map'") and page.locator(".map-box").count(),
    }


def _open(page: Page, address: str) -> float:
    started = time.monotonic()
    page.goto("about:blank")
    page.goto(address)
    page.locator(".table-body .table-row").first.wait_for(timeout=_PATIENCE_MS)
    return (time.monotonic() - started) * 1_000


def _search(page: Page) -> float:
    found = float(page.evaluate(_SEARCH, "service-0012"))
    page.evaluate(_SEARCH, "")
    return found


def _focus(page: Page, tab: Callable[[str], float]) -> float:
    tab("Services")
    page.locator(".table-body a.name").first.wait_for(timeout=_PATIENCE_MS)
    return float(page.evaluate(_UNTIL_DRAWN, ".table-body a.name"))


def _measure_update(page: Page, topic: Topic, edge: Edge) -> float:
    page.evaluate("location.hash = '#q=name:newcomer'")
    page.locator(".empty").wait_for(timeout=_PATIENCE_MS)
    topic.publish(_edge(edge.client, _workload("team-000", "newcomer"), 1))
    started = time.monotonic()
    page.locator("a.name", has_text="newcomer").wait_for(timeout=_PATIENCE_MS)
    return time.monotonic() - started


def _rounds(measure: Callable[[], float]) -> list[float]:
    return [measure() for _ in range(RUNS)]


def _workload(namespace: str, name: str, kind: str = "Deployment") -> Workload:
    return Workload(cluster="prod", namespace=namespace, kind=kind, name=name)


def _edge(client: Workload, server: Workload, number: int) -> Edge:
    name = f"{server.name}.{server.namespace}.svc.cluster.local" if server.namespace else server.name
    return Edge(
        client=client,
        server=server,
        server_port=8080 if number % 3 else None,
        network_transport="tcp" if number % 3 else None,
        evidence=("dns", "socket") if number % 3 else ("dns",),
        dns_names=(name,),
        services=(f"{server.namespace}/{server.name}",) if server.namespace else (),
        nodes=(f"node-{number % 40}", f"node-{number % 39}"),
        first_seen=1_790_000_000 * _SECOND + number,
        last_seen=1_795_000_000 * _SECOND + number,
        observations=number,
        exemplars=(f"whocalls.dns-answers/{number % 12}/{number}",),
    )


def _names(pair: tuple[Workload, Workload]) -> tuple[str, str]:
    return pair[0].name, pair[1].name


if __name__ == "__main__":
    main()
