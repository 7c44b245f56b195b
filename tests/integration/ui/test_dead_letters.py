"""ui/: the page Dead letters, and the replay of what is alike."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.principal import Scope
from taskyard.storage.pool import AsyncConnection
from tests.browsing import application, fields, given, log_in, make_key, text
from tests.integration.ui.test_dashboard import HOSTILE, OPENED, store

Query = dict[str, Any]
EARLIER = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
async def browser(database_url: str) -> AsyncIterator[HttpClient]:
    """Somebody who may read and replay tasks of the types a.*, of which a pool runs those in p."""
    key = await make_key(given(database_url), Scope.READ, Scope.REPLAY, patterns=("a.#",))
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        yield browser


async def failed(connection: AsyncConnection, message: str, **more: Any) -> UUID:
    error = {"code": "KeyError", "message": message}
    columns = {"state": "failed", "finished_at": EARLIER, "error": error} | more
    return await store(connection, **columns)


async def states(connection: AsyncConnection) -> dict[UUID, str]:
    return dict(await (await connection.execute("SELECT id, state FROM tasks")).fetchall())


async def test_dead_letters_stand_together_by_their_cause(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Each group with how often, a sample and its replay; others' are never among them."""
    ids = [await failed(connection, f"row {n} of 'a.csv'") for n in range(3)]
    other = await failed(connection, "no such face", type="a.c")
    await failed(connection, "row 9 of 'a.csv'", tenant="umbrella")
    await failed(connection, "row 9 of 'a.csv'", type="b.c")
    page = await text(await browser.get("/dead-letters"))
    assert "4 dead letters" in page
    assert "row # of “…”" in page or "row # of &#34;…&#34;" in page
    assert f'href="/tasks/{other}"' in page
    assert f'href="/tasks/{max(ids, key=str)}"' in page
    assert "/dead-letters/replay?type=a.b&amp;state=failed&amp;code=KeyError" in page
    page = await text(await browser.get("/dead-letters?code=OSError"))
    assert "No dead letter is like that." in page
    faulty = await browser.get("/dead-letters?state=cancelled&after=soon")
    assert faulty.status_code == 422
    assert (await text(faulty)).count('aria-invalid="true"') == 2


async def test_a_group_is_replayed_once_it_was_confirmed(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """What would be refused today stays, and is told of; what failed later is another matter."""
    ids = {await failed(connection, "no") for _ in range(2)}
    gone = await failed(connection, "no", type="a.b.c")  # no pool runs it any more
    asked = await text(await browser.get("/dead-letters/replay?code=KeyError"))
    assert "<strong>2</strong> would run again" in asked
    assert "1 would be refused today" in asked
    assert str(gone) in asked
    assert set((await states(connection)).values()) == {"failed"}
    form = fields(asked)
    forged = await browser.post("/dead-letters/replay", form=form | {"csrf": "x"})
    assert forged.status_code == 403
    late = await failed(connection, "no", finished_at=datetime.now(UTC) + timedelta(seconds=9))
    done = await text(await browser.post("/dead-letters/replay", form=form | {"rate": "5"}))
    assert "2 replayed" in done
    assert await states(connection) == {
        **dict.fromkeys(ids, "pending"), gone: "failed", late: "failed",
    }  # fmt: skip
    due = "SELECT count(DISTINCT due_at) FROM tasks WHERE state = 'pending'"
    assert await (await connection.execute(due)).fetchone() == (2,)  # not all at once


async def test_all_of_them_must_be_meant(browser: HttpClient, connection: AsyncConnection) -> None:
    """A form without a search replays nothing until the box is ticked."""
    task = await failed(connection, "no")
    form = fields(await text(await browser.get("/dead-letters/replay")))
    assert (await browser.post("/dead-letters/replay", form=form)).status_code == 422
    assert await states(connection) == {task: "failed"}
    await browser.post("/dead-letters/replay", form=form | {"all": "on"})
    assert await states(connection) == {task: "pending"}


async def test_whatever_an_error_says_is_text_on_the_page(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """In groups, in the question, and in what was asked for."""
    error = {"code": HOSTILE, "message": HOSTILE}
    await failed(connection, "", error=error, type=f"a.{HOSTILE.replace('.', '')}")
    query: Query = {"type": HOSTILE, "code": HOSTILE, "label": HOSTILE, "pool": HOSTILE}
    for path, asked in (
        ("/dead-letters", {}), ("/dead-letters", query), ("/dead-letters/replay", {}),
        ("/dead-letters/replay", {"code": HOSTILE}),
    ):  # fmt: skip
        page = await text(await browser.get(path, query_string=asked))
        assert "alert(1)" in page
        assert not OPENED.search(page)


async def test_who_may_not_replay_is_not_led_there(database_url: str) -> None:
    """And is refused at the door."""
    key = await make_key(given(database_url), Scope.READ)
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        assert (await browser.get("/dead-letters")).status_code == 200
        assert (await browser.get("/dead-letters/replay?code=x")).status_code == 403
