"""The audit log tells who logged in and out, and that others tried."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.audit import DEPLOYMENT, Entry
from taskyard.core.errors import StorageUnavailable
from taskyard.core.principal import Scope, TenantId
from taskyard.services import audit
from taskyard.services.refused_logins import BY_KEY, RefusedLogins
from taskyard.storage import audit as audit_table
from taskyard.storage.audit import Sought
from taskyard.storage.pool import AsyncConnection, Pool, borrowed, open_pool
from tests.authorization import authorization_server
from tests.browsing import application, csrf, given, log_in, make_key
from tests.events import until
from tests.integration.ui.test_login_at_issuer import CLIENT, at_issuer, back, begin, gateway

ACME = TenantId("acme")
UNKNOWN = f"tk_{'0' * 12}_{'0' * 64}"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=1) as opened:
        yield opened


async def entries(pool: Pool, tenant: TenantId) -> list[Entry]:
    """All entries of a tenant, the oldest first, after the chain was found to be sound."""
    async with borrowed(pool) as connection:
        assert [each.faults async for each in audit.verify(connection) if each.faults] == []
        found = await audit_table.page(connection, tenant, Sought(), before=None, limit=500)
    return found[::-1]


def details(found: list[Entry]) -> list[dict[str, Any]]:
    return [json.loads(each.detail) for each in found]


async def log_out(browser: HttpClient) -> None:
    await browser.post("/logout", form={"csrf": await csrf(browser, "/")})


async def test_a_login_and_a_logout_are_recorded(database_url: str, pool: Pool) -> None:
    """With whose they were, in their tenant; a second logout did nothing."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        await log_out(browser)
        await browser.post("/logout", form={})
    made, begun, ended = await entries(pool, ACME)
    assert made.action == "key.made"
    assert {begun.actor, ended.actor} == {f"key:{key[:15]}"}
    assert (begun.action, ended.action) == ("session.begun", "session.ended")
    assert begun.target == ended.target
    assert begun.target.startswith("session:")
    assert details([begun, ended]) == [
        {"by": "key"}, {"because": "logout", "principal": begun.actor},
    ]  # fmt: skip
    assert key not in f"{begun}{ended}"


async def test_a_login_at_an_issuer_is_recorded(
    database_url: str, tmp_path: Path, pool: Pool
) -> None:
    """It names the issuer, and whom it knows there; one that was not completed is refused."""
    with authorization_server(clients=(CLIENT,)) as server:
        server.id_token = {"org": "acme", "groups": ["operators"]}
        async with gateway(database_url, tmp_path, server) as app:
            browser = app.test_client()
            url = at_issuer(await begin(browser))
            await back(app.test_client(), url)
            await back(browser, url)
        [begun] = await entries(pool, ACME)
        assert (begun.action, begun.actor) == ("session.begun", f"oidc:{server.issuer}#ada")
        assert details([begun]) == [{"by": server.issuer}]
        [refused] = await entries(pool, DEPLOYMENT)
        assert (refused.action, refused.actor) == ("login.refused", "nobody")


async def test_a_flood_of_refused_logins_is_two_entries(database_url: str, pool: Pool) -> None:
    """The first at once, all others of the minute in one, at the latest when the process stops."""
    settings = given(database_url)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, UNKNOWN)

        async def count() -> int:
            return len(await entries(pool, DEPLOYMENT))

        await until(count, 1)
        form = {"csrf": await csrf(browser), "key": UNKNOWN}
        for _ in range(30):
            assert (await browser.post("/login", form=form)).status_code == 403
        await browser.post("/login", form=form | {"key": "a pass word"})
        assert await count() == 1
    first, rest = await entries(pool, DEPLOYMENT)
    assert {first.target, rest.target} == {"login:key"}
    one, many = details([first, rest])
    assert (one["count"], one["keys"]) == (1, {UNKNOWN[3:15]: 1})
    assert (many["count"], many["keys"]) == (31, {UNKNOWN[3:15]: 30})
    assert sum(many["reasons"].values()) == 31
    assert "pass word" not in rest.detail
    assert UNKNOWN not in rest.detail


async def test_what_guesses_name_does_not_fill_an_entry(pool: Pool) -> None:
    """The twenty that came first are named, the rest are counted."""
    refused = RefusedLogins(pool)
    for number in range(1000):
        refused.count(BY_KEY, f"reason {number}", key=f"{number:012x}")
    await refused.record()
    [detail] = details(await entries(pool, DEPLOYMENT))
    assert detail["count"] == 1000
    for named in (detail["keys"], detail["reasons"]):
        assert (len(named), named["others"]) == (21, 980)


async def test_what_could_not_be_recorded_is_recorded_later(
    pool: Pool, connection: AsyncConnection
) -> None:
    """Nothing that was counted is lost because the database was away for a while."""
    refused = RefusedLogins(pool)
    refused.count(BY_KEY, "wrong", key="a")
    async with borrowed(pool) as other:
        backend = other.info.backend_pid
    await connection.execute("SELECT pg_terminate_backend(%s)", (backend,))
    with pytest.raises((StorageUnavailable, psycopg.OperationalError)):
        await refused.record()
    refused.count(BY_KEY, "wrong", key="b")
    await refused.record()
    [detail] = details(await entries(pool, DEPLOYMENT))
    assert detail == {"count": 2, "keys": {"a": 1, "b": 1}, "reasons": {"wrong": 2}}
