"""What goes out as a file can be read by every command; what comes in as a file is compared."""

import csv
import io
import json

import pytest
from playwright.sync_api import expect

from sink_exporter.filters import Filter, filter_graph
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.graph_files import parse_graph
from sink_exporter.page_source import render_page
from sink_exporter.render_csv import render_csv
from sink_exporter.render_json import render_json, render_json_lines
from sink_exporter.render_yaml import render_yaml
from tests.page.browser import data_of
from tests.sample_cluster import sample_edges, sample_graph, workload_at

SHOWN = filter_graph(sample_graph(), Filter(infrastructure=False))


def download(page, name):
    page.keyboard.press("d")
    with page.expect_download() as started:
        page.get_by_role("button", name=name, exact=True).click()
    page.keyboard.press("Escape")
    return started.value.path(), started.value.suggested_filename


def ends_of(graph):
    return [(arrow.client, arrow.server, arrow.ports, arrow.via) for arrow in graph.arrows]


@pytest.mark.parametrize("name", ["JSON", "YAML"])
def test_a_downloaded_graph_reads_back_as_what_was_shown(window, sample_file, name):
    path, file = download(window.open(sample_file), name)
    assert file == f"callgraph.{name.lower()}"
    assert ends_of(parse_graph(path.read_bytes(), file)) == ends_of(SHOWN)


def test_the_downloaded_yaml_is_the_canonical_one(window, sample_file):
    path, _ = download(window.open(sample_file), "YAML")
    assert path.read_text() == render_yaml(SHOWN)


def test_the_downloaded_table_is_the_exported_one(window, sample_file):
    path, _ = download(window.open(sample_file), "CSV")
    assert list(csv.reader(io.StringIO(path.read_text()))) == list(csv.reader(io.StringIO(render_csv(SHOWN))))


def test_only_what_passes_the_filters_is_downloaded(window, sample_file):
    page = window.open(sample_file, "q=to:redis-cart")
    path, _ = download(page, "JSON")
    assert [call["server"]["name"] for call in json.loads(path.read_text())["calls"]] == ["redis-cart"]


def test_from_focus_only_the_calls_of_the_service_are_downloaded(window, sample_file):
    page = window.open(sample_file, "view=focus&s=prod-eu1/payments/StatefulSet/ledger")
    path, _ = download(page, "Mermaid")
    text = path.read_text()
    assert text.startswith("flowchart LR\n")
    assert text.count("-->") == 3


@pytest.mark.parametrize("view", ["services", "map"])
def test_the_picture_stands_alone(window, sample_file, view):
    page = window.open(sample_file, f"view={view}")
    path, _ = download(page, "SVG")
    text = path.read_text()
    assert text.startswith("<svg ")
    assert "checkoutservice" in text
    assert not any(word in text for word in ("class=", "var(", "<script", "onclick"))
    png, file = download(page, "PNG")
    assert file == "callgraph.png"
    assert png.read_bytes().startswith(b"\x89PNG")
    assert png.stat().st_size > 20_000


@pytest.fixture
def earlier():
    """The shop before: without one call, with another, and with a port less."""
    edges = sample_edges()
    gone = edges[0]
    extra = gone.__class__(client=workload_at("web/frontend"), server=workload_at("web/old-cart"), evidence=("dns",))
    return build_graph([extra, *edges[1:18], *edges[19:]])


def changes(page):
    return {
        kind: [text.replace("\n", " ") for text in page.locator(f".change.{kind}").all_inner_texts()]
        for kind in ("added", "removed", "changed")
    }


@pytest.mark.parametrize(
    ("file", "render"),
    [
        ("before.json", lambda graph: render_json(graph).encode()),
        ("before.jsonl", lambda graph: render_json_lines(graph).encode()),
        ("before.yaml", lambda graph: render_yaml(graph).encode()),
        ("before.html", render_page),
    ],
)
def test_a_loaded_file_is_compared_with_the_graph(window, sample_file, earlier, tmp_path, file, render):
    (tmp_path / file).write_bytes(render(earlier))
    page = window.open(sample_file, "view=changes")
    expect(page.get_by_role("heading", name="No difference")).to_be_visible()
    page.locator("#compare-file").set_input_files(tmp_path / file)
    expect(page.locator(".change")).to_have_count(3)
    found = changes(page)
    assert [kind for kind in found if found[kind]] == ["added", "removed"]
    assert "redis-cart" in found["added"][0]
    assert "loadgenerator" in found["added"][1]
    assert "old-cart" in found["removed"][0]


def test_a_changed_port_is_a_change_and_says_which(window, sample_file, tmp_path):
    other = [
        each.__class__(**{name: getattr(each, name) for name in ("client", "server")}, evidence=("dns",))
        for each in sample_edges()[:1]
    ]
    (tmp_path / "other.json").write_text(render_json(build_graph([*other, *sample_edges()[1:]])))
    page = window.open(sample_file, "view=changes")
    page.locator("#compare-file").set_input_files(tmp_path / "other.json")
    expect(page.locator(".change.changed .detail")).to_have_text("+socket +8080/TCP")


def test_a_file_that_is_no_graph_is_refused_in_words(window, sample_file, tmp_path):
    (tmp_path / "x.json").write_text('{"some": "thing"}')
    page = window.open(sample_file, "view=changes")
    page.locator("#compare-file").set_input_files(tmp_path / "x.json")
    expect(page.locator(".toast")).to_contain_text("Cannot read x.json: expected calls with a client and a server")


def test_an_exported_page_may_bring_its_baseline(window, earlier, tmp_path):
    path = tmp_path / "with-baseline.html"
    path.write_bytes(render_page(sample_graph(), earlier))
    assert "baseline" in data_of(path)
    page = window.open(f"file://{path}", "view=changes")
    expect(page.locator(".change")).to_have_count(3)


def test_an_empty_graph_says_that_it_is_empty(window, tmp_path):
    path = tmp_path / "empty.html"
    path.write_bytes(render_page(CallGraph()))
    page = window.open(f"file://{path}")
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    for key in "fmxt":
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
