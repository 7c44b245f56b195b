"""ui/: the pages Tasks and Task, read and mended without a script."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from quart.typing import TestClientProtocol as HttpClient
from uuid_utils.compat import uuid7

from taskyard.core.principal import Scope
from taskyard.storage.pool import AsyncConnection
from tests.browsing import application, csrf, given, log_in, make_key, text

HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(1)>'{{1234*5678}}</pre></svg>"""
OPENED = re.compile(r"<(script>|img|/pre></svg>)", re.IGNORECASE)


async def store(connection: AsyncConnection, **columns: Any) -> UUID:
    """Store a task as it may stand, whatever led there."""
    task = uuid7()
    as_json = {"labels", "args", "result", "error", "progress"}
    row = {
        "id": task, "tenant": "acme", "type": "a.b", "pool": "p", "priority": 4, "state": "pending",
        "max_attempts": 3, "due_at": datetime.now(UTC), "publish_at": datetime.now(UTC), "args": {},
    } | columns  # fmt: skip
    values = {k: msgspec.json.encode(v).decode() if k in as_json else v for k, v in row.items()}
    names = ", ".join(values)
    given_values = ", ".join(f"%({name})s" for name in values)
    await connection.execute(
        f"INSERT INTO tasks ({names}) VALUES ({given_values})".encode(), values
    )
    return UUID(str(row["id"]))


@pytest.fixture
async def key(database_url: str) -> str:
    return await make_key(given(database_url), Scope.READ, Scope.CANCEL, Scope.REPLAY)


@pytest.fixture
async def browser(database_url: str, key: str) -> AsyncIterator[HttpClient]:
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        yield browser


async def found(browser: HttpClient, **query: str) -> set[UUID]:
    """The tasks that a search shows."""
    answer = await browser.get("/tasks", query_string=query)
    assert answer.status_code == 200
    return {UUID(each) for each in re.findall(r'id="t-([0-9a-f-]{36})"', await text(answer))}


async def test_nobody_sees_a_page_without_a_login(database_url: str) -> None:
    """Who is not logged in is sent to the login; who may not read is told so."""
    settings = given(database_url)
    key = await make_key(settings, Scope.SUBMIT)
    async with application(settings) as app:
        browser = app.test_client()
        for path in ("/tasks", f"/tasks/{uuid4()}"):
            assert (await browser.get(path)).headers["Location"] == "/login"
        await log_in(browser, key)
        refused = await browser.get("/tasks")
        assert refused.status_code == 403
        assert "needs the scope read" in await text(refused)


