"""services/flow.py: rates from what was counted, read once for all who look."""

import asyncio

from taskyard.core.flow import Rates
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.statistics import Change
from taskyard.services.flow import Flow
from taskyard.storage.pool import AsyncConnection
from tests.application import open_parts

TABLE = RoutingTable(
    pools={name: Pool(name=name, tasks=(f"{name}.*",), modules=("m",)) for name in ("p", "q")},
    defaults={},
)


async def count(connection: AsyncConnection, change: Change, number: int) -> None:
    """Let so many more have been counted in this minute."""
    await connection.execute(
        "INSERT INTO statistic_totals AS old (pool, type, change, count)"
        " VALUES ('p', 'p.a', %(change)s, %(count)s) ON CONFLICT (pool, type, change)"
        " DO UPDATE SET count = old.count + excluded.count",
        {"change": change, "count": number},
    )


async def test_rates_are_what_was_counted_between_two_looks(
    database_url: str, connection: AsyncConnection
) -> None:
    """Of the last ten seconds; who looks within a second is shown the same."""
    now = 100.0
    async with open_parts(database_url, TABLE) as parts:
        flow = Flow(parts.pool, TABLE, parts.publisher, clock=lambda: now)
        await count(connection, Change.ACCEPTED, 1_000_000)
        first = await flow.read()
        assert first.rates == Rates()
        # When more is counted, then it is not looked for again at once
        await count(connection, Change.ACCEPTED, 30)
        await count(connection, Change.FAILED, 6)
        now = 100.9
        assert await flow.read() is first
        # But two seconds later, once for all who ask
        now = 102.0
        one, other = await asyncio.gather(flow.read(), flow.read())
        assert one is other
        assert one.rates == Rates(accepted=15.0, ended=3.0, failed=3.0)
        assert [pool.name for pool in one.pools] == ["p", "q"]
        # And what was long ago does not count any more
        now = 111.5
        assert (await flow.read()).rates.accepted == 0.0


async def test_who_looks_first_is_shown_the_last_minute(
    database_url: str, connection: AsyncConnection
) -> None:
    """Nobody has looked before, so the minutes tell."""
    await connection.execute(
        "INSERT INTO statistics (span, at, tenant, pool, type, change, count)"
        " VALUES (1, date_trunc('minute', now()), 't', 'p', 'p.a', 'accepted', 1200)"
    )
    async with open_parts(database_url, TABLE) as parts:
        accepted = (await Flow(parts.pool, TABLE, parts.publisher).read()).rates.accepted
    assert 1200 / 121 <= accepted <= 1200 / 60


async def test_events_are_a_source_of_their_own(
    database_url: str, connection: AsyncConnection
) -> None:
    """How many came within ten seconds, and how many tasks were made of them."""
    for n in range(20):
        await connection.execute(
            "INSERT INTO inbox_events (key, source, id, type, state, document, tasks, received_at)"
            " VALUES (gen_random_uuid(), 's', %s, 'e', 'fired', '{}', '[{}, {}]',"
            " now() - %s * interval '1 minute')",
            (str(n), n % 2),
        )
    async with open_parts(database_url, TABLE) as parts:
        found = await Flow(parts.pool, TABLE, parts.publisher).read()
    assert (found.events, found.from_events) == (1.0, 2.0)
