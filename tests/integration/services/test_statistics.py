"""services/statistics.py: what happened is counted from the history, each change once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from taskyard.core.errors import InvalidRequest
from taskyard.core.principal import DEFAULT_TENANT, Owner, TenantId
from taskyard.core.statistics import Change
from taskyard.core.task import NewTask, TaskId
from taskyard.services.reap import LOST
from taskyard.services.statistics import (
    Counter,
    Snapshot,
    count_backlog,
    forget_statistics,
    series,
    snapshot,
)
from taskyard.storage import statistics, tasks
from taskyard.storage.pool import AsyncConnection, OwnPool, Pool, borrowed, connect, open_pool
from tests.submissions import count, new

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

LEASED = ", lease_token = id, lease_expires_at = now() + interval '15 s', started_at = now()"
FREED = ", lease_token = NULL, lease_expires_at = NULL"
ENDED = f"{FREED}, finished_at = now()"
MOVES = {
    "running": LEASED, "retrying": FREED, "succeeded": ENDED, "failed": ENDED, "quarantined": ENDED,
    "cancelled": ENDED,
}  # fmt: skip


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


async def lived(
    connection: AsyncConnection,
    *moves: tuple[str, float],
    task: NewTask | None = None,
    also: str = "",
) -> TaskId:
    """A task that was submitted at START and moved so many seconds after it."""
    row = task or new(None)
    await tasks.insert(connection, [row])
    for state, _ in moves:
        change = f"UPDATE tasks SET state = '{state}'{MOVES.get(state, '')}{also} WHERE id = %s"
        await connection.execute(change.encode(), (row.id,))
    await connection.execute(
        "UPDATE task_events SET at = %s + given.after * interval '1 second'"
        " FROM unnest(%s::float8[]) WITH ORDINALITY AS given (after, seq)"
        " WHERE task_id = %s AND task_events.seq = given.seq",
        (START, [0.0, *(float(after) for _, after in moves)], row.id),
    )
    return row.id


async def settled(pool: Pool, *counters: Counter) -> Snapshot:
    """Count until all there is was counted; return what there is."""
    for counter in counters or [Counter(pool, every=0.0)]:
        await counter.count()  # sees how far it may go the next time
        while await counter.count():
            pass
    async with borrowed(pool) as connection:
        return await snapshot(connection)


def counts(found: Snapshot) -> dict[str, int]:
    return {total.change.value: total.count for total in found.totals}


async def test_a_task_is_counted_where_it_went(connection: AsyncConnection, pool: Pool) -> None:
    """With the time until the broker had it, until it began, and that it ran."""
    await lived(connection, ("queued", 0.02), ("running", 0.3), ("succeeded", 3.3))
    found = {total.change: total for total in (await settled(pool)).totals}
    assert set(found) == {Change.ACCEPTED, Change.DISPATCHED, Change.STARTED, Change.SUCCEEDED}
    assert {(each.pool, each.type, each.count) for each in found.values()} == {("p", "a.b", 1)}
    assert found[Change.ACCEPTED].durations is None
    took = {change: each.durations for change, each in found.items() if each.durations}
    assert {change: round(each.seconds, 3) for change, each in took.items()} == {
        Change.DISPATCHED: 0.02,
        Change.STARTED: 0.3,
        Change.SUCCEEDED: 3.0,
    }
    buckets = {change: each.buckets.index(1) for change, each in took.items()}
    # Up to 25 ms, up to 500 ms, up to 5 s.
    assert buckets == {Change.DISPATCHED: 2, Change.STARTED: 6, Change.SUCCEEDED: 9}


@pytest.mark.parametrize(("seconds", "bucket"), [(0.005, 0), (0.0051, 1), (3600.0, 15), (3601, 16)])
async def test_a_bucket_holds_its_bound(
    connection: AsyncConnection, pool: Pool, seconds: float, bucket: int
) -> None:
    """`le` means less or equal; what is longer than the last bound is in one of its own."""
    await lived(connection, ("running", 1.0), ("failed", 1.0 + seconds))
    [run] = [each for each in (await settled(pool)).totals if each.change is Change.FAILED]
    assert run.durations is not None
    assert run.durations.buckets.index(1) == bucket


async def test_retries_crashes_and_replays_are_told_apart(
    connection: AsyncConnection, pool: Pool
) -> None:
    """A crash counts beside what it led to; a wait begins anew with each attempt."""
    lost = f", reason = 'worker-lost', error = '{{\"message\": \"{LOST.message}\"}}'"
    await lived(connection, ("running", 1), ("retrying", 2), ("pending", 9), ("running", 10))
    await lived(connection, ("running", 1), ("retrying", 20), also=lost)
    await lived(connection, ("running", 1), ("quarantined", 3), also=", reason = 'worker-lost'")
    failed = await lived(connection, ("cancelled", 5))
    await connection.execute(
        "UPDATE tasks SET state = 'pending', finished_at = NULL, generation = 2 WHERE id = %s",
        (failed,),
    )
    found = await settled(pool)
    assert counts(found) == {
        "accepted": 4, "started": 4, "retried": 2, "reaped": 1, "crashed": 1, "quarantined": 1,
        "cancelled": 1, "replayed": 1,
    }  # fmt: skip
    [waits] = [each.durations for each in found.totals if each.change is Change.STARTED]
    assert waits is not None
    assert waits.seconds == pytest.approx(4.0)


async def test_each_change_is_counted_once_by_however_many(
    connection: AsyncConnection, pool: Pool
) -> None:
    """Counters that race share one cursor, and one that dies in between leaves no trace."""
    await tasks.insert(connection, [new(None) for _ in range(400)])
    racing = [Counter(pool, every=0.0) for _ in range(3)]
    for counter in racing:
        await counter.count()
    await tasks.insert(connection, [new(None) for _ in range(100)])
    await asyncio.gather(*(counter.count() for counter in racing for _ in range(5)))
    async with asyncio.timeout(10):
        while counts(found := await settled(pool, *racing)) != {"accepted": 500}:
            assert counts(found)["accepted"] < 500
    assert await count(connection, "SELECT sum(count) FROM statistics WHERE span = 1") == 500


async def test_what_commits_late_is_counted_too(
    connection: AsyncConnection, pool: Pool, database_url: str
) -> None:
    """It was given its position first, so the count waits for it instead of passing it over."""
    counter = Counter(pool, every=0.0)
    async with await connect(database_url, name="slow") as slow, slow.transaction():
        await tasks.insert(slow, [new(None)])
        await tasks.insert(connection, [new(None)])
        assert counts(await settled(pool, counter)) == {}
    await settled(pool, counter)
    assert counts(await settled(pool, counter)) == {"accepted": 2}


async def test_a_series_shows_each_tenant_its_own(connection: AsyncConnection, pool: Pool) -> None:
    """Step by step, in minutes or in hours; the yard as a whole is for whoever has no wall."""
    other = TenantId("other")
    await lived(connection, ("running", 90), ("succeeded", 150))
    await lived(connection, ("cancelled", 70), task=new(None, tenant=other, type="a.c"))
    await settled(pool)

    async def read(source: Pool | OwnPool, step: timedelta) -> list[tuple[float, str, str, int]]:
        found = await series(source, since=START, until=START + 2 * HOUR, step=step)
        return [((p.at - START) / MINUTE, p.type, p.change.value, p.count) for p in found]

    assert await read(OwnPool(pool, Owner(other)), MINUTE) == [
        (0, "a.c", "accepted", 1), (1, "a.c", "cancelled", 1)
    ]  # fmt: skip
    assert await read(OwnPool(pool, Owner(DEFAULT_TENANT)), 2 * MINUTE) == [
        (0, "a.b", "accepted", 1), (0, "a.b", "started", 1), (2, "a.b", "succeeded", 1)
    ]  # fmt: skip
    assert sum(count for *_, count in await read(pool, HOUR)) == 5
    limited = OwnPool(pool, Owner(DEFAULT_TENANT, ("x.*",)))
    assert await read(limited, HOUR) == []


@pytest.mark.parametrize(
    ("since", "step"), [(START - 3000 * MINUTE, MINUTE), (START, MINUTE / 2), (START + HOUR, HOUR)]
)
async def test_a_series_without_sense_is_refused(
    pool: Pool, since: datetime, step: timedelta
) -> None:
    """Too many steps, half minutes, no time at all."""
    with pytest.raises(InvalidRequest):
        await series(pool, since=since, until=START + HOUR, step=step)


async def test_what_has_not_ended_is_counted_by_pool_state_and_priority(
    connection: AsyncConnection, pool: Pool
) -> None:
    """And what has gone meanwhile is gone here as well."""
    first = await lived(connection, ("queued", 1))
    await lived(connection, task=new(None, priority=9))
    await lived(connection, ("running", 1))
    await lived(connection, ("running", 1), ("succeeded", 2))
    await connection.execute("UPDATE tasks SET due_at = now() - interval '1 minute'")
    await count_backlog(pool, every=0.0)
    assert await _backlog(pool) == [("pending", 9, 1), ("queued", 4, 1), ("running", 4, 1)]
    async with borrowed(pool) as other:
        assert [round(each.age, -1) for each in (await snapshot(other)).backlog] == [60, 60, 0]
    await connection.execute(f"UPDATE tasks SET state = 'cancelled'{ENDED} WHERE id = %s", (first,))
    await count_backlog(pool, every=0.0)
    assert await _backlog(pool) == [("pending", 9, 1), ("running", 4, 1)]


async def _backlog(pool: Pool) -> Sequence[tuple[str, int, int]]:
    async with borrowed(pool) as connection:
        found = await snapshot(connection)
    return [(each.state, each.priority, each.count) for each in found.backlog]


async def test_what_it_costs_is_not_what_is_kept(connection: AsyncConnection) -> None:
    """Neither count reads a table from end to end, whatever the planner believes of it."""
    await tasks.insert(connection, [new(None) for _ in range(3)])
    async with connection.transaction():
        moved = await statistics.count_changes(connection, until=3, every=0, most=9, reaped="-")
        assert moved == 3
        assert await statistics.count_backlog(connection, every=0)
        rows = await connection.execute(
            "SELECT relname, seq_scan FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('tasks', 'task_events') ORDER BY relname"
        )
        assert await rows.fetchall() == [("task_events", 0), ("tasks", 0)]


async def test_what_is_old_is_forgotten_and_totals_stay(
    connection: AsyncConnection, pool: Pool
) -> None:
    """After 90 days; a counter that fell would look like a restart."""
    await lived(connection, ("running", 1), ("succeeded", 2))
    await settled(pool)
    await connection.execute(
        "UPDATE statistics SET at = now() - interval '91 days' WHERE change = 'accepted'"
    )
    await connection.execute(
        "UPDATE statistics SET at = now() - interval '89 days' WHERE change = 'started'"
    )
    await connection.execute("UPDATE statistics SET at = now() WHERE change = 'succeeded'")
    await forget_statistics(pool)
    assert await count(connection, "SELECT count(*) FROM statistics") == 4
    async with borrowed(pool) as other:
        assert sum(total.count for total in (await snapshot(other)).totals) == 3
