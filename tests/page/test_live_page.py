"""The page over a real broker: what reaches the topic appears, and a lost connection comes back."""

import time

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from callgraph.records import Edge
from tests.page.browser import Window
from tests.page.serving import ServeProcess, Topic
from tests.sample_cluster import sample_edges, workload_at

pytestmark = pytest.mark.kafka
_SECOND = 1_000_000_000
PATIENCE = 30_000


@pytest.fixture
def topic(kafka_settings, topic_settings):
    topic = Topic(kafka_settings, topic_settings)
    topic.publish(*sample_edges(int(time.time())))
    return topic


@pytest.fixture
def served(topic, tmp_path):
    process = ServeProcess(tmp_path, environment=topic.environment).start()
    yield process
    if process.process.poll() is None:
        process.stop()


def new_edge(client, server, port=8080):
    now = int(time.time()) * _SECOND
    ends = {"client": workload_at(client), "server": workload_at(server)}
    return Edge(**ends, server_port=port, network_transport="tcp", evidence=("socket",), first_seen=now, last_seen=now)


def names(page):
    return page.locator(".table-body a.name")


def test_the_live_page_shows_the_topic_and_says_that_it_is_live(served, window):
    page = window.open(served.address)
    expect(page.locator(".shown")).to_have_text("28 services · 38 calls")
    expect(page.locator(".status.live")).to_be_visible()
    assert {url.removeprefix(served.address).split("?")[0] for url in window.requests} <= {
        *("", "api/v1/graph", "api/v1/events", "favicon.ico"),
    }


def test_a_new_call_appears_without_reload_or_jump(served, window, topic):
    page = window.open(served.address, "view=map")
    expect(page.locator(".status.live")).to_be_visible()
    boxes = {each: page.locator(f'[data-key$="{each}"]').bounding_box() for each in ("frontend", "ledger", "kafka")}
    topic.publish(new_edge("web/frontend", "catalog/search", 9000))
    page.locator('.map-line[data-from$="frontend"][data-to$="search"]').wait_for(state="attached", timeout=PATIENCE)
    assert {each: page.locator(f'[data-key$="{each}"]').bounding_box() for each in boxes} == boxes


def test_a_new_service_and_a_call_that_is_gone_show_in_every_view(served, window, topic):
    page = window.open(served.address, "q=new-thing")
    expect(page.get_by_role("heading", name="Nothing passes the filters")).to_be_visible()
    edge = new_edge("newcomers/new-thing", "catalog/search")
    topic.publish(edge)
    expect(names(page)).to_have_text(["new-thing"], timeout=PATIENCE)
    expect(page.locator(".tag.flag-new")).to_be_visible()
    page.get_by_role("button", name="Changes").click()
    expect(page.locator(".change.added")).to_have_count(1)
    topic.delete(edge)
    expect(page.locator(".change")).to_have_count(0, timeout=PATIENCE)


def test_scroll_focus_and_search_survive_an_update(served, window, topic):
    page = window.open(served.address)
    page.set_viewport_size({"width": 1200, "height": 420})
    table = page.locator(".table")
    table.evaluate("table => table.scrollTo(0, 300)")
    page.get_by_role("button", name="Callers").focus()
    topic.publish(new_edge("web/frontend", "aaa/aaa-first"))
    expect(page.locator(".shown")).to_have_text("29 services · 39 calls", timeout=PATIENCE)
    assert table.evaluate("table => table.scrollTop") == 300
    expect(page.get_by_role("button", name="Callers")).to_be_focused()


def test_the_evidence_is_asked_from_the_server(served, window):
    page = window.open(served.address, "view=focus&s=prod-eu1/checkout/Deployment/checkoutservice")
    page.get_by_role("button", name="Evidence of the call from checkoutservice to paymentservice").click()
    expect(page.locator(".drawer").get_by_text("whocalls.dns-answers/3/88121", exact=True)).to_be_visible()


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_lost_connection_is_said_and_resumes_after_a_restart(browser, served, topic, kill):
    window = Window(browser)
    page = window.open(served.address)
    expect(page.locator(".status.live")).to_be_visible()
    served.stop(kill=kill)
    expect(page.locator(".status.lost")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".toast")).to_contain_text("connection is lost")
    expect(page.locator(".shown")).to_have_text("28 services · 38 calls")
    topic.publish(new_edge("web/frontend", "catalog/while-away"))
    served.start()
    expect(page.locator(".status.live")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".shown")).to_have_text("29 services · 39 calls", timeout=PATIENCE)
    topic.publish(new_edge("web/frontend", "catalog/after-restart"))
    expect(page.locator(".shown")).to_have_text("30 services · 40 calls", timeout=PATIENCE)
    window.context.close()
    # The browser itself writes a line for each request that nobody or a server not yet ready answers.
    assert [each for each in window.problems if "Failed to load resource" not in each] == []


@pytest.fixture
def guarded(topic, tmp_path):
    """A page that wants a token."""
    (tmp_path / "token").write_text("open sesame\n")
    process = ServeProcess(tmp_path, f"--page-token-file={tmp_path / 'token'}", environment=topic.environment).start()
    yield process
    process.stop()


def test_a_page_behind_a_token_asks_for_it_once(browser, guarded):
    window = Window(browser)
    window.page.goto(guarded.address)
    window.page.get_by_role("textbox", name="Token").fill("open sesame")
    window.page.get_by_role("button", name="Go on").click()
    expect(window.page.locator(".shown")).to_have_text("28 services · 38 calls")
    window.page.reload()
    expect(window.page.locator(".status.live")).to_be_visible()
    window.context.close()
    assert [each for each in window.problems if "401" not in each] == []


def test_a_call_that_is_only_seen_again_moves_its_last_seen(served, window, topic):
    page = window.open(served.address, "q=name:nightly-reconcile")
    expect(page.locator(".table-body")).to_contain_text("11 h ago")
    edge = next(each for each in sample_edges(int(time.time())) if each.client.name == "nightly-reconcile")
    topic.publish(replace(edge, last_seen=int(time.time()) * _SECOND))
    expect(page.locator(".table-body")).to_contain_text("just now", timeout=PATIENCE)
