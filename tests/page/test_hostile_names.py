"""Names from a cluster are anybody's: in every field they are text, in every view, in every file."""

import pytest
from playwright.sync_api import expect

from callgraph.records import Edge, Workload
from sink_exporter.graph import EXTERNAL, build_graph
from sink_exporter.page_source import render_page

SAME_AS_ADDRESS = "text => new URLSearchParams(location.hash.slice(1)).get('q') === text"
EVIL = "<img src=x onerror=alert(1)>"
MORE = (
    "</script><script>alert(2)</script>",
    "<!--<script>",
    "javascript:alert(3)",
    "'\"`;alert(4)//",
    "\u202egnp.exe",
    "a\nb\u2028c\x00d",
    "__proto__",
    "{{script}}",
    "%3Cimg src=x onerror=alert(5)%3E",
)


def hostile_edges(name):
    client = Workload(cluster=name, namespace=name, kind=name, name=name)
    server = Workload(cluster=name, namespace=f"{name}2", kind=name, name=f"{name}2")
    outside = Workload(cluster=name, namespace="", kind=EXTERNAL, name=f"{name}.example.com")
    fields = {"dns_names": (name,), "services": (name,), "nodes": (name,), "exemplars": (name,)}
    for end in (server, outside):
        yield Edge(
            client=client, server=end, server_port=80, network_transport="tcp", evidence=("dns",), last_seen=9, **fields
        )


@pytest.fixture(params=[EVIL, *MORE], ids=range(1 + len(MORE)))
def hostile(request, tmp_path):
    path = tmp_path / "hostile.html"
    path.write_bytes(render_page(build_graph(hostile_edges(request.param)), build_graph([])))
    return request.param, f"file://{path}"


def open_everything(page):
    """Go through every view, every window and the evidence."""
    page.locator(".table-body a.name").first.click()
    page.locator(".evidence").first.click()
    expect(page.locator(".drawer dl")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Namespaces").click()
    page.keyboard.press("Escape")
    for key in ("m", "x", "c", "t"):
        page.keyboard.press(key)
        assert page.locator("img, iframe, object").count() == 0
        assert page.evaluate("document.scripts.length") == 2


def test_a_hostile_name_is_text_everywhere(window, hostile):
    name, address = hostile
    page = window.open(address)
    shown = page.locator(".table-body a.name").all_text_contents()
    assert {name, f"{name}2"} <= set(shown)
    open_everything(page)
    assert window.problems == []


@pytest.mark.parametrize("form", ["SVG", "JSON", "CSV", "YAML", "Mermaid", "PNG"])
def test_a_hostile_name_is_text_in_every_download(window, tmp_path, form):
    path = tmp_path / "hostile.html"
    path.write_bytes(render_page(build_graph(hostile_edges(EVIL))))
    page = window.open(f"file://{path}", "view=map")
    page.keyboard.press("d")
    with page.expect_download() as started:
        page.get_by_role("button", name=form, exact=True).click()
    content = started.value.path().read_bytes()
    if form in ("SVG", "Mermaid"):
        assert b"<img" not in content
    assert content


def test_a_hostile_address_of_the_page_does_nothing(window, sample_file):
    page = window.page
    page.goto(f"{sample_file}#view={EVIL}&s=__proto__&q=<b>&edge=constructor.x&open=__proto__&ns=%E0%A4%A")
    page.locator(".shown").wait_for()
    assert page.locator("img").count() == 0


def test_the_search_field_takes_anything(window, sample_file):
    page = window.open(sample_file)
    field = page.get_by_label("Search services and calls")
    for text in (EVIL, *MORE, "ns:[", "from:*?+", "port:", "new:x", "-", "--", ":"):
        field.fill(text)
        page.wait_for_function(SAME_AS_ADDRESS, arg=field.input_value())
