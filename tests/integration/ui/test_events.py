"""ui/: the pages Events and Webhooks, read and mended without a script."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.principal import Scope
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.storage.pool import AsyncConnection
from tests.application import TABLE
from tests.browsing import application, csrf, fields, given, log_in, make_key, text
from tests.events import rules
from tests.integration.ui.test_dashboard import HOSTILE, OPENED, store

RULE = {"name": "on-order", "match": "order.*", "task": "a.b", "args": {"key": "data.key"}}
BROKEN = {"name": "on-loss", "match": "loss.*", "task": "z.z", "args": {}}
DRAFT = {"type": "order.made", "source": "/shop", "id": "17", "data": '{"key": "k"}'}
SECRET = "s3cret"


@pytest.fixture
async def browser(database_url: str) -> AsyncIterator[HttpClient]:
    """An admin of a yard with two rules, of which one makes what nobody runs."""
    key = await make_key(given(database_url), Scope.ADMIN, patterns=("#",))
    table = replace(TABLE, events=rules(RULE, BROKEN))
    policy = WebhookPolicy(notify_secret=SECRET)
    async with application(given(database_url), table, webhooks=policy) as app:
        browser = app.test_client()
        await log_in(browser, key)
        yield browser


async def count(connection: AsyncConnection, table: str) -> int:
    row = await (await connection.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()
    assert row
    return int(row[0])


async def send(browser: HttpClient, **changes: str) -> str:
    """Send an event with the form; return where the browser is led."""
    form = {**DRAFT, **changes, "csrf": await csrf(browser, "/events/try"), "send": "1"}
    answer = await browser.post("/events/try", form=form)
    assert answer.status_code == 303, await text(answer)
    return answer.headers["Location"]


async def test_to_try_an_event_stores_nothing_and_to_send_it_does(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """What would become of it, then what did; a second time it is the same event."""
    token = await csrf(browser, "/events/try")
    tried = await text(await browser.post("/events/try", form={**DRAFT, "csrf": token}))
    assert "<strong>on-order</strong> makes <strong>a.b</strong>" in tried
    assert "“k”" in tried
    assert await count(connection, "tasks") == await count(connection, "inbox_events") == 0
    where = await send(browser)
    assert where.endswith("?done=sent")
    shown = await text(await browser.get(where))
    [(task,)] = await (await connection.execute("SELECT id FROM tasks")).fetchall()
    assert f'href="/tasks/{task}"' in shown
    assert "Sent: this became of it." in shown
    assert await send(browser) == where.replace("sent", "again")
    assert await count(connection, "tasks") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": ""}, "the attribute type is missing"),
        ({"data": "{"}, "JSON"),
        ({"subject": "x" * 2_000}, "subject is longer"),
    ],
)
async def test_what_is_no_event_is_said(
    browser: HttpClient, connection: AsyncConnection, changes: dict[str, str], said: str
) -> None:
    """And keeps what was typed; nothing is parked."""
    form = {**DRAFT, **changes, "csrf": await csrf(browser, "/events/try"), "send": "1"}
    answer = await browser.post("/events/try", form=form)
    assert answer.status_code == 422
    page = await text(answer)
    assert said in page
    assert 'value="/shop"' in page
    assert await count(connection, "parked_events") == 0


async def test_the_log_finds_what_was_asked_for(browser: HttpClient) -> None:
    """By each field; a faulty one says so."""
    await send(browser)
    await send(browser, type="loss.big", id="18", source="/till", subject="s")

    async def ids(**query: str) -> set[str]:
        page = await text(await browser.get("/events", query_string=query))
        return set(re.findall(r'<code class="id">(\d+)</code>', page))

    assert await ids() == {"17", "18"}
    for name, value, found in (
        ("match", "order.*", "17"), ("source", "/till", "18"), ("subject", "s", "18"),
        ("state", "fired", "17"), ("state", "parked", "18"),
    ):  # fmt: skip
        assert await ids(**{name: value}) == {found}, name
    assert await ids(before="2020-01-01T00:00") == set()
    assert (await browser.get("/events?match=a..b&state=x")).status_code == 422
    assert (await browser.get(f"/events/{uuid4()}")).status_code == 404


async def test_what_is_parked_is_told_and_looked_at_again(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """One by itself, and many once they were counted; with today's rules it may stay."""
    await send(browser, type="loss.big")
    page = await text(await browser.get("/events/parked"))
    assert "unfit-task" in page
    assert "on-loss" in page
    [(key,)] = await (await connection.execute("SELECT key FROM parked_events")).fetchall()
    form = {"csrf": await csrf(browser, "/events/try")}
    again = await browser.post(f"/events/parked/{key}/replay", form=form)
    assert again.headers["Location"] == "/events/parked?done=still"
    assert (await browser.post(f"/events/parked/{uuid4()}/replay", form=form)).status_code == 404
    # Given an event that a later rule wants
    await connection.execute(
        "UPDATE inbox_events SET type = 'order.x', document = document || '{\"type\": \"order.x\"}'"
    )
    asked = await text(await browser.get("/events/parked/replay?reason=unfit-task"))
    assert "<strong>1</strong> of 1 would be released, with 1 tasks" in asked
    assert await count(connection, "tasks") == 0
    done = await text(await browser.post("/events/parked/replay", form=fields(asked)))
    assert "1 released" in done
    assert (await count(connection, "tasks"), await count(connection, "parked_events")) == (1, 0)


