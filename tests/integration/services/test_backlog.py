"""The bound of the backlog, by the wait that is to be expected."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from taskyard.core.errors import BacklogFull
from taskyard.core.principal import DEFAULT_TENANT, TenantId
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.task import Accepted
from taskyard.services.admission import Admission
from taskyard.services.backlog import Backlog
from taskyard.services.fresh import open_fresh
from taskyard.services.intake import Intake
from taskyard.storage import tasks, windows
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.pool import open_pool
from tests.application import open_parts
from tests.submissions import new

Connection = psycopg.AsyncConnection[Any]
# One worker with two slots, on which tasks run for a second: about 20 in ten seconds.
POOL = Pool(
    name="p", tasks=("a.*",), modules=("m",), concurrency=2, longest_wait=timedelta(seconds=10)
)
TABLE = RoutingTable(pools={"p": POOL, "q": replace(POOL, name="q")}, defaults={})


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[ConnectionPool]:
    async with open_pool(database_url, name="tests", size=2) as opened:
        yield opened


async def measured(connection: Connection, *, workers: int = 1) -> None:
    await windows.count_consumers(connection, "p", workers, size=8)
    await connection.execute("UPDATE pool_windows SET run_mean = 0.998, run_variance = 0.1")


async def looked(pool: ConnectionPool, largest: int = 1_000_000) -> Backlog:
    backlog = Backlog(pool, largest=largest, table=TABLE)
    await backlog.look()
    return backlog


def let_in(backlog: Backlog, pool: str = "p", tenant: TenantId = DEFAULT_TENANT) -> list[int]:
    """The priorities that one more task of a tenant may have in a pool."""
    found = []
    for priority in range(10):
        try:
            backlog.admit(pool, priority, tenant)
        except BacklogFull:
            continue
        found.append(priority)
    return found


async def test_a_pool_is_full_when_what_waits_takes_it_too_long(
    connection: Connection, pool: ConnectionPool
) -> None:
    """Low priorities are shed first, other pools do not matter, and more workers make room."""
    await measured(connection)
    await tasks.insert(connection, [new(None) for _ in range(17)])
    assert let_in(await looked(pool)) == [4, 8, 9]  # 17, 18 and 19 wait: each one let in counts
    await tasks.insert(connection, [new(None) for _ in range(3)])
    assert let_in(await looked(pool)) == []
    assert let_in(await looked(pool), "q") == list(range(10))
    await measured(connection, workers=2)
    assert let_in(await looked(pool)) == list(range(10))


async def test_without_workers_or_measurements_only_the_count_bounds(
    connection: Connection, pool: ConnectionPool
) -> None:
    """Nobody can tell how long it would take."""
    await tasks.insert(connection, [new(None) for _ in range(30)])
    assert let_in(await looked(pool)) == list(range(10))
    assert let_in(await looked(pool, largest=35)) == [4, 5, 6, 7, 8, 9]
    assert let_in(await looked(pool, largest=30)) == []


@pytest.mark.parametrize("largest", [1_000_000, 20])
async def test_a_flood_leaves_room_for_another_tenant(
    connection: Connection, pool: ConnectionPool, largest: int
) -> None:
    """At the bound of the pool as at that of all together, as far as the hard end."""
    if largest > 20:
        await measured(connection)
    await tasks.insert(connection, [new(None) for _ in range(21)])
    backlog = await looked(pool, largest)
    assert let_in(backlog) == []
    assert 9 in let_in(backlog, tenant=TenantId("quiet"))
    await tasks.insert(connection, [new(None, tenant=TenantId("quiet")) for _ in range(4)])
    assert let_in(await looked(pool, largest), tenant=TenantId("third")) == []


async def test_who_weighs_more_has_a_larger_share_of_the_bound(
    connection: Connection, pool: ConnectionPool
) -> None:
    """A flood of three quarters is within the share of a tenant that weighs nine."""
    await connection.execute("INSERT INTO tenants (name, weight) VALUES ('heavy', 9)")
    for name, number in (("heavy", 16), ("light", 4)):
        await tasks.insert(connection, [new(None, tenant=TenantId(name)) for _ in range(number)])
    backlog = await looked(pool, 20)
    assert let_in(backlog, tenant=TenantId("light")) == []
    assert let_in(backlog, tenant=TenantId("heavy")) == [4, 8]  # then it has its 18 of 20


async def test_who_is_refused_is_told_when_to_come_again(
    connection: Connection, pool: ConnectionPool
) -> None:
    """After what it takes to work off the excess, and not all at once."""
    await measured(connection)
    await tasks.insert(connection, [new(None) for _ in range(100)])
    backlog = await looked(pool)
    told = set()
    for _ in range(200):
        with pytest.raises(BacklogFull, match="pool 'p'") as refused:
            backlog.admit("p", 4, DEFAULT_TENANT)
        told.add(refused.value.retry_after)
    assert min(told) >= 1
    assert len(told) >= 2


async def test_a_batch_is_taken_as_far_as_there_is_room(
    connection: Connection, pool: ConnectionPool, database_url: str
) -> None:
    """Its critical items before the others; none of them, and it is refused whole."""
    await measured(connection)
    await tasks.insert(connection, [new(None) for _ in range(18)])
    async with (
        open_parts(database_url) as parts,
        open_fresh(publisher=parts.publisher, pool=pool) as fresh,
    ):
        backlog = await looked(pool)
        intake = Intake(pool, fresh, Admission(pool, backlog=backlog, table=TABLE))
        batch = [new(None, priority=priority) for priority in (0, 9, 4, 9, 9)]
        outcomes = await intake.store_batch(batch)
        with pytest.raises(BacklogFull):
            await intake.store_batch([new(None, priority=0)] * 1)
    kinds = [isinstance(each, Accepted) for each in outcomes]
    assert kinds == [False, True, False, True, False]
    assert all(isinstance(each, Accepted | BacklogFull) for each in outcomes)
