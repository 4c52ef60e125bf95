"""Every view of the page, in a browser, on an exported file: no server, no request."""

import pytest
from playwright.sync_api import expect

from tests.page.browser import exact

CHECKOUT = "s=prod-eu1/checkout/Deployment/checkoutservice"


def rows(page):
    return page.locator(".table-body .table-row")


def names(page):
    return page.locator(".table-body a.name").all_inner_texts()


def test_a_file_opens_with_no_request_but_its_own(window, sample_file):
    window.open(sample_file)
    assert [url for url in window.requests if not url.startswith(sample_file)] == []


def test_the_table_lists_services_with_their_callers_and_callees(window, sample_file):
    page = window.open(sample_file)
    row = rows(page).filter(has=page.get_by_text("checkoutservice", exact=True))
    assert row.get_by_role("cell").all_inner_texts()[:5] == ["checkoutservice", "checkout", "Deployment", "2", "7"]
    expect(page.locator(".shown")).to_have_text("28 services · 38 calls")


def test_a_click_on_a_title_sorts(window, sample_file):
    page = window.open(sample_file)
    page.get_by_role("button", name="Callees").click()
    assert names(page)[0] in ("checkoutservice", "frontend")
    expect(page.get_by_role("columnheader", name="Callees")).to_have_attribute("aria-sort", "ascending")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cart", ["cartservice", "redis-cart"]),
        ("ns:pay* kind:StatefulSet", ["ledger", "payments-db"]),
        ("from:etl-orders", ["etl-orders", "kafka", "orders-db"]),
        ("to:payments/ledger", ["ledger", "nightly-reconcile", "paymentservice"]),
        ("port:6379", ["cartservice", "redis-cart"]),
        ("via:syn", ["currencyservice", "frontend"]),
        ("new:1d -ns:payments", []),
        ("-kind:Deployment ns:data to:orders-db", ["orders-db", "warehouse-loader"]),
        ("no such thing", []),
        ("<b>", []),
        ("(", []),
    ],
)
def test_the_search_narrows_the_table_at_once(window, sample_file, query, found):
    page = window.open(sample_file)
    page.get_by_label("Search services and calls").fill(query)
    if found:
        expect(rows(page)).to_have_count(len(found))
        assert names(page) == found
    else:
        expect(page.get_by_role("heading", name="Nothing passes the filters")).to_be_visible()


def test_infrastructure_is_hidden_and_the_page_says_so(window, sample_file):
    page = window.open(sample_file)
    hidden = page.get_by_role("button", name="2 infrastructure hidden: show")
    assert hidden.get_attribute("title") == "kube-system/coredns, monitoring/prometheus"
    assert "coredns" not in names(page)
    hidden.click()
    expect(page.locator(".table-body a.name", has_text="prometheus")).to_be_visible()
    page.get_by_role("button", name="Hide infrastructure").click()
    expect(page.locator(".table-body a.name", has_text="prometheus")).to_have_count(0)


def test_external_hosts_stand_together_by_domain_or_apart(window, sample_file):
    page = window.open(sample_file)
    assert {"amazonaws.com", "example.com"} <= set(names(page))
    page.get_by_label("External").select_option("each")
    expect(page.locator("a.name", has_text="eu.risk.example.com")).to_be_visible()
    page.get_by_label("External").select_option("hide")
    expect(page.locator(".tag", has_text=exact("external"))).to_have_count(0)


def test_filters_come_before_the_views(window, sample_file):
    page = window.open(sample_file)
    page.get_by_role("button", name="Namespaces").click()
    page.get_by_label("payments", exact=True).check()
    expect(page.locator(".shown")).to_have_text("9 services · 9 calls")
    page.get_by_role("button", name="Map").click()
    expect(page.locator(".map-box")).to_have_count(9)
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".map-box")).to_have_count(28)


def test_focus_shows_callers_service_and_callees(window, sample_file):
    page = window.open(sample_file, f"view=focus&{CHECKOUT}")
    expect(page.locator(".focus-card h2")).to_have_text("checkoutservice")
    assert page.locator(".focus-side.callers .row-line .service").all_inner_texts() == ["frontend", "mobile-bff"]
    assert page.locator(".focus-side.callees h4").all_inner_texts() == ["catalog", "checkout", "data", "payments"]
    assert page.locator(".connectors path").count() == 9


def test_a_neighbour_opens_one_step_further_and_becomes_the_focus(window, sample_file):
    page = window.open(sample_file, f"view=focus&{CHECKOUT}")
    page.get_by_role("button", name="Show its callers: +1").click()
    expect(page.locator(".further .service")).to_have_text("loadgenerator")
    page.locator(".focus-side.callees .service", has_text="paymentservice").click()
    expect(page.locator(".focus-card h2")).to_have_text("paymentservice")
    page.go_back()
    expect(page.locator(".focus-card h2")).to_have_text("checkoutservice")


