"""The dashboard in a real browser: live, by keyboard, for eyes and screen readers."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import chromium, logged_in, require_accessible, require_no_sideways
from tests.stack import Gateway

HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(1)>"""
LOOKS = [
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


def test_what_is_submitted_comes_into_the_list(page: Page, yard: Gateway) -> None:
    """Without a hand on the page; and not while it is not to be live."""
    label = f"n:{uuid4().hex[:8]}"
    labels = dict([label.split(":")])
    # Given a search that finds nothing yet
    page.goto("/tasks")
    page.get_by_label("Label").fill(label)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No task is like that.")).to_be_visible()
    assert page.url.endswith(f"/tasks?label={label.replace(':', '%3A')}")
    # When tasks are submitted, then they come
    first = yard.submit("quick.echo", labels=labels)["id"]
    row = page.locator(f"[id='t-{first}']")
    expect(row).to_be_visible(timeout=20_000)
    # When somebody has it stand still, then it does not ask any more
    page.get_by_role("button", name="Live").click()
    second = yard.submit("quick.echo", labels=labels)["id"]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Live").focus()
    assert asked == []
    # And when it goes on, then the other one comes
    page.keyboard.press("Enter")
    expect(page.locator(f"[id='t-{second}']")).to_be_visible(timeout=20_000)


def test_a_task_is_followed_from_running_to_its_result(
    page: Page, yard: Gateway, tmp_path: Path
) -> None:
    """State, progress, result and events change on the open page."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = yard.submit("quick.wait", {"path": str(fifo)})["id"]
    page.goto(f"/tasks/{task}")
    standing = page.get_by_role("region", name="Where it stands")
    expect(standing).to_contain_text("running")
    expect(standing).to_contain_text("50 % · waiting")
    expect(page.get_by_text("Cancel…")).to_be_visible()
    fifo.write_text(HOSTILE)
    expect(standing).to_contain_text("succeeded")
    expect(page.get_by_role("region", name="Result")).to_contain_text(HOSTILE)
    expect(page.get_by_text("Cancel…")).to_have_count(0)
    assert page.locator("script:not([src]), img").count() == 0


def test_a_task_is_cancelled_and_replayed_by_keyboard(page: Page, yard: Gateway) -> None:
    """No mouse, and a second step before anything is done."""
    task = yard.submit("quick.echo", {"value": 7}, delay="1h")["id"]
    page.goto(f"/tasks/{task}")
    # The first thing the keyboard reaches leads past the navigation.
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("summary", has_text="Cancel…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("It has not started, and never will.")).to_be_visible()
    assert yard.get(task)["state"] == "scheduled"
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Cancel this task")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Cancelled")
    assert yard.get(task)["state"] == "cancelled"
    page.get_by_text("Replay…").click()
    page.get_by_role("button", name="Replay this task").click()
    expect(page.get_by_role("region", name="Where it stands")).to_contain_text("succeeded")


@pytest.mark.parametrize("looks", LOOKS, ids=["light", "dark-and-narrow"])
def test_pages_can_be_read_by_everybody(browser: Browser, yard: Gateway, looks: dict) -> None:
    """Axe finds nothing, and nothing is wider than the window; also of what failed, and of odd."""
    failed = yard.run(
        "quick.fail", {"message": f"{HOSTILE} {'x' * 300}", "permanent": True},
        labels={"team": "y" * 120},
    )  # fmt: skip
    with logged_in(browser, yard, **looks) as page:
        for path in (
            "/tasks", "/tasks?id=nothing&state=x", f"/tasks/{failed['id']}", "/tasks/17",
            "/charts?last=1y",
        ):  # fmt: skip
            page.goto(path)
            if path == "/tasks/17":
                expect(page.get_by_role("alert")).to_be_visible()
            require_accessible(page)
            require_no_sideways(page)


@pytest.mark.parametrize("looks", LOOKS, ids=["light", "dark-and-narrow"])
def test_charts_are_drawn_of_what_ran(browser: Browser, yard: Gateway, looks: dict) -> None:
    """As pictures and as a table, chosen by keyboard; axe finds nothing, nothing is too wide."""
    yard.run("quick.echo", {"value": 7})
    with logged_in(browser, yard, **looks) as page:
        # Given what ran was counted, which is seen without a hand on the page
        page.goto("/charts?last=24h")
        drawn = page.get_by_role("region", name="Ended, a minute").get_by_role("img")
        expect(drawn).to_be_visible(timeout=60_000)
        expect(drawn).to_have_accessible_name(re.compile("^Ended, a minute: .*quick .* at most"))
        # When another stretch and the table are chosen by keyboard
        page.get_by_label("The last").focus()
        page.keyboard.press("ArrowUp")
        page.get_by_label("Times").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Show").press("Enter")
        page.wait_for_url("**/charts?last=6h*")
        page.get_by_role("link", name="As a table: Run").press("Enter")
        table = page.get_by_role("region", name="Run, as a table")
        # Then the page says the same in numbers
        expect(table.get_by_role("row")).not_to_have_count(0)
        require_accessible(page)
        require_no_sideways(page)


def test_pages_need_no_script(browser: Browser, yard: Gateway) -> None:
    """Search, read and cancel with scripts switched off."""
    task = yard.submit("quick.echo", {"value": 7}, delay="1h", labels={"no": "script"})["id"]
    with logged_in(browser, yard, java_script_enabled=False) as page:
        page.goto("/tasks")
        page.get_by_label("Label").fill("no:script")
        page.get_by_role("button", name="Search").click()
        page.locator(f"[id='t-{task}']").click()
        page.get_by_text("Cancel…").click()
        page.get_by_role("button", name="Cancel this task").click()
        expect(page.get_by_role("status")).to_contain_text("Cancelled")
