"""A real browser for the tests: Debian's Chromium, logged in at a gateway."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.stack import Gateway

_WIDEST = """[...document.querySelectorAll("main *")]
    .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth)
    .slice(0, 3).map((each) => each.outerHTML.slice(0, 200))"""
SECONDS = 20.0  # that something may take to be seen


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser that the system has."""
    found = shutil.which("chromium")
    assert found, "chromium is not installed"
    with sync_playwright() as playwright:
        # Root has no sandbox, and what it is shown comes from this machine.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def logged_in(browser: Browser, gateway: Gateway, **looks: Any) -> Iterator[Page]:
    """Open a window, log in with the gateway's key, and see to it that no page has a fault."""
    with browser.new_context(base_url=gateway.url, **looks) as context:
        context.set_default_timeout(1000 * SECONDS)
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda said: faults.append(said.text) if _is_fault(said) else None)
        page.goto("/login")
        page.get_by_label("API key").fill(gateway.key)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/")
        yield page
        assert not faults


def _is_fault(said: ConsoleMessage) -> bool:
    """Whether a browser complains; a page that is answered with 404 or 422 was asked for."""
    return said.type in ("error", "warning") and "Failed to load resource" not in said.text


def require_accessible(page: Page) -> None:
    """Fail with what axe finds against a page."""
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()


def require_no_sideways(page: Page) -> None:
    """Fail when a page is wider than its window."""
    wide, window = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window, page.evaluate(_WIDEST)
