"""The pages Yard and Pools in a real browser: where it jams, and what is done about it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import chromium, logged_in, require_accessible, require_no_sideways
from tests.stack import Gateway

LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    {"color_scheme": "dark", "viewport": {"width": 360, "height": 780}},
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, yard: Gateway) -> Iterator[Page]:
    with logged_in(browser, yard) as opened:
        yield opened
    yard.http.post("/v1/pools/calm/resume").raise_for_status()


def test_a_pool_is_paused_and_resumed_and_the_yard_shows_it(page: Page, yard: Gateway) -> None:
    """In words and in the picture, without a hand on the page; and a second step before."""
    # Given the page of a pool
    page.goto("/")
    page.get_by_role("row", name="calm").get_by_role("link", name="calm", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("calm")
    # When it is paused with a reason
    page.get_by_text("Pause…").click()
    page.get_by_label("Reason").fill("<b>cleaning</b>")
    page.get_by_role("button", name="Pause this pool").click()
    expect(page.get_by_role("status")).to_contain_text("Paused")
    expect(page.get_by_role("region", name="How it stands")).to_contain_text("<b>cleaning</b>")
    task = yard.submit("calm.add", {"a": 1, "b": 2})["id"]
    # Then the yard says so, and how many wait, as soon as it was counted
    page.goto("/")
    expect(page.get_by_role("status")).to_contain_text("calm is paused, 1 waits", timeout=20_000)
    expect(page.locator("svg .paused")).to_have_count(1)
    expect(page.locator("svg .queue").filter(has_text="calm")).to_contain_text("1 waits")
    # And when it is resumed meanwhile, then the open page sees it flow
    page.evaluate("window.same = true")
    yard.http.post("/v1/pools/calm/resume").raise_for_status()
    expect(page.locator("#jam")).not_to_contain_text("calm is paused", timeout=20_000)
    assert yard.wait(task)["result"] == 3
    assert page.evaluate("window.same") is True


def test_the_yard_is_asked_for_in_part_and_not_while_nobody_sees_it(
    page: Page, yard: Gateway
) -> None:
    """Only the part that changes, with an ETag; what is the same comes as 304."""
    page.clock.install()  # the page's timers run when we say so
    page.goto("/")
    with page.expect_response("**/flow") as first:
        page.clock.run_for(5_000)
    assert first.value.status in (200, 304)
    with page.expect_response("**/flow") as second:
        page.clock.run_for(5_000)
    assert "if-none-match" in second.value.request.all_headers()
    assert len(second.value.body() if second.value.status == 200 else b"") < 20_000
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    assert asked == []


@pytest.mark.parametrize("looks", LOOKS, ids=["light", "dark-and-narrow"])
def test_yard_and_pools_can_be_read_by_everybody(
    browser: Browser, yard: Gateway, looks: dict[str, Any]
) -> None:
    """Axe finds nothing, and nothing is wider than the window, calm or jammed."""
    yard.http.post("/v1/pools/calm/pause", json={"reason": "x" * 200}).raise_for_status()
    try:
        with logged_in(browser, yard, reduced_motion="reduce", **looks) as page:
            for path in ("/", "/pools", "/pools/calm", "/pools/quick", "/pools/none"):
                page.goto(path)
                page.get_by_role("heading", level=1).wait_for()
                require_accessible(page)
                require_no_sideways(page)
            assert page.evaluate("document.getAnimations().length") == 0
    finally:
        yard.http.post("/v1/pools/calm/resume").raise_for_status()


def test_a_worker_is_drained_from_its_page(browser: Browser, yard: Gateway) -> None:
    """With scripts switched off, too."""
    with (
        yard.worker("calm") as process,
        logged_in(browser, yard, java_script_enabled=False) as page,
    ):
        page.goto("/pools/calm")
        rows = page.get_by_role("region", name="Workers").get_by_role("row")
        rows.last.get_by_text("Drain calm@").click()
        rows.last.get_by_role("button", name="Drain this worker").click()
        expect(page.get_by_role("status")).to_contain_text("asked to leave")
        assert process.wait(30) == 0
