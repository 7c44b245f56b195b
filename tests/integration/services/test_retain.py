"""services/retain.py on a real server: what is over goes, with its history, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from taskyard.core.retention import first_id_at
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.core.task import NewTask, TaskId
from taskyard.services.retain import forget_keys, rest_after, retain
from taskyard.storage import retention, tasks
from taskyard.storage.pool import Pool, borrowed, connect, open_pool

Connection = psycopg.AsyncConnection[Any]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TABLE = RoutingTable(
    pools={},
    defaults={"short": TaskDefaults(retention=HOUR), "long": TaskDefaults(retention=30 * DAY)},
)
FILL = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                   created_at, finished_at, lease_token, lease_expires_at)
SELECT id, %(type)s, 'p', 4, %(state)s, 3, now(), now(), '{}',
       now() - %(age)s, CASE WHEN %(ended)s::interval IS NOT NULL THEN now() - %(ended)s END,
       CASE WHEN %(state)s = 'running' THEN id END,
       CASE WHEN %(state)s = 'running' THEN now() END
FROM unnest(%(ids)s::uuid[]) AS given (id)"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def _counted(connection: Connection) -> None:
    """The statistics have counted whatever happens in these tests, if they do not say otherwise."""
    await counted_up_to(connection, 1 << 60)


async def counted_up_to(connection: Connection, position: int) -> None:
    await connection.execute(
        "UPDATE statistics_cursors SET position = %s WHERE purpose = 'history'", (position,)
    )


async def given(
    connection: Connection,
    *,
    task_type: str = "short",
    state: str = "succeeded",
    age: timedelta = 10 * DAY,
    ended: timedelta | None = 2 * HOUR,
    count: int = 1,
) -> list[TaskId]:
    """Tasks that were made `age` ago, and ended `ended` ago."""
    first = first_id_at(datetime.now(UTC) - age).int
    version = 0x7 << 76 | 0b10 << 62
    ids = [TaskId(UUID(int=first | version | n)) for n in range(count)]
    values = {"ids": ids, "type": task_type, "state": state, "age": age, "ended": ended}
    await connection.execute(FILL, values)
    return ids


async def left(connection: Connection) -> set[TaskId]:
    return {row[0] for row in await (await connection.execute("SELECT id FROM tasks")).fetchall()}


async def sweep(pool: Pool) -> int:
    return await retain(pool, TABLE, now=datetime.now(UTC))


async def test_what_is_over_is_removed_with_its_history(connection: Connection, pool: Pool) -> None:
    """However it ended."""
    for n, state in enumerate(("succeeded", "failed", "cancelled", "expired", "quarantined")):
        await given(connection, state=state, age=10 * DAY + n * HOUR)
    assert await sweep(pool) == 5
    rest = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM task_events)"
    assert await (await connection.execute(rest)).fetchone() == (0, 0)


async def test_what_has_not_ended_is_left_however_old(connection: Connection, pool: Pool) -> None:
    """An old task may run still, or be scheduled for next year."""
    states = ("scheduled", "pending", "queued", "running", "retrying")
    kept = set()
    for n, state in enumerate(states):
        age = 400 * DAY + n * HOUR
        kept |= {*await given(connection, state=state, age=age, ended=None)}
    assert await sweep(pool) == 0
    assert await left(connection) == kept


async def test_retention_counts_from_the_end_by_type(connection: Connection, pool: Pool) -> None:
    """A task that ended just now is read still, and so is one of a type that is kept longer."""
    just_ended = await given(connection, age=11 * DAY, ended=timedelta(minutes=59))
    kept_longer = await given(connection, age=12 * DAY, task_type="long")
    by_default = await given(connection, age=13 * DAY, task_type="other", ended=6 * DAY)
    await given(connection, age=14 * DAY, task_type="other", ended=8 * DAY)
    assert await sweep(pool) == 1
    assert await left(connection) == {*just_ended, *kept_longer, *by_default}


async def test_what_was_not_counted_waits_for_that(connection: Connection, pool: Pool) -> None:
    """The statistics are of all that ever happened; but for a day at most, or the disk fills."""
    # Given tasks that are over, one of them for more than a day, and nothing counted
    waits = await given(connection)
    await given(connection, age=11 * DAY, ended=DAY + 2 * HOUR)
    await counted_up_to(connection, 0)
    # When it is swept, then only that one goes
    assert await sweep(pool) == 1
    assert await left(connection) == {*waits}
    # And the other one once it was counted, to its last change
    [last] = await (
        await connection.execute("SELECT max(position) FROM task_events WHERE task_id = %s", waits)
    ).fetchone() or [0]
    await counted_up_to(connection, last - 1)
    assert await sweep(pool) == 0
    await counted_up_to(connection, last)
    assert await sweep(pool) == 1


async def test_a_task_that_is_replayed_meanwhile_is_left(
    connection: Connection, pool: Pool
) -> None:
    """Between the look and the removal it went back to pending: its end has yet to come."""
    [task_id] = await given(connection, state="failed")
    await connection.execute(
        "UPDATE tasks SET state = 'pending', finished_at = NULL WHERE id = %s", (task_id,)
    )
    async with borrowed(pool) as sweeper:
        assert await retention.remove(sweeper, {task_id: HOUR}) == 0
    assert await left(connection) == {task_id}


async def test_a_task_that_others_hold_is_left_for_the_next_sweep(
    connection: Connection, pool: Pool, database_url: str
) -> None:
    """The sweep waits for nobody; the others are removed all the same."""
    [held, *_] = await given(connection, count=10)
    async with await connect(database_url, name="holder") as holder, holder.transaction():
        await holder.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (held,))
        assert await sweep(pool) == 9
        assert await left(connection) == {held}
    assert await sweep(pool) == 1


async def test_two_sweeps_at_once_share_the_work(connection: Connection, pool: Pool) -> None:
    """No deadlock, and each task is removed once."""
    await given(connection, count=5_000)
    one, other = await asyncio.gather(sweep(pool), sweep(pool))
    assert one + other == 5_000
    assert await left(connection) == set()


async def test_a_submission_does_not_wait_for_a_sweep(
    connection: Connection, pool: Pool, database_url: str
) -> None:
    """Amid 10,000 rows: with a removal open and not committed, a task is stored, claimed, ended."""
    ids = await given(connection, count=10_000)
    new = NewTask(
        id=TaskId(uuid7()), type="short", pool="p", priority=4, args="{}", labels="{}",
        max_attempts=3,
    )  # fmt: skip
    async with await connect(database_url, name="sweeper") as sweeper, sweeper.transaction():
        assert await retention.remove(sweeper, dict.fromkeys(ids, HOUR)) == 10_000
        await connection.execute("SET lock_timeout = '1s'")
        assert new.id in await tasks.insert(connection, [new])
        assert await tasks.cancel_unstarted(connection, new.id, "no longer wanted")
    assert await left(connection) == {new.id}


async def test_expired_keys_are_forgotten_and_others_kept(
    connection: Connection, pool: Pool
) -> None:
    """More of them than one statement takes."""
    await connection.execute(KEYS, {"count": 1_200, "left": -HOUR, "name": "old"})
    await connection.execute(KEYS, {"count": 3, "left": HOUR, "name": "new"})
    assert await forget_keys(pool) == 1_200
    rows = await (await connection.execute("SELECT key FROM idempotency_keys")).fetchall()
    assert sorted(row[0] for row in rows) == ["new 1", "new 2", "new 3"]


KEYS = """
INSERT INTO idempotency_keys (key, request_hash, task_id, pool, priority, state, due_at, expires_at)
SELECT %(name)s || ' ' || n, sha256('x'), gen_random_uuid(), 'p', 4, 'pending', now(),
       now() + %(left)s
FROM generate_series(1, %(count)s) AS n"""


async def test_looking_uses_the_primary_key(connection: Connection) -> None:
    """Neither statement may read the whole table."""
    await given(connection, count=2_000)
    await connection.execute("ANALYZE tasks")
    ids = [*await left(connection)][:5]
    for name, values in (
        ("look", {"after": UUID(int=0), "before": ids[0], "limit": 10}),
        ("remove", {"ids": ids, "retentions": [3600.0] * 5}),
    ):
        statement = b"EXPLAIN " + retention.queries("retention")[name].encode()
        plan = "\n".join(
            row[0] for row in await (await connection.execute(statement, values)).fetchall()
        )
        assert "tasks_pkey" in plan, plan
        assert "Seq Scan on tasks" not in plan, plan


def test_the_rest_is_longer_after_a_long_sweep() -> None:
    """So that sweeping takes a twentieth of the time at most, and an hour is the longest wait."""
    assert [rest_after(seconds) for seconds in (0, 1, 10, 10_000)] == [5, 20, 200, 3600]
