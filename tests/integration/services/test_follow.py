"""services/follow.py: the history of all tasks, followed without a gap."""

import asyncio
from uuid import uuid4

from taskyard.core.task import NewTask, TaskId
from taskyard.services.follow import Follower
from taskyard.storage import changes, tasks
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection, connect


def new() -> NewTask:
    return NewTask(
        id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels='{"k": "v"}',
        max_attempts=3,
    )  # fmt: skip


async def read(follower: Follower, connection: AsyncConnection, count: int) -> list[Change]:
    """Read so many changes, in as many rounds as it takes."""
    found: list[Change] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await follower.read(connection, limit=3)
            await asyncio.sleep(0.01)
    return found


async def test_every_change_is_followed_in_order(connection: AsyncConnection) -> None:
    """From the beginning, some at a time, each once."""
    rows = [new() for _ in range(5)]
    await tasks.insert(connection, rows)
    await connection.execute("UPDATE tasks SET state = 'cancelled', finished_at = now()")
    follower = Follower(0)
    seen = await read(follower, connection, 10)
    assert [change.state for change in seen] == ["pending"] * 5 + ["cancelled"] * 5
    assert [change.position for change in seen] == list(range(1, 11))
    assert {change.task_id for change in seen} == {row.id for row in rows}
    assert (seen[0].type, seen[0].pool, seen[0].labels) == ("a.b", "p", {"k": "v"})
    assert await follower.read(connection, limit=3) == []


async def test_a_commit_that_comes_late_is_not_passed_over(
    connection: AsyncConnection, database_url: str
) -> None:
    """It was given its position first, so what was committed meanwhile waits for it."""
    follower = Follower(0)
    early, late = new(), new()
    async with await connect(database_url, name="slow") as slow, slow.transaction():
        await tasks.insert(slow, [early])
        await tasks.insert(connection, [late])
        for _ in range(5):
            assert await follower.read(connection, limit=10) == []
    found = await read(follower, connection, 2)
    assert [change.task_id for change in found] == [early.id, late.id]


async def test_what_was_undone_or_removed_holds_nobody_up(
    connection: AsyncConnection, database_url: str
) -> None:
    """The gap stays, and is passed over."""
    undone, removed, kept = new(), new(), new()
    other = await connect(database_url, name="undone")
    async with other, other.transaction(force_rollback=True):
        await tasks.insert(other, [undone])
    await tasks.insert(connection, [removed])
    await connection.execute("DELETE FROM task_events")
    await connection.execute("DELETE FROM tasks")
    await tasks.insert(connection, [kept])
    [change] = await read(Follower(0), connection, 1)
    assert (change.task_id, change.position) == (kept.id, 3)


async def test_who_writes_no_history_holds_nobody_up(
    connection: AsyncConnection, database_url: str
) -> None:
    """Not even at a gap, with a transaction that has begun and stays open."""
    async with await connect(database_url, name="other") as other, other.transaction():
        await other.execute("CREATE TABLE held (n integer)")
        await tasks.insert(connection, [new(), new()])
        await connection.execute("DELETE FROM task_events WHERE position = 1")
        [change] = await read(Follower(0), connection, 1)
        assert change.position == 2


async def test_a_long_transaction_holds_up_no_old_change(
    connection: AsyncConnection, database_url: str
) -> None:
    """A gap before a change of a minute ago is not waited at."""
    async with await connect(database_url, name="long") as long, long.transaction():
        await tasks.insert(long, [new()])
        await tasks.insert(connection, [new()])
        follower = Follower(0)
        for _ in range(3):
            assert await follower.read(connection, limit=10) == []
        await connection.execute("UPDATE task_events SET at = now() - interval '61 s'")
        [change] = await follower.read(connection, limit=10)
        assert change.position == 2


async def test_many_gaps_are_waited_at_together(connection: AsyncConnection) -> None:
    """What was written while one of them was looked at is settled with it."""
    await tasks.insert(connection, [new() for _ in range(9)])
    await connection.execute("DELETE FROM task_events WHERE position % 2 = 1")
    follower = Follower(0)
    assert await follower.read(connection, limit=10) == []
    assert [each.position for each in await follower.read(connection, limit=10)] == [2, 4, 6, 8]


async def test_who_begins_now_hears_what_comes(connection: AsyncConnection) -> None:
    """And nothing of before."""
    await tasks.insert(connection, [new()])
    follower = Follower(await changes.newest_position(connection))
    assert await follower.read(connection, limit=10) == []
    late = new()
    await tasks.insert(connection, [late])
    [change] = await read(follower, connection, 1)
    assert change.task_id == late.id
