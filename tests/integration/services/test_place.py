"""Places: who goes before one that waits, and how long tasks run, as the database tells."""

from typing import Any

import psycopg
import pytest

from taskyard.core.principal import TenantId
from taskyard.core.task import NewTask
from taskyard.storage import run_times, tasks, windows
from tests.application import api
from tests.submissions import new

Connection = psycopg.AsyncConnection[Any]
ONE, TWO = TenantId("one"), TenantId("two")


async def store(connection: Connection, tenant: TenantId, count: int, **more: Any) -> list[NewTask]:
    rows = [new(None, tenant=tenant, **more) for _ in range(count)]
    await tasks.insert(connection, rows)
    return rows


async def ahead(connection: Connection, tenant: TenantId = ONE, level: int = 4) -> int:
    return await run_times.count_ahead(connection, "p", tenant=tenant, level=level)


async def test_ones_own_tasks_go_before_one_and_others_take_turns(connection: Connection) -> None:
    """However many another has, it has as many turns as oneself; by weight."""
    assert await ahead(connection) == 0
    await store(connection, ONE, 3)
    await store(connection, TWO, 500)
    assert await ahead(connection) == 3 + 4
    await connection.execute("INSERT INTO tenants (name, weight) VALUES ('two', 2)")
    assert await ahead(connection) == 3 + 8
    assert await ahead(connection, TenantId("new")) == 1 + 2


async def test_the_more_urgent_go_before_and_the_less_urgent_do_not(
    connection: Connection,
) -> None:
    """Whosever they are."""
    await store(connection, TWO, 20, priority=5)
    await store(connection, TWO, 30, priority=3)
    await store(connection, ONE, 7, priority=9)
    assert await ahead(connection, level=4) == 27
    assert await ahead(connection, level=9) == 7
    assert await ahead(connection, level=0) == 57


async def test_what_is_not_due_goes_before_nobody(connection: Connection) -> None:
    """As a replay with a rate leaves them: pending, and their turn comes tomorrow."""
    for tenant in (ONE, TWO):
        await store(connection, tenant, 100, hold=3600.0)
        await store(connection, tenant, 3, hold=5.0)
        await store(connection, tenant, 2, priority=9, hold=3600.0)
    assert await ahead(connection) == 3 + 3


async def test_a_task_in_the_line_counts_those_before_it(connection: Connection) -> None:
    """Also of those that came in the same instant."""
    rows = await store(connection, ONE, 10)
    rows.sort(key=lambda row: row.id)
    cursor = await connection.execute("SELECT due_at FROM tasks LIMIT 1")
    [due_at] = await cursor.fetchone() or [None]
    found = [
        await run_times.count_ahead(
            connection, "p", tenant=ONE, level=4, since=due_at, task_id=row.id
        )
        for row in rows
    ]
    assert found == list(range(10))


async def test_run_times_are_measured_from_the_history(connection: Connection) -> None:
    """By type and for the pool, once for each attempt; a later sample moves what is known."""
    await windows.know(connection, "p", size=8)
    for name, seconds, count in (("a.slow", 3.0, 4), ("a.fast", 1.0, 12)):
        await _ran(connection, name, seconds, count)
    [fast, slow] = sorted(await run_times.measure(connection, every=0) or [], key=lambda s: s.type)
    assert (slow.type, slow.count, slow.mean) == ("a.slow", 4, pytest.approx(3.0))
    assert (fast.type, fast.count, fast.mean) == ("a.fast", 12, pytest.approx(1.0))
    found = await run_times.pace(connection, "p", "a.slow")
    assert found is not None
    assert (found.type_mean, found.run_mean) == (pytest.approx(3.0), pytest.approx(1.5))
    assert found.run_variance == pytest.approx(0.75)
    assert await run_times.measure(connection, every=0) == []
    assert await run_times.measure(connection, every=60) is None
    await _ran(connection, "a.slow", 9.0, 300)
    await run_times.measure(connection, every=0)
    found = await run_times.pace(connection, "p", "a.slow")
    assert found is not None
    assert found.type_mean == pytest.approx(9.0, rel=0.01)


async def _ran(connection: Connection, name: str, seconds: float, count: int) -> None:
    """Let so many tasks have run so long."""
    rows = await store(connection, ONE, count, type=name)
    ids = [row.id for row in rows]
    await connection.execute(
        "UPDATE tasks SET state = 'running', lease_token = id, lease_expires_at = now()"
        " WHERE id = ANY (%s)", (ids,),
    )  # fmt: skip
    await connection.execute(
        "UPDATE tasks SET state = 'succeeded', finished_at = now(), lease_token = NULL,"
        " lease_expires_at = NULL WHERE id = ANY (%s)", (ids,),
    )  # fmt: skip
    await connection.execute(
        "UPDATE task_events SET at = (SELECT at FROM task_events AS began WHERE"
        " began.task_id = task_events.task_id AND state = 'running') + %s * interval '1 second'"
        " WHERE state = 'succeeded' AND task_id = ANY (%s)",
        (seconds, ids),
    )


async def test_a_place_is_told_over_http(connection: Connection, database_url: str) -> None:
    """Of a task that has waited for a second, and of one that would be submitted now."""
    await windows.count_consumers(connection, "p", 1, size=8)
    await _ran(connection, "a.b", 2.0, 40)
    await run_times.measure(connection, every=0)
    rows = await store(connection, TenantId("default"), 50)
    await connection.execute(
        "UPDATE tasks SET due_at = due_at - interval '1 minute',"
        " publish_at = publish_at - interval '1 minute' WHERE state = 'pending'"
    )
    last = str(max(row.id for row in rows))
    async with api(database_url) as client:
        shown = await (await client.get(f"/v1/tasks/{last}")).get_json()
        found = await client.post("/v1/routes/explain", json={"type": "a.b", "priority": 9})
        urgent = (await found.get_json())["place"]
        found = await client.post("/v1/routes/explain", json={"type": "a.b"})
        usual = (await found.get_json())["place"]
    assert shown["place"]["ahead"] == 49
    assert shown["place"]["starts_p50"] < shown["place"]["starts_p90"]
    assert (urgent["ahead"], usual["ahead"]) == (0, 50)
    assert urgent["starts_p90"] < usual["starts_p50"]
