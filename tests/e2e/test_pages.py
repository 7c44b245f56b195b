"""Dead letters, events and webhooks in a real browser: found, mended, and readable by everybody."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import chromium, logged_in, require_accessible, require_no_sideways
from tests.e2e.test_dashboard import HOSTILE, LOOKS
from tests.e2e.test_dead_letters import by, failed, mark
from tests.e2e.test_webhooks import endpoint
from tests.stack import Gateway, until


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, yard: Gateway) -> Iterator[Page]:
    with logged_in(browser, yard) as opened:
        yield opened


def test_what_a_search_finds_is_cancelled_by_keyboard(page: Page, yard: Gateway) -> None:
    """Counted first, then done and told; no mouse."""
    labels = mark()
    ids = [yard.submit("quick.echo", labels=labels, delay="1h")["id"] for _ in range(3)]
    page.goto(f"/tasks?label={by(labels)}")
    page.get_by_role("link", name="Cancel…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel these tasks?")
    expect(page.get_by_text("3 would be cancelled.")).to_be_visible()
    assert {yard.get(each)["state"] for each in ids} == {"scheduled"}
    require_accessible(page)
    page.get_by_role("button", name="Cancel 3 tasks").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("3 cancelled.")
    assert {yard.get(each)["state"] for each in ids} == {"cancelled"}


def test_a_cause_is_found_and_its_tasks_run_again(page: Page, yard: Gateway) -> None:
    """From the group to its sample and back, then the replay; they run."""
    labels = mark()
    ids = {failed(yard, labels, f"row {n} is bad") for n in range(2)}
    page.goto("/dead-letters")
    page.get_by_label("Label").fill(by(labels))
    page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row").filter(has_text="row # is bad")
    expect(row).to_contain_text("2")
    row.get_by_role("link", name="Sample").click()
    expect(page.get_by_role("region", name="Where it stands")).to_contain_text("failed")
    page.go_back()
    row.get_by_role("link", name="Replay…").click()
    page.get_by_label("How many a second").fill("50")
    page.get_by_role("button", name="Replay 2 tasks").click()
    expect(page.get_by_role("status")).to_contain_text("2 replayed.")
    for each in ids:
        yard.wait(each, "failed")
        assert yard.get(each)["generation"] == 2


def test_an_event_is_tried_sent_and_followed_to_its_task(page: Page, yard: Gateway) -> None:
    """What would become of it; then it does."""
    page.goto("/events/try")
    page.get_by_label("Type").fill("thing.small.made")
    page.get_by_label("Data, as JSON").fill(json.dumps({"wanted": True, "value": HOSTILE}))
    page.get_by_role("button", name="Try it").click()
    would = page.get_by_role("region", name="What would become of it")
    expect(would).to_contain_text("echo makes quick.echo")
    expect(would).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_role("status")).to_contain_text("Sent")
    page.get_by_role("region", name="Tasks").get_by_role("link").click()
    expect(page.get_by_role("region", name="Result")).to_contain_text(HOSTILE)


def test_a_webhook_is_tested_and_its_answer_is_seen(page: Page, yard: Gateway) -> None:
    """The endpoint hears of it; paused, it can be resumed."""
    with endpoint() as (url, heard):
        body = {"url": f"{url}?token=s3cret", "events": ["task.nothing.*"]}
        made = yard.http.post("/v1/webhooks", json=body).json()
        try:
            page.goto("/webhooks")
            page.get_by_role("link", name=f"{url}?…").click()
            page.get_by_text("Test…").click()
            page.get_by_role("button", name="Send a test").click()
            expect(page.get_by_role("status")).to_contain_text("on its way")
            until(lambda: heard)
            path = made["links"]["deliveries"]
            until(lambda: yard.http.get(path).json()["items"][0]["state"] == "delivered")
            page.reload()
            expect(page.get_by_role("row").filter(has_text="webhook.test")).to_contain_text("204")
            page.get_by_text("Pause…").click()
            page.get_by_role("button", name="Pause this webhook").click()
            expect(page.get_by_text("Resume…")).to_be_visible()
            assert "s3cret" not in page.content()
            require_accessible(page)
        finally:
            yard.http.delete(made["links"]["self"])


@pytest.mark.slow
@pytest.mark.parametrize("looks", LOOKS, ids=["light", "dark-and-narrow"])
def test_these_pages_can_be_read_by_everybody(browser: Browser, yard: Gateway, looks: dict) -> None:
    """Axe finds nothing, and nothing is wider than the window; hostile and long values too."""
    labels = mark()
    failed(yard, labels, f"{HOSTILE} {'x' * 300}")
    event = {
        "specversion": "1.0", "id": str(uuid4()), "type": "unheard.of", "source": HOSTILE * 4,
        "data": {HOSTILE: "y" * 300},
    }  # fmt: skip
    headers = {"Content-Type": "application/cloudevents+json"}
    sent = yard.http.post("/v1/events", content=json.dumps(event), headers=headers)
    key = sent.json()["items"][0]["key"]
    hook = {"url": f"http://127.0.0.1:9/{'z' * 200}", "events": ["task.nothing.*"]}
    made = yard.http.post("/v1/webhooks", json=hook | {"description": HOSTILE}).json()
    try:
        with logged_in(browser, yard, **looks) as page:
            for path in (
                "/tasks/cancel", "/tasks/reprioritise", "/tasks/replay",
                f"/tasks/replay?label={by(labels)}", "/dead-letters", "/dead-letters?state=x",
                f"/dead-letters/replay?label={by(labels)}", "/events", f"/events/{key}",
                "/events/parked", "/events/parked/replay", "/events/try", "/webhooks",
                f"/webhooks/{made['id']}", f"/webhooks/{uuid4()}",
            ):  # fmt: skip
                page.goto(path)
                require_accessible(page)
                require_no_sideways(page)
    finally:
        yard.http.delete(made["links"]["self"])
