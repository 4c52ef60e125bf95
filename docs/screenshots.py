"""The pictures of the page in docs/screenshots/: python -m docs.screenshots. Shell: a browser, the demo, files.

`demo-*.png` show what `whocalls demo` finds; the others a shop of six teams (tests/sample_cluster.py), because the demo
has one namespace. optipng makes them smaller where it is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace
from playwright.sync_api import Browser, sync_playwright

from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.page_source import render_page
from sink_exporter.program import load_graph_from_file
from tests.page.browser import Window, launch_chromium
from tests.sample_cluster import sample_edges, sample_graph, workload_at

FOLDER = Path(__file__).parent / "screenshots"
_CHECKOUT = "s=prod-eu1/checkout/Deployment/checkoutservice"
_PAYMENT = "Evidence of the call from checkoutservice to paymentservice"


class Shot(NamedTuple):
    """One picture: its file, what the address says, light or dark, and what to click on before."""

    name: str
    fragment: str
    scheme: str = "light"
    click: str = ""


DEMO = (
    Shot("demo-map", "view=map"),
    Shot("demo-focus", "view=focus&s=demo/otterize-ecom-demo/Deployment/checkoutservice"),
)
SAMPLE = (
    Shot("map", "view=map"),
    Shot("map-dark", f"view=map&{_CHECKOUT}", "dark"),
    Shot("services", "view=services"),
    Shot("evidence", f"view=focus&{_CHECKOUT}", click=_PAYMENT),
    Shot("matrix", "view=matrix"),
    Shot("changes", "view=changes"),
)


def main() -> None:
    """Make every picture."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        _take(browser, _write_page(Path(folder, "demo.html"), _run_demo(Path(folder, "out"))), DEMO)
        _take(browser, _write_page(Path(folder, "sample.html"), sample_graph(), _earlier()), SAMPLE)
        browser.close()
    if optipng := shutil.which("optipng"):
        subprocess.run([optipng, "-quiet", *sorted(map(str, FOLDER.glob("*.png")))], check=True)  # noqa: S603


def _run_demo(out: Path) -> CallGraph:
    subprocess.run([sys.executable, "-m", "whocalls", "demo", "--out", str(out)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return load_graph_from_file(str(out))


def _earlier() -> CallGraph:
    """Return the shop as it was before a few changes, for the view of them."""
    edges = sample_edges()
    old = replace(edges[10], server=workload_at("catalog/solr"))
    dns_only = replace(edges[2], server_port=None, network_transport=None, evidence=("dns",))
    return build_graph([*edges[:2], dns_only, *edges[3:10], old, *edges[11:28], *edges[30:]])


def _write_page(path: Path, graph: CallGraph, baseline: CallGraph | None = None) -> str:
    path.write_bytes(render_page(graph, baseline))
    return f"file://{path}"


def _take(browser: Browser, address: str, shots: tuple[Shot, ...]) -> None:
    for shot in shots:
        window = Window(browser, color_scheme=shot.scheme, reduced_motion="reduce")
        page = window.open(address, shot.fragment)
        if shot.click:
            page.get_by_role("button", name=shot.click).click()
            page.locator(".drawer dl").wait_for()
        page.screenshot(path=FOLDER / f"{shot.name}.png")
        window.context.close()


if __name__ == "__main__":
    main()
