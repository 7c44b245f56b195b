"""ui/: the pages Yard and Pools over what dispatchers have counted."""

from collections.abc import AsyncIterator

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard import bootstrap
from taskyard.core.principal import Scope, TenantId
from taskyard.services.keys import KeyWish
from taskyard.storage.pool import AsyncConnection
from tests.browsing import application, csrf, given, log_in, make_key, text

COUNTED = """
INSERT INTO backlog_counts (pool, state, priority, count, oldest) VALUES
    ('p', 'pending', 9, 7, now() - interval '1 minute'), ('p', 'queued', 0, 3, now()),
    ('p', 'running', 4, 2, now());
UPDATE statistics_cursors SET at = now();
INSERT INTO pool_windows (pool, consumers, size) VALUES ('p', 1, 8);
INSERT INTO workers (name, pool, slots) VALUES ('p@<b>host', 'p', 2);
INSERT INTO statistics (span, at, tenant, pool, type, change, count, seconds, buckets)
SELECT 1, date_trunc('minute', now()), tenant, 'p', 'a.b', change, 2, 1.0,
       ARRAY[0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
FROM unnest(ARRAY['acme', 'other']) AS tenants (tenant),
     unnest(ARRAY['started', 'succeeded']) AS changes (change);
INSERT INTO statistics (span, at, tenant, pool, type, change, count)
VALUES (1, date_trunc('minute', now()) - interval '2 hours', 'acme', 'p', 'a.b', 'failed', 5)
"""


@pytest.fixture
async def operator(database_url: str, connection: AsyncConnection) -> AsyncIterator[HttpClient]:
    """A browser in which somebody is logged in who may do everything."""
    for statement in COUNTED.split(";\n"):
        await connection.execute(statement.encode())
    wish = KeyWish(
        tenant=TenantId("acme"), name="k", scopes=frozenset({Scope.ADMIN}), created_by="tests",
        patterns=("#",),
    )  # fmt: skip
    key, _ = await bootstrap.create_key(given(database_url), wish)
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        yield browser


async def test_the_yard_says_what_waits_and_that_the_broker_is_away(operator: HttpClient) -> None:
    """From the counts, in words, in the picture and in the table."""
    page = await text(await operator.get("/"))
    assert "The message broker does not answer" in page
    assert "10 wait, 1 min" in page
    assert "7 of priority 9" in page
    assert "2 of 2" in page


async def test_a_part_that_is_the_same_comes_without_a_body(operator: HttpClient) -> None:
    """Within a second all viewers are shown one reading."""
    first = await operator.get("/flow")
    again = await operator.get("/flow", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert await again.get_data() == b""
    other = await operator.get("/flow", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    assert "<html" not in await text(other)


async def test_the_last_hour_is_that_of_all_tenants(operator: HttpClient) -> None:
    """And nothing older; names are text."""
    page = await text(await operator.get("/pools/p"))
    assert "p@&lt;b&gt;host" in page
    assert "p@<b>" not in page
    assert "<dt>Ended</dt><dd>4 " in page
    assert "<dt>Failed</dt><dd>0</dd>" in page
    # Spread evenly over the bucket from 0.25 to 0.5 s
    assert "0.4 s, 0.5 s" in await text(await operator.get("/pools"))


async def test_an_operator_pauses_resumes_and_drains(
    operator: HttpClient, connection: AsyncConnection
) -> None:
    """With the page's token alone, and as the audit log tells."""
    token = await csrf(operator, "/pools/p")
    for form in ({}, {"csrf": "x"}):
        assert (await operator.post("/pools/p/pause", form=form)).status_code == 403
    done = await operator.post("/pools/p/pause", form={"csrf": token, "reason": " <i>leak\0 "})
    assert (done.status_code, done.headers["Location"]) == (303, "/pools/p?done=paused")
    page = await text(await operator.get(done.headers["Location"]))
    assert "&lt;i&gt;leak" in page
    assert "/pools/p/resume" in page
    assert (await operator.post("/pools/p/resume", form={"csrf": token})).status_code == 303
    drained = {"csrf": token, "worker": "p@<b>host"}
    assert (await operator.post("/pools/p/drain", form=drained)).status_code == 303
    assert "leaves since" in await text(await operator.get("/pools/p"))
    drained["worker"] = "nobody"
    assert (await operator.post("/pools/p/drain", form=drained)).status_code == 404
    for done in ("pause", "resume"):
        assert (await operator.post(f"/pools/x/{done}", form={"csrf": token})).status_code == 404
    rows = await (await connection.execute("SELECT action FROM audit_log ORDER BY seq")).fetchall()
    actions = [row[0] for row in rows if row[0].startswith(("pool.", "worker."))]
    assert actions == ["pool.paused", "pool.resumed", "worker.drained"]


async def test_who_is_limited_to_some_types_stops_nobody_elses(
    operator: HttpClient, database_url: str
) -> None:
    """A pool serves all: neither forms nor what they send."""
    key = await make_key(given(database_url), Scope.ADMIN)  # for a.* only
    async with application(given(database_url)) as app:
        browser = app.test_client()
        await log_in(browser, key)
        page = await text(await browser.get("/pools/p"))
        assert "Pause…" not in page
        token = await csrf(browser, "/pools/p")
        for done in ("pause", "resume", "drain"):
            refused = await browser.post(f"/pools/p/{done}", form={"csrf": token})
            assert refused.status_code == 403
