"""The page says what its graph rests on: quietly, in words, and only where it is known."""

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from callgraph.records import CoverageRecord
from sink_exporter.coverage import summarize_coverage
from sink_exporter.page_source import render_page
from tests.page.serving import ServeProcess, Topic
from tests.sample_cluster import sample_edges, sample_graph

_SECOND = 1_000_000_000
_NOON = 1_795_000_000 * _SECOND
HOSTILE = "<img src=x onerror=alert(1)>"
PATIENCE = 60_000


def record(node, *, to_at=_NOON, **counts):
    return CoverageRecord(cluster="prod-eu1", node=node, from_at=_NOON - 3_600 * _SECOND, to_at=to_at, **counts)


@pytest.fixture
def open_page(window, tmp_path):
    """Open the sample cluster as it was seen with the records given."""

    def open_covered(*records):
        path = tmp_path / "covered.html"
        path.write_bytes(render_page(replace(sample_graph(), coverage=summarize_coverage(records))))
        return window.open(f"file://{path}")

    return open_covered


def test_a_graph_of_which_nothing_is_known_says_nothing(window, sample_file):
    expect(window.open(sample_file).locator(".coverage")).to_be_hidden()


def test_when_all_report_and_nothing_is_lost_it_is_a_number_of_nodes(open_page):
    note = open_page(record("a"), record("b")).locator(".coverage")
    expect(note.locator("summary")).to_have_text("2 nodes")
    expect(note.locator(".menu-body")).to_be_hidden()


def test_silent_nodes_and_losses_are_in_sight_and_the_rest_behind_them(open_page, window):
    page = open_page(
        record("a", lost_batches=2, kernel_dropped=1_000, observations=200, unresolved={"unknown_pod_address": 5}),
        record(HOSTILE, to_at=_NOON - 1_000 * _SECOND),
    )
    summary = page.locator(".coverage summary")
    expect(summary).to_have_text("1 of 2 nodes · 1,002 lost")
    summary.focus()
    page.keyboard.press("Enter")
    rows = page.locator(".coverage dl").inner_text().replace("\n", " ")
    assert f"Silent {HOSTILE} From 2026-" in rows
    assert "Lost 1,000 packets in the kernel, 2 batches" in rows
    assert "Unresolved 2.5 % Reasons unknown_pod_address 5" in rows
    assert window.serious_findings() == []
    page.keyboard.press("Escape")
    expect(page.locator(".coverage .menu-body")).to_be_hidden()


def test_the_note_closes_with_a_click_elsewhere(open_page):
    page = open_page(record("a"))
    page.locator(".coverage summary").click()
    expect(page.locator(".coverage .menu-body")).to_be_visible()
    page.locator("main").click(position={"x": 5, "y": 5})
    expect(page.locator(".coverage .menu-body")).to_be_hidden()


@pytest.mark.kafka
def test_the_live_page_follows_what_the_graph_rests_on(kafka_settings, topic_settings, window, tmp_path):
    topic = Topic(kafka_settings, topic_settings)
    topic.publish(*sample_edges())
    topic.cover(record("a"))
    served = ServeProcess(tmp_path, environment=topic.environment).start()
    summary = window.open(served.address).locator(".coverage summary")
    expect(summary).to_have_text("1 node", timeout=PATIENCE)
    topic.cover(record("b", lost_batches=1))
    expect(summary).to_have_text("2 nodes · 1 lost", timeout=PATIENCE)
    assert b'"lost_batches":1' in served.get("api/v1/export/html")[2]
    served.stop()
