"""services/sessions.py behind the pages: sessions are kept on the server, and end there."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from itsdangerous import URLSafeSerializer
from quart import Quart
from quart.typing import TestClientProtocol as HttpClient

from taskyard import bootstrap
from taskyard.bootstrap import identity
from taskyard.core.principal import Principal, Scope, TenantId
from taskyard.core.session import MOST, ByKey
from taskyard.services.retain import forget_sessions
from taskyard.services.sessions import Sessions
from taskyard.storage.pool import AsyncConnection, Pool, open_pool
from tests.authorization import authorization_server
from tests.browsing import application, csrf, given, log_in, make_key, session_of
from tests.integration.ui.test_login_at_issuer import CLIENT, at_issuer, back, begin, gateway

NOBODY_LOOKS = timedelta(seconds=2.1)  # after that what was believed is looked at again


class Clock:
    """The clock of what is believed; it stands still unless the test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def move(self, by: timedelta = NOBODY_LOOKS) -> None:
        self.seconds += by.total_seconds()

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    now = SimpleNamespace(time=identity.time.time, monotonic=made)
    monkeypatch.setattr(identity, "time", now)
    return made


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=2) as opened:
        yield opened


async def rows(connection: AsyncConnection, statement: str) -> list[Any]:
    return await (await connection.execute(statement.encode())).fetchall()


async def age(connection: AsyncConnection, column: str, by: str) -> None:
    """Let time pass for what the database knows of every session."""
    await connection.execute(f"UPDATE sessions SET {column} = {column} - interval '{by}'".encode())


def copy_of(browser: HttpClient, app: Quart) -> HttpClient:
    """A browser that shows what another one has."""
    copy = app.test_client()
    copy.set_cookie("localhost", "taskyard", session_of(browser))
    return copy


async def is_in(browser: HttpClient) -> bool:
    return (await browser.get("/")).status_code == 200


async def test_what_the_browser_has_is_not_in_the_database(
    database_url: str, connection: AsyncConnection
) -> None:
    """A hash of it is: whoever reads the table can log in as nobody."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        secret = URLSafeSerializer("").loads_unsafe(session_of(browser))[1]
        assert len(secret) == 43
        [(stored, digest)] = await rows(
            connection, "SELECT sessions::text, encode(digest, 'hex') FROM sessions"
        )
        assert secret not in stored
        assert len(digest) == 64


async def test_a_session_is_not_asked_for_with_each_request(
    database_url: str, connection: AsyncConnection, clock: Clock
) -> None:
    """What the database said is believed for two seconds, and no longer."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        assert await is_in(browser)
        await connection.execute("DELETE FROM sessions")
        clock.move(timedelta(seconds=1.9))
        assert await is_in(browser)
        clock.move(timedelta(seconds=0.2))
        assert not await is_in(browser)


async def test_who_comes_back_stays_logged_in(
    database_url: str, connection: AsyncConnection, clock: Clock
) -> None:
    """Also who asks the API alone; and who does not come back for an hour is logged out."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        for _ in range(3):
            await age(connection, "seen_at", "59 minutes")
            clock.move()
            assert (await browser.get("/v1/tasks")).status_code == 200
        await age(connection, "seen_at", "61 minutes")
        clock.move()
        assert not await is_in(browser)


async def test_a_session_ends_however_busy_it_is(
    database_url: str, connection: AsyncConnection, clock: Clock
) -> None:
    """After twelve hours."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        await age(connection, "ends_at", "11 hours 59 minutes")
        clock.move()
        assert await is_in(browser)
        await age(connection, "ends_at", "1 minute")
        clock.move()
        assert not await is_in(browser)