async def test_whatever_arrived_is_text_on_the_page(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Type, source, id, subject, data, and bytes that are no event at all."""
    hostile = {"type": f"order.{HOSTILE.replace('.', '')}", "source": HOSTILE, "id": HOSTILE}
    where = await send(browser, **hostile, subject=HOSTILE, data=json.dumps({HOSTILE: HOSTILE}))
    await send(browser, type="loss.x", source=HOSTILE, id=f"2{HOSTILE}")
    await connection.execute(
        "INSERT INTO parked_events (key, tenant, reason, detail, content_type, body, size) "
        "VALUES (%s, 'acme', 'not-json', %s, %s, %s, 9)",
        (uuid4(), HOSTILE, HOSTILE, HOSTILE.encode() + b"\xff"),
    )
    query = dict.fromkeys(("match", "source", "after"), HOSTILE)
    for path, asked in (
        (where, {}), ("/events", {}), ("/events", query), ("/events/parked", {}),
        ("/events/parked", query), ("/events/parked/replay", {"source": HOSTILE}),
    ):  # fmt: skip
        page = await text(await browser.get(path, query_string=asked or None))
        assert "alert(1)" in page, path
        assert not OPENED.search(page), path
    form = {**DRAFT, **hostile, "csrf": await csrf(browser, "/events/try"), "data": HOSTILE}
    page = await text(await browser.post("/events/try", form=form))
    assert not OPENED.search(page)


async def test_who_is_limited_to_some_task_types_sees_no_events(database_url: str) -> None:
    """Nor webhooks; and each change needs its scope."""
    settings = given(database_url)
    limited = await make_key(settings, Scope.ADMIN)
    reader = await make_key(settings, Scope.READ, patterns=("#",))
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, limited)
        for path in ("/events", "/events/parked", "/events/try", "/webhooks"):
            assert (await browser.get(path)).status_code == 403, path
        browser = app.test_client()
        await log_in(browser, reader)
        form = {"csrf": await csrf(browser, "/events/try"), **DRAFT, "send": "1"}
        assert (await browser.post("/events/try", form=form)).status_code == 403
        for path in (
            f"/events/parked/{uuid4()}/replay", "/events/parked/replay",
            f"/webhooks/{uuid4()}/test", f"/webhooks/{uuid4()}/pause",
            f"/webhooks/{uuid4()}/deliveries/{uuid4()}/replay",
        ):  # fmt: skip
            assert (await browser.post(path, form=form)).status_code == 403, path


async def webhook(connection: AsyncConnection, url: str, **more: Any) -> UUID:
    row = {"description": "", "tenant": "acme"} | more
    found = await connection.execute(
        "INSERT INTO webhooks (id, tenant, url, events, description, secret) VALUES "
        "(%s, %s, %s, '{task.#}', %s, %s) RETURNING id",
        (uuid4(), row["tenant"], url, row["description"], SECRET.encode()),
    )
    [(made,)] = await found.fetchall()
    return UUID(str(made))


async def test_a_webhook_is_tested_paused_and_resumed(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Its log tells of the test; a secret is on no page, neither is one in its URL."""
    hook = await webhook(connection, f"https://example.com/in?token={SECRET}")
    theirs = await webhook(connection, "https://example.com/theirs", tenant="umbrella")
    listed = await text(await browser.get("/webhooks"))
    assert "https://example.com/in?…" in listed
    assert str(theirs) not in listed
    path = f"/webhooks/{hook}"
    assert (await browser.get(f"/webhooks/{theirs}")).status_code == 404
    form = {"csrf": await csrf(browser, path)}
    tested = await browser.post(f"{path}/test", form=form)
    assert tested.headers["Location"] == f"{path}?done=tested"
    shown = await text(await browser.get(tested.headers["Location"]))
    assert "webhook.test" in shown
    [(delivery,)] = await (await connection.execute("SELECT id FROM webhook_deliveries")).fetchall()
    assert str(delivery) in shown
    await browser.post(f"{path}/pause", form=form)
    paused = await text(await browser.get(path))
    assert "Resume this webhook" in paused
    assert "Send a test" not in paused
    assert (await browser.post(f"{path}/test", form=form)).status_code == 409
    await browser.post(f"{path}/resume", form=form)
    assert "Pause this webhook" in await text(await browser.get(path))
    for page in (listed, shown, paused):
        assert SECRET not in page


async def test_a_delivery_is_sent_again_and_its_answer_is_text(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Whatever the endpoint answered; found by its state."""
    hook = await webhook(connection, f"https://example.com/{HOSTILE}", description=HOSTILE)
    task = await store(connection)
    delivery = uuid4()
    await connection.execute(
        "INSERT INTO webhook_deliveries (id, tenant, webhook_id, endpoint, task_id, seq, event,"
        " body, state, next_try_at, attempts, tried_at, finished_at, response_status,"
        " response_body, fault) VALUES (%s, 'acme', %s, 'e', %s, 1, %s, '{}', 'failed', NULL, 3,"
        " now(), now(), 500, %s, %s)",
        (delivery, hook, task, HOSTILE, HOSTILE, HOSTILE),
    )
    path = f"/webhooks/{hook}"
    for address in (path, "/webhooks", f"{path}?state=failed"):
        page = await text(await browser.get(address))
        assert "alert(1)" in page
        assert not OPENED.search(page), address
    assert str(delivery) not in await text(await browser.get(f"{path}?state=delivered"))
    assert (await browser.get(f"{path}?state=gone")).status_code == 422
    form = {"csrf": await csrf(browser, path)}
    again = await browser.post(f"{path}/deliveries/{delivery}/replay", form=form)
    assert again.headers["Location"] == f"{path}?done=replayed"
    states = "SELECT state FROM webhook_deliveries"
    assert await (await connection.execute(states)).fetchall() == [("pending",)]