async def test_a_search_finds_what_was_asked_for(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """By each field alone and by all together; what belongs to others is never found."""
    failed = {
        "state": "failed", "finished_at": datetime.now(UTC), "type": "a.c",
        "labels": {"team": "web", "n": "1"},
        "error": {"code": "ConnectionError", "message": "host db-17.example timed out"},
    }  # fmt: skip
    one = await store(connection, **failed)
    other = await store(connection, pool="q", labels={"team": "ops"})
    await store(connection, **failed | {"tenant": "umbrella"})
    await store(connection, **failed | {"type": "b.c"})  # the key is for a.* only
    assert await found(browser) == {one, other}
    everything: dict[str, str] = {}
    for name, value in {
        "id": str(one), "type": "a.c", "state": "failed", "pool": "p", "label": "team:web",
        "error": "db-17 TIMED connection",
        "after": "2020-01-01T00:00", "before": "2100-01-01T00:00",
    }.items():  # fmt: skip
        everything[name] = value
        wanted = {one, other} if name in ("after", "before") else {one}
        assert await found(browser, **{name: value}) == wanted, name
        assert await found(browser, **everything) == {one}
    assert await found(browser, id=str(one)[:13]) == {one}
    assert await found(browser, error="nothing") == await found(browser, label="team:x") == set()
    assert await found(browser, error="!&|:*()' <->") == set()


async def test_the_last_word_of_an_error_may_be_a_beginning(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Others are whole; a word within a host or path counts."""
    ended = {"state": "failed", "finished_at": datetime.now(UTC)}
    one = await store(connection, **ended, error={"code": "E", "message": "/srv/data: disk full"})
    assert await found(browser, error="data di") == {one}
    assert await found(browser, error="dat disk") == set()


async def test_a_faulty_search_says_where_and_finds_nothing(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Each field that cannot be read says so beside it, and keeps what was typed."""
    await store(connection)
    query = {"id": "xyz", "state": "gone", "label": "team", "after": "soon", "older": "1"}
    answer = await browser.get("/tasks", query_string=query)
    assert answer.status_code == 422
    page = await text(answer)
    assert page.count('aria-invalid="true"') == 4
    assert 'value="xyz"' in page
    assert 'id="t-' not in page


async def test_empty_fields_leave_the_address(browser: HttpClient) -> None:
    """A form sends every field: the address that is kept and shared holds what was asked for."""
    answer = await browser.get("/tasks?type=a.b&state=&label=&error=+")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/tasks?type=a.b")


async def test_pages_follow_each_other_without_gap_or_repeat(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Older begins just below the last task of the page before, within the same search."""
    stored = {await store(connection, labels={"n": "1"}) for _ in range(60)}
    await store(connection)
    first = await found(browser, label="n:1")
    page = await text(await browser.get("/tasks?label=n:1"))
    link = re.search(r'rel="next" href="/tasks\?label=n%3A1&amp;older=([^"]+)"', page)
    assert link
    second = await found(browser, label="n:1", older=link.group(1))
    assert (len(first), first | second, first & second) == (50, stored, set())
    assert "data-refresh" in page  # and older pages stand still
    assert "data-refresh" not in await text(
        await browser.get(f"/tasks?label=n:1&older={link.group(1)}")
    )


async def test_whatever_a_field_holds_is_text_on_the_page(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """Every value that a caller or a task chooses is escaped, in the list and on its own page."""
    task = await store(
        connection, type=f"a.{HOSTILE.replace('.', '')}", pool=HOSTILE, state="failed",
        finished_at=datetime.now(UTC), reason=HOSTILE, worker=HOSTILE, notify_url=HOSTILE,
        args={HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}, labels={HOSTILE: HOSTILE},
        error={"code": HOSTILE, "message": HOSTILE, "traceback": HOSTILE},
    )  # fmt: skip
    ended = {"state": "succeeded", "finished_at": datetime.now(UTC)}
    other = await store(connection, **ended, result={HOSTILE: HOSTILE})
    await connection.execute(
        "INSERT INTO task_logs (task_id, tenant, number, at, attempt, text, fields) "
        "VALUES (%s, 'acme', 1, now(), 1, %s, %s)",
        (task, HOSTILE, msgspec.json.encode({HOSTILE: HOSTILE}).decode()),
    )
    for path in (f"/tasks/{task}", f"/tasks/{other}", "/tasks"):
        page = await text(await browser.get(path))
        assert "alert(1)" in page, path
        assert not OPENED.search(page), path
        assert "7006652" not in page, path
    query = {"error": HOSTILE, "type": HOSTILE, "label": HOSTILE, "id": HOSTILE, "state": HOSTILE}
    page = await text(await browser.get("/tasks", query_string=query))
    assert "alert(1)" in page
    assert not OPENED.search(page)


async def test_a_large_value_is_shown_in_part(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """The page stays small, and says how much it leaves out."""
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    args = {"text": "y" * 100_000, "many": [{"a": n} for n in range(5_000)], "deep": deep}
    task = await store(connection, args=args)
    page = await text(await browser.get(f"/tasks/{task}"))
    assert len(page) < 300_000
    assert "95000 more characters" in page
    assert "5000 elements" in page
    assert "… 4800 more" in page


async def test_a_task_that_is_not_there_is_a_page(browser: HttpClient) -> None:
    """404 in the frame, as for ids that are none."""
    for path in (f"/tasks/{uuid4()}", "/tasks/17"):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert "there is no task" in await text(answer)
        assert answer.mimetype == "text/html"


async def test_a_person_cancels_and_replays(
    browser: HttpClient, connection: AsyncConnection
) -> None:
    """The forms of a task's page do what they say, once, for who sends the page's token."""
    task = await store(connection)
    path = f"/tasks/{task}"
    token = await csrf(browser, path)
    # Given a form that another site made
    for forged in ({}, {"csrf": "x"}):
        assert (await browser.post(f"{path}/cancel", form=forged)).status_code == 403
    # When the page's own form is sent
    done = await browser.post(f"{path}/cancel", form={"csrf": token})
    assert (done.status_code, done.headers["Location"]) == (303, f"{path}?done=prevented")
    page = await text(await browser.get(done.headers["Location"]))
    assert "no further attempt" in page
    assert f'action="{path}/cancel"' not in page
    # And it is too late for another
    assert (await browser.post(f"{path}/cancel", form={"csrf": token})).status_code == 409
    # Then it may run again
    done = await browser.post(f"{path}/replay", form={"csrf": token})
    assert done.headers["Location"] == f"{path}?done=replayed"
    # And the key that may not submit cannot reprioritise
    form = {"csrf": token, "priority": "9"}
    assert (await browser.post(f"{path}/reprioritise", form=form)).status_code == 403


async def test_assets_are_kept_until_they_change(browser: HttpClient) -> None:
    """Their address holds a digest of all of them, and another address is not kept."""
    page = await text(await browser.get("/tasks"))
    addresses = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
    assert {each.rpartition(".")[2] for each in addresses} == {"css", "js"}
    for address in addresses:
        asset = await browser.get(address)
        assert asset.status_code == 200
        assert "immutable" in asset.headers["Cache-Control"]
        old = await browser.get(re.sub(r"/assets/\w+", "/assets/0", address))
        assert old.headers["Cache-Control"] == "no-store"
    assert (await browser.get("/assets/0/../frame.py")).status_code == 404
    assert (await browser.get("/assets/0/nothing.js")).status_code == 404


async def test_a_task_leads_to_its_trace(
    database_url: str, key: str, connection: AsyncConnection
) -> None:
    """Where the setting says that traces are shown; else its id is to be read."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    task = await store(connection, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    shown = "https://traces.example.com/t/{trace_id}"
    for url in (None, shown):
        async with application(replace(given(database_url), trace_url=url)) as app:
            browser = app.test_client()
            await log_in(browser, key)
            page = await text(await browser.get(f"/tasks/{task}"))
            assert trace in page
            assert (f'href="{shown.format(trace_id=trace)}"' in page) is (url is not None)
