"""The whole way by keyboard: search, table, focus, evidence, map, back."""

import pytest
from playwright.sync_api import expect

from tests.page.browser import exact

CHECKOUT = "s=prod-eu1/checkout/Deployment/checkoutservice"


def focused_text(page):
    return page.evaluate("document.activeElement.innerText ?? document.activeElement.textContent").strip()


def focused_key(page):
    return page.evaluate("document.activeElement.dataset.key")


def test_from_the_search_to_the_evidence_and_back(window, sample_file):
    page = window.open(sample_file)
    page.keyboard.press("/")
    page.keyboard.type("ns:checkout")
    expect(page.locator(".table-body .table-row")).to_have_count(5)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".focus-card h2")).to_have_text("checkoutservice")
    expect(page.locator(".focus-card")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    drawer = page.locator(".drawer")
    expect(drawer).to_be_visible()
    expect(drawer.locator("h2")).to_be_focused()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search services and calls")).to_have_value("")
    page.keyboard.press("Escape")
    expect(page.get_by_role("table")).to_be_focused()


@pytest.mark.parametrize(
    ("key", "label"), [("t", "Services"), ("f", "Focus"), ("m", "Map"), ("x", "Matrix"), ("c", "Changes")]
)
def test_a_letter_opens_a_view(window, sample_file, key, label):
    page = window.open(sample_file, CHECKOUT)
    page.keyboard.press(key)
    expect(page.locator(".tab[aria-current]")).to_have_text(label)
    expect(page.get_by_role("region", name=exact(label))).to_be_visible()


def test_letters_typed_into_the_search_open_nothing(window, sample_file):
    page = window.open(sample_file)
    page.keyboard.press("/")
    page.keyboard.type("mfx?d")
    expect(page.locator(".tab[aria-current]")).to_have_text("Services")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_the_question_mark_helps_and_escape_closes(window, sample_file):
    page = window.open(sample_file)
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys and search")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_arrows_move_across_the_columns_of_focus(window, sample_file):
    page = window.open(sample_file, f"view=focus&{CHECKOUT}")
    page.keyboard.press("f")
    page.keyboard.press("ArrowLeft")
    assert focused_text(page) == "frontend"
    page.keyboard.press("ArrowDown")
    assert focused_text(page) == "mobile-bff"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused_text(page) == "currencyservice"
    page.keyboard.press("Enter")
    expect(page.locator(".focus-card h2")).to_have_text("currencyservice")


def test_arrows_move_from_box_to_box_on_the_map(window, sample_file):
    page = window.open(sample_file, "view=map")
    page.keyboard.press("m")
    page.keyboard.press("ArrowRight")
    first = focused_key(page)
    page.keyboard.press("ArrowRight")
    assert focused_key(page) != first
    page.keyboard.press("Enter")
    expect(page.locator(".focus-card, .map-box.closed").first).to_be_visible()


def test_the_first_stop_of_the_tab_key_skips_to_the_view(window, sample_file):
    page = window.open(sample_file)
    page.keyboard.press("Tab")
    assert focused_text(page) == "Skip to the view"
    page.keyboard.press("Enter")
    expect(page.get_by_role("table")).to_be_focused()


def test_the_table_can_be_read_to_its_end_by_keyboard(window, sample_file):
    page = window.open(sample_file)
    page.keyboard.press("t")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator(".focus-card h2")).to_have_text("warehouse-loader")
