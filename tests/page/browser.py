"""Chromium for the page's tests, and what every one of them watches for. Shell: Playwright.

The browser is Debian's; nothing is downloaded. A message on the console, an error of the script or a request to
anywhere but the server fails the test that opened the page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
SIZE = {"width": 1440, "height": 860}
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_SERIOUS = ("serious", "critical")


def launch_chromium(playwright: Playwright) -> Browser:
    """Start the browser; its absence is a skip, which `.ci/run` forbids."""
    path = os.environ.get("WHOCALLS_TEST_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("needs Debian's chromium (apt-get install chromium), or WHOCALLS_TEST_CHROMIUM=PATH")
    return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))


class Window:
    """One open page, watched."""

    def __init__(self, browser: Browser, **options) -> None:
        self.context = browser.new_context(**({"viewport": SIZE, "accept_downloads": True} | options))
        self.context.set_default_timeout(20_000)
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(f"a dialog: {dialog.message}") or dialog.dismiss())
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str, fragment: str = "") -> Page:
        """Open an address and wait until the graph is drawn."""
        self.page.goto(f"{address}#{fragment}")
        self.page.locator(".shown").wait_for()
        return self.page

    def serious_findings(self) -> list[str]:
        """Run axe-core on what is shown."""
        assert AXE.is_file(), f"{AXE} is missing (run `npm ci` in tests/page, as `make test-page` does)"
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((run) => run.violations)")
        return [
            f"{each['id']}: {node['html'][:200]}"
            for each in found
            if each["impact"] in _SERIOUS
            for node in each["nodes"]
        ]

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"console {kind}: {text}")


def exact(text: str) -> re.Pattern[str]:
    """Match a whole text."""
    return re.compile(f"^{re.escape(text)}$")


def data_of(path: Path) -> dict:
    """Return the data block of an exported page."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])
