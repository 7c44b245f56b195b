"""ui/: the page Charts, of what was counted."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.principal import Owner, Scope, TenantId
from taskyard.core.statistics import BOUNDS, Durations
from taskyard.services.charts import OTHERS, STRETCHES, Charted, Wish, chart
from taskyard.storage.pool import AsyncConnection, OwnPool, open_pool
from taskyard.storage.sql import queries
from tests.browsing import application, given, log_in, make_key, text

NOW = datetime(2026, 3, 4, 12, 30, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACME = Owner(TenantId("acme"))
COUNT = """
INSERT INTO statistics (span, at, tenant, pool, type, change, count, seconds, buckets)
SELECT span, date_trunc(CASE span WHEN 1 THEN 'minute' ELSE 'hour' END, %(at)s::timestamptz),
       %(tenant)s, %(pool)s, %(type)s, %(change)s, %(count)s, %(seconds)s, %(buckets)s
FROM (VALUES (1), (60)) AS spans (span)
ON CONFLICT (span, at, tenant, pool, type, change)
    DO UPDATE SET count = statistics.count + excluded.count"""


async def count(
    connection: AsyncConnection,
    change: str,
    number: int,
    *,
    ago: timedelta = MINUTE,
    now: datetime = NOW,
    took: float | None = None,
    tenant: str = "acme",
    pool: str = "p",
    type: str = "a.b",  # noqa: A002 - as the column is called
) -> None:
    """So many changes some time ago, each of which took so many seconds."""
    buckets = None if took is None else [0] * (len(BOUNDS) + 1)
    if took is not None and buckets is not None:
        buckets[sum(took > bound for bound in BOUNDS)] = number
    await connection.execute(
        COUNT.encode(),
        {
            "at": now - ago, "tenant": tenant, "pool": pool, "type": type, "change": change,
            "count": number, "seconds": None if took is None else took * number,
            "buckets": buckets,
        },
    )  # fmt: skip


@pytest.fixture
async def own(database_url: str) -> AsyncIterator[OwnPool]:
    async with open_pool(database_url, name="tests", size=1) as opened:
        yield OwnPool(opened, ACME)


async def charted(own: OwnPool, last: str = "1h", **wish: str) -> Charted:
    return await chart(own, Wish(stretch=STRETCHES[last], **wish), now=NOW)


async def test_what_happened_is_a_line_for_each_pool(
    connection: AsyncConnection, own: OwnPool
) -> None:
    """How many ended a minute, how long they waited and ran, which share failed."""
    # Given two minutes of one pool, and a cancellation in another
    await count(connection, "started", 8, took=0.3)
    await count(connection, "succeeded", 6, took=2.0)
    await count(connection, "failed", 2, took=0.004)
    await count(connection, "cancelled", 1)
    await count(connection, "succeeded", 3, ago=3 * MINUTE, type="a.c", took=9.0)
    await count(connection, "cancelled", 5, pool="q")
    # And what is of others, not finished, or long ago
    await count(connection, "succeeded", 9, tenant="other")
    await count(connection, "accepted", 9)
    await count(connection, "succeeded", 9, ago=timedelta(hours=2))
    # When the last hour is looked at
    found = await charted(own)
    # Then there are both pools, minute by minute
    assert found.steps[0] == datetime(2026, 3, 4, 11, 30, tzinfo=UTC)
    assert (len(found.steps), found.until) == (60, datetime(2026, 3, 4, 12, 30, tzinfo=UTC))
    p, q = found.lines
    assert (p.name, q.name) == ("p", "q")
    assert (p.rate[-1], p.rate[-3], sum(p.rate), sum(q.rate)) == (9.0, 3.0, 12.0, 5.0)
    assert (p.failed[-1], p.failed[-3], p.failed[-2]) == (0.25, 0.0, None)
    assert set(q.failed) == {None}
    wait, run = p.wait[-1], p.run[-1]
    assert wait is not None
    assert run is not None
    assert 0.25 < (wait.percentile(0.5) or 0) <= 0.5
    assert (run.count, run.seconds) == (8, pytest.approx(12.008))
    assert p.wait[-3] is None


async def test_of_one_pool_the_types_are_told_apart(
    connection: AsyncConnection, own: OwnPool
) -> None:
    """And what a key does not show is not there."""
    await count(connection, "succeeded", 1, type="a.b")
    await count(connection, "succeeded", 2, type="a.c")
    await count(connection, "succeeded", 4, type="a.c", pool="q")
    assert [line.name for line in (await charted(own, pool="p")).lines] == ["a.b", "a.c"]
    of_type = await charted(own, type="a.c")
    assert [(line.name, sum(line.rate)) for line in of_type.lines] == [("a.c", 6.0)]
    limited = OwnPool(own.pool, Owner(ACME.tenant, ("*.b",)))
    assert [line.name for line in (await charted(limited, pool="p")).lines] == ["a.b"]


async def test_many_are_few_lines(connection: AsyncConnection, own: OwnPool) -> None:
    """The most frequent have a name; all others are one line, the last."""
    for number in range(1, 12):
        await count(connection, "failed", number, pool=f"p{number:02}", took=1.0)
    found = await charted(own)
    assert [line.name for line in found.lines] == [f"p{n:02}" for n in range(5, 12)] + [OTHERS]
    others = found.lines[-1]
    assert others.rate[-1] == 1 + 2 + 3 + 4
    assert others.run[-1] == Durations(
        seconds=10.0, buckets=tuple(10 if bound == 1.0 else 0 for bound in (*BOUNDS, None))
    )


@pytest.mark.parametrize(("last", "steps"), [("6h", 73), ("24h", 97), ("7d", 85), ("30d", 121)])
async def test_every_stretch_has_all_that_is_in_it(
    connection: AsyncConnection, own: OwnPool, last: str, steps: int
) -> None:
    """Its first step and its last, which is not over yet and has a rate of its own."""
    stretch = STRETCHES[last]
    await count(connection, "succeeded", 60, ago=stretch.length)
    await count(connection, "succeeded", 30, ago=timedelta())
    found = await charted(own, last)
    [line] = found.lines
    assert len(found.steps) in (steps, steps - 1)
    assert found.steps[0] <= NOW - stretch.length < found.steps[1]
    assert line.rate[0] == 60 / (stretch.step / MINUTE)
    assert line.rate[-1] == 30 / max((NOW - found.steps[-1]) / MINUTE, 1)
    assert sum(rate > 0 for rate in line.rate) == 2


async def test_a_chart_reads_its_time_by_index(connection: AsyncConnection) -> None:
    """However much is kept of ninety days."""
    await connection.execute(
        "INSERT INTO statistics (span, at, tenant, pool, type, change, count)"
        " SELECT 1, now() - number * interval '1 minute', 'acme', 'p', 'a.b', 'started', 1"
        " FROM generate_series(1, 9000) AS number"
    )
    await connection.execute("ANALYZE statistics")
    statement = b"EXPLAIN " + queries("statistics")["read_chart"].encode()
    values = {
        "span": 1, "since": datetime.now(UTC) - 9 * MINUTE, "until": datetime.now(UTC), "step": 60,
        "tenant": "acme", "types": None, "pool": None, "type": None, "by_type": False, "most": 7,
    }  # fmt: skip
    plan = await (await connection.execute(statement, values, prepare=False)).fetchall()
    assert any("Index" in row[0] and "statistics" in row[0] for row in plan), plan
    assert not any("Seq Scan on statistics" in row[0] for row in plan), plan


@pytest.fixture
async def browser(database_url: str) -> AsyncIterator[HttpClient]:
    settings = given(database_url)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, await make_key(settings, Scope.READ))
        yield browser


async def test_the_page_shows_lines_and_the_same_as_a_table(
    connection: AsyncConnection, browser: HttpClient
) -> None:
    """Of the tasks that the viewer may see; the address holds what is looked at."""
    now = datetime.now(UTC)
    await count(connection, "succeeded", 120, now=now, ago=5 * MINUTE, took=1.0)
    await count(connection, "succeeded", 7, now=now, ago=5 * MINUTE, pool="<i>", type="x.hidden")
    await count(connection, "failed", 40, now=now, ago=5 * MINUTE, took=1.0)
    shown = await text(await browser.get("/charts?last=1h&table=failed"))
    assert re.search(r'aria-label="Failed: p 25 % last, 25 % at most"', shown)
    assert re.search(r'<td class="number" data-title="p">25 %</td>', shown)
    assert shown.count("<polyline") == 6  # nothing waited: three pictures with their keys
    assert "&lt;i&gt;" not in shown  # its type is none of the viewer's
    nothing = await text(await browser.get("/charts?pool=nowhere"))
    assert nothing.count("Nothing in this time.") == 4


async def test_what_has_no_sense_is_said(browser: HttpClient) -> None:
    """Beside the field; and fields left empty are not kept in the address."""
    refused = await browser.get("/charts?last=1y&share=p0")
    assert refused.status_code == 422
    assert (await text(refused)).count("is none of") == 2
    assert (await browser.get("/charts?type=%00")).status_code == 422
    bare = await browser.get("/charts?pool=&last=7d&type=+")
    assert (bare.status_code, bare.headers["Location"]) == (303, "/charts?last=7d")
