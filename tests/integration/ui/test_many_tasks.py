"""ui/: what is done to all that a search finds, counted and confirmed."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.principal import Scope
from taskyard.storage.pool import AsyncConnection
from tests.browsing import application, fields, given, log_in, make_key, text
from tests.integration.ui.test_dashboard import HOSTILE, OPENED, store

ENDED = {"finished_at": datetime.now(UTC)}


@pytest.fixture
async def browser(database_url: str) -> AsyncIterator[HttpClient]:
    """Somebody who may do everything but submit."""
    key = await make_key(given(database_url), Scope.READ, Scope.CANCEL, Scope.REPLAY)
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        yield browser


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[HttpClient]:
    key = await make_key(given(database_url), Scope.ADMIN)
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        yield browser


async def states(connection: AsyncConnection) -> dict[UUID, str]:
    return dict(await (await connection.execute("SELECT id, state FROM tasks")).fetchall())


async def test_what_a_search_finds_is_counted_confirmed_and_cancelled(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """What came after it was counted stays; so does what the search does not find."""
    first = await store(connection, labels={"team": "web"})
    other = await store(connection, labels={"team": "ops"})
    # When the list is asked for, then it leads on with the same search
    listed = await text(await browser.get("/tasks?label=team:web"))
    assert '<a href="/tasks/cancel?label=team%3Aweb">Cancel…</a>' in listed
    assert "/tasks/reprioritise" not in listed  # the key may not
    # When it is counted, then nothing happens yet
    asked = await text(await browser.get("/tasks/cancel?label=team%3Aweb"))
    assert "<strong>1</strong> would be cancelled" in asked
    assert "team:web" in asked
    assert set((await states(connection)).values()) == {"pending"}
    # Given a form that another site made
    form = fields(asked)
    assert (await browser.post("/tasks/cancel", form=form | {"csrf": "x"})).status_code == 403
    # When another task comes, and the page's own form is sent
    late = await store(connection, labels={"team": "web"})
    done = await text(await browser.post("/tasks/cancel", form=form))
    assert "<strong>1 cancelled.</strong>" in done
    assert await states(connection) == {first: "cancelled", other: "pending", late: "pending"}


async def test_all_of_them_must_be_meant(browser: HttpClient, connection: AsyncConnection) -> None:
    """A form without a search does nothing until the box is ticked."""
    task = await store(connection)
    asked = await text(await browser.get("/tasks/cancel"))
    assert "Every task that you may see" in asked
    form = fields(asked)
    refused = await browser.post("/tasks/cancel", form=form)
    assert refused.status_code == 422
    assert await states(connection) == {task: "pending"}
    done = await browser.post("/tasks/cancel", form=form | {"all": "on"})
    assert "1 cancelled" in await text(done)
    assert await states(connection) == {task: "cancelled"}


async def test_many_are_replayed(browser: HttpClient, connection: AsyncConnection) -> None:
    """Those that ended badly; a rate that is none is said."""
    ids = {await store(connection, state="failed", **ENDED) for _ in range(2)}
    asked = await text(await browser.get("/tasks/replay?state=failed"))
    assert "<strong>2</strong> would be replayed" in asked
    wrong = await browser.post("/tasks/replay", form=fields(asked) | {"rate": "-1"})
    assert wrong.status_code == 422
    assert "must be a number above 0" in await text(wrong)
    done = await browser.post("/tasks/replay", form=fields(asked) | {"rate": "10"})
    assert "2 replayed" in await text(done)
    assert await states(connection) == dict.fromkeys(ids, "pending")


async def test_another_priority_is_asked_for_first(
    admin: HttpClient, connection: AsyncConnection
) -> None:
    """Then those are counted that have another one."""
    task = await store(connection)
    await store(connection, priority=2)
    asked = await text(await admin.get("/tasks/reprioritise?type=a.b"))
    assert "Count them" in asked
    counted = await text(await admin.get("/tasks/reprioritise?type=a.b&priority=2"))
    assert "<strong>1</strong> would be given priority 2" in counted
    done = await text(await admin.post("/tasks/reprioritise", form=fields(counted)))
    assert "1 given priority 2" in done
    row = await (
        await connection.execute("SELECT priority FROM tasks WHERE id = %s", (task,))
    ).fetchone()
    assert row == (2,)


@pytest.mark.parametrize("name", ["cancel", "replay"])
async def test_what_was_sought_is_text_on_the_page(browser: HttpClient, name: str) -> None:
    """Whatever it holds, before and after; a faulty search leads back to its form."""
    query: dict[str, Any] = {"error": HOSTILE, "type": HOSTILE, "label": f"k:{HOSTILE}"}
    page = await text(await browser.get(f"/tasks/{name}", query_string=query))
    assert "alert(1)" in page
    assert not OPENED.search(page)
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token
    done = await text(await browser.post(f"/tasks/{name}", form={**query, "csrf": token.group(1)}))
    assert "alert(1)" in done
    assert not OPENED.search(done)
    back = await browser.get(f"/tasks/{name}?label=x")
    assert (back.status_code, back.headers["Location"]) == (303, "/tasks?label=x")


async def test_who_may_not_is_told_so(database_url: str) -> None:
    """Each needs its own scope, before and after."""
    key = await make_key(given(database_url), Scope.READ)
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        for name in ("cancel", "replay", "reprioritise"):
            assert (await browser.get(f"/tasks/{name}?type=a.b")).status_code == 403
        assert 'class="many"' not in await text(await browser.get("/tasks"))