def test_the_drawer_says_why(window, sample_file):
    page = window.open(sample_file, f"view=focus&{CHECKOUT}")
    page.get_by_role("button", name="Evidence of the call from checkoutservice to paymentservice").click()
    drawer = page.locator(".drawer")
    expect(drawer.locator("dd").first).to_have_text("50051/TCP")
    for text in ("paymentservice.payments.svc.cluster.local", "node-a", "421", "whocalls.dns-answers/3/88121"):
        expect(drawer.get_by_text(text, exact=True)).to_be_visible()
    expect(drawer.locator("code")).to_have_text("whocalls why checkout/checkoutservice payments/paymentservice")
    drawer.get_by_role("button", name="Close").click()
    expect(drawer).to_be_hidden()


def test_the_map_draws_callers_left_of_callees_and_marks_neighbours(window, sample_file):
    page = window.open(sample_file, f"view=map&{CHECKOUT}")
    left = {name: page.locator(f'[data-key$="{name}"]').bounding_box()["x"] for name in ("frontend", "checkoutservice")}
    assert left["frontend"] < left["checkoutservice"]
    assert page.locator(".map-line.in").count() == 2
    assert page.locator(".map-line.out").count() == 7


def test_a_namespace_closes_and_opens_in_place(window, sample_file):
    page = window.open(sample_file, "view=map")
    page.get_by_role("button", name="Namespace payments, 5 services: close").click()
    closed = page.get_by_role("button", name="Namespace payments, 5 services: open")
    before = closed.bounding_box()
    expect(page.locator(".map-box")).to_have_count(24)
    closed.click()
    opened = page.get_by_role("button", name="Namespace payments, 5 services: close").bounding_box()
    assert abs(opened["x"] - before["x"]) < 20
    assert abs(opened["y"] - before["y"]) < 20


def test_the_matrix_counts_pairs_between_namespaces(window, sample_file):
    page = window.open(sample_file, "view=matrix")
    page.get_by_role("button", name="web to checkout: 5 calls").click()
    expect(page.locator(".drawer h2")).to_have_text("5 calls")
    page.get_by_role("button", name="Evidence of the call from mobile-bff to cartservice").click()
    expect(page.locator(".drawer .end strong").first).to_have_text("mobile-bff")


def test_a_click_on_a_line_of_closed_namespaces_lists_its_calls(window, sample_file):
    page = window.open(sample_file, "view=map&open=-prod-eu1%252Fweb,-prod-eu1%252Fcheckout")
    line = page.locator('.map-line[data-from="prod-eu1/web"][data-to="prod-eu1/checkout"] .grip')
    line.dispatch_event("click")
    expect(page.locator(".drawer h2")).to_have_text("5 calls")


def test_what_is_shown_stands_in_the_address(window, sample_file):
    page = window.open(sample_file)
    page.get_by_label("Search services and calls").fill("ns:payments")
    expect(rows(page)).to_have_count(5)
    page.get_by_role("button", name="Map").click()
    address = page.url
    assert "view=map" in address
    other = window.context.new_page()
    other.goto(address)
    expect(other.locator(".map-box")).to_have_count(9)
    page.go_back()
    expect(rows(page)).to_have_count(5)


def test_dark_and_light_are_a_click_away(window, sample_file):
    page = window.open(sample_file)
    ground = "getComputedStyle(document.body.parentElement).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark or light").click()
    assert page.evaluate(ground) != light


def test_nothing_moves_for_those_who_ask_for_it(browser, sample_file):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(sample_file + "#view=map")
    page.locator(".map-line .line").first.wait_for(state="attached")
    assert page.evaluate("getComputedStyle(document.querySelector('.map-line .line')).transitionDuration") == "0s"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "fragment",
    [
        "view=services",
        f"view=focus&{CHECKOUT}",
        "view=focus",
        f"view=map&{CHECKOUT}",
        "view=matrix",
        "view=changes",
        "view=services&q=nothing%20like%20it",
    ],
)
def test_axe_finds_nothing_serious(window, sample_file, fragment, scheme):
    window.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    window.open(sample_file, fragment)
    assert window.serious_findings() == []


@pytest.mark.parametrize("key", ["?", "d"])
def test_axe_finds_nothing_serious_in_the_dialogs(window, sample_file, key):
    page = window.open(sample_file)
    page.keyboard.press(key)
    expect(page.locator("dialog[open]")).to_be_visible()
    assert window.serious_findings() == []


def test_axe_finds_nothing_serious_in_the_drawer(window, sample_file):
    page = window.open(sample_file, f"view=focus&{CHECKOUT}")
    page.get_by_role("button", name="Evidence of the call from checkoutservice to paymentservice").click()
    expect(page.locator(".drawer")).to_be_visible()
    assert window.serious_findings() == []
