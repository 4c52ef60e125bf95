"""The browser of the session, a window for each test, the sample cluster as a file."""

import pytest
from playwright.sync_api import sync_playwright

from sink_exporter.page_source import render_page
from tests.page.browser import Window, launch_chromium
from tests.sample_cluster import sample_graph


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        chromium = launch_chromium(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def window(browser):
    """A window whose test fails when the page complains."""
    opened = Window(browser)
    yield opened
    opened.context.close()
    assert opened.problems == []


@pytest.fixture(scope="session")
def sample_file(tmp_path_factory):
    """The address of the sample cluster as an exported page."""
    path = tmp_path_factory.mktemp("page") / "callgraph.html"
    path.write_bytes(render_page(sample_graph()))
    return f"file://{path}"