async def test_logging_out_ends_every_copy_of_the_cookie(database_url: str, clock: Clock) -> None:
    """In this process at once, in those that knew it after two seconds."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app, application(settings) as other:
        # Given a session that somebody took a copy of, and another process that knows it
        browser = app.test_client()
        await log_in(browser, key)
        here, elsewhere = copy_of(browser, app), copy_of(browser, other)
        assert await is_in(here)
        assert await is_in(elsewhere)
        # When its owner logs out
        await browser.post("/logout", form={"csrf": await csrf(browser, "/")})
        # Then the copies open nothing
        assert not await is_in(here)
        clock.move()
        assert not await is_in(elsewhere)
        assert (await elsewhere.get("/v1/tasks")).status_code == 401


async def test_a_login_ends_what_the_browser_had_before(database_url: str) -> None:
    """A session is never carried over from one login to the next."""
    settings = given(database_url)
    one, two = [await make_key(settings, Scope.READ) for _ in range(2)]
    async with application(settings) as app:
        browser, visitor = app.test_client(), app.test_client()
        await log_in(browser, one)
        former = copy_of(browser, app)
        assert await is_in(former)
        # Given a form of the login, fetched before
        token = await csrf(visitor)
        browser.set_cookie("localhost", "taskyard-login", session_of(visitor))
        done = await browser.post("/login", form={"csrf": token, "key": two})
        assert done.status_code == 303
        assert await is_in(browser)
        assert not await is_in(former)


async def test_a_revoked_key_ends_its_sessions(database_url: str, clock: Clock) -> None:
    """In every process; those of other keys go on."""
    settings = given(database_url)
    key, another = [await make_key(settings, Scope.READ) for _ in range(2)]
    async with application(settings) as app, application(settings) as other:
        browser, stays = app.test_client(), app.test_client()
        await log_in(browser, key)
        await log_in(stays, another)
        assert await is_in(browser)
        # When the key is revoked
        await bootstrap.revoke_key(settings, key.split("_")[1])
        # Then a process that never saw it lets nobody in, and the one that did soon after
        elsewhere = copy_of(browser, other)
        assert not await is_in(elsewhere)
        assert (await elsewhere.get("/v1/tasks")).status_code == 401
        clock.move()
        assert not await is_in(browser)
        assert await is_in(stays)


async def test_a_key_that_is_rotated_ends_its_sessions_with_the_overlap(
    database_url: str, connection: AsyncConnection, clock: Clock
) -> None:
    """A session lasts no longer than its key does."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        await bootstrap.rotate_key(settings, key.split("_")[1], timedelta(hours=2))
        clock.move()
        assert await is_in(browser)
        await connection.execute("UPDATE api_keys SET expires_at = now()")
        clock.move()
        assert not await is_in(browser)


async def test_an_issuer_that_was_removed_ends_its_sessions(
    database_url: str, tmp_path: Path, connection: AsyncConnection
) -> None:
    """For good: they do not come back to life with it."""
    with authorization_server(clients=(CLIENT,)) as server:
        server.id_token = {"org": "acme", "groups": ["operators"]}
        async with gateway(database_url, tmp_path, server) as app:
            browser = app.test_client()
            await back(browser, at_issuer(await begin(browser)))
            assert await is_in(copy_of(browser, app))
            async with application(given(database_url)) as without:
                assert not await is_in(copy_of(browser, without))
        async with gateway(database_url, tmp_path, server) as again:
            assert not await is_in(copy_of(browser, again))
    found = await rows(
        connection, "SELECT actor, detail::jsonb->>'because' FROM audit_log WHERE seq = 2"
    )
    assert found == [("taskyard", "issuer removed")]


def person(name: str = "key:tk_0") -> Principal:
    return Principal(tenant=TenantId("acme"), name=name, scopes=frozenset({Scope.READ}))


async def test_one_key_cannot_fill_the_table(database_url: str, pool: Pool) -> None:
    """The oldest sessions of a principal make room; those of others stay."""
    key = await make_key(given(database_url), Scope.READ)
    way, sessions = ByKey(key.split("_")[1]), Sessions(pool, issuers=(), clock=lambda: 0.0)
    await sessions.begin(person("key:tk_1"), way, "of another")
    for number in range(MOST + 1):
        await sessions.begin(person(), way, f"secret {number}")
    assert await sessions.find("secret 0") is None
    for known in ("secret 1", f"secret {MOST}", "of another"):
        assert await sessions.find(known) is not None


async def test_sessions_that_are_over_are_removed(
    database_url: str, pool: Pool, connection: AsyncConnection
) -> None:
    """The sweep takes those that are idle or too old, and leaves the others."""
    key = await make_key(given(database_url), Scope.READ)
    sessions = Sessions(pool, issuers=(), clock=lambda: 0.0)
    for secret in ("idle", "old", "open"):
        await sessions.begin(person(), ByKey(key.split("_")[1]), secret)
    over = "WHERE digest = sha256('{}')"
    await connection.execute(
        f"UPDATE sessions SET seen_at = now() - interval '61 minutes' {over.format('idle')}"
        f"; UPDATE sessions SET ends_at = now() {over.format('old')}".encode()
    )
    assert await forget_sessions(pool) == 2
    assert await sessions.find("open") is not None
