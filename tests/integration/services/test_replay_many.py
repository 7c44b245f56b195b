"""Replay of many dead letters on a real server: what a filter matches, at once or spread."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from taskyard.core.errors import InvalidRequest
from taskyard.core.routing import Pool as WorkerPool
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.core.task import TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.entry import Entry
from taskyard.services.replay_many import ReplayManyRequest, replay_many
from taskyard.services.replay_report import ReplayReport
from taskyard.storage import dead_letters
from taskyard.storage.dead_letters import Criteria
from taskyard.storage.pool import Pool, borrowed, open_pool
from tests.own import entry_of, own
from tests.replays import DAY, TABLE, Connection, announced, given, states


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


async def many(
    pool: Pool,
    *,
    table: RoutingTable = TABLE,
    catalog: Catalog | None = None,
    entry: Entry | None = None,
    **wish: Any,
) -> ReplayReport:
    return await replay_many(
        own(pool),
        ReplayManyRequest(**wish),
        table=table,
        catalog=catalog or Catalog(),
        entry=entry or entry_of(pool),
        now=datetime.now(UTC),
    )


async def test_a_filter_replays_what_it_matches_and_nothing_else(
    connection: Connection, pool: Pool
) -> None:
    """Each criterion by itself; cancelled and succeeded tasks are no dead letters."""
    other = {"error": '{"code": "OSError", "message": "no"}'}
    ids = {
        "type": await given(connection, task_type="a.c", **other),
        "code": await given(connection),
        "state": await given(connection, "expired", error=None),
        "labels": await given(connection, labels='{"team": "web"}', **other),
        "finished_before": await given(connection, ago=2 * DAY, **other),
    }
    for state in ("cancelled", "succeeded", "running", "scheduled"):
        await given(connection, state, task_type="a.c", labels='{"team": "web"}', ago=2 * DAY)
    filters: dict[str, Any] = {
        "type": "a.c", "code": "KeyError", "state": "expired", "labels": {"team": "web"},
        "finished_before": datetime.now(UTC) - DAY,
    }  # fmt: skip
    for name, value in filters.items():
        wanted = DeadLetterFilter(**{name: value})
        assert await many(pool, filter=wanted, dry_run=True) == ReplayReport(
            count=1, more=False, groups=(await one_group(pool, wanted),)
        )
        assert await many(pool, filter=wanted) == ReplayReport(count=1, more=False)
        now = await states(connection)
        assert now[ids[name]] == "pending"
        await connection.execute("DELETE FROM tasks WHERE id = %s", (ids[name],))
    assert set((await states(connection)).values()).isdisjoint({"pending", "failed", "expired"})


@pytest.mark.parametrize("dry_run", [True, False])
async def test_each_of_many_is_checked_like_a_submission(
    connection: Connection, pool: Pool, database_url: str, dry_run: bool
) -> None:
    """Against the schema, the size and the table of today; what is refused stays, with a reason."""
    catalog = await announced(pool, database_url)
    fits = await given(connection)
    misfit = await given(connection)
    await connection.execute("UPDATE tasks SET args = %s WHERE id = %s", ('{"n": "x"}', misfit))
    unknown = await given(connection, task_type="z.z")
    large = await given(connection, task_type="a.c")
    await connection.execute("UPDATE tasks SET args = %s WHERE id = %s", ('{"n": 111}', large))
    table = replace(TABLE, defaults={"a.c": TaskDefaults(max_args=8)})
    before = await states(connection)

    report = await many(pool, table=table, catalog=catalog, all=True, dry_run=dry_run)

    assert (report.count, report.refused, report.more) == (1, 3, False)
    assert [(each.id, each.code) for each in report.refusals] == [
        (misfit, "invalid-arguments"), (unknown, "unknown-task-type"), (large, "payload-too-large"),
    ]  # fmt: skip
    assert "/args/n" in report.refusals[0].detail
    assert await states(connection) == before | ({} if dry_run else {fits: "pending"})


async def test_many_go_to_the_pools_that_run_them_today(connection: Connection, pool: Pool) -> None:
    """A type may have moved since; the wake-up follows the type, and so does the row."""
    stays, moves = await given(connection), await given(connection, task_type="a.c")
    pools = {
        name: WorkerPool(name=name, tasks=(pattern,), modules=("m",))
        for name, pattern in (("p", "a.b"), ("q", "a.c"))
    }
    assert (await many(pool, table=replace(TABLE, pools=pools), all=True)).count == 2
    found = await connection.execute("SELECT id, pool FROM tasks")
    assert dict(await found.fetchall()) == {stays: "p", moves: "q"}


async def test_only_the_first_refusals_are_told(connection: Connection, pool: Pool) -> None:
    """All are counted."""
    await connection.execute(INSERT_MANY, {"count": 250})
    report = await many(pool, table=RoutingTable(pools={}, defaults={}), all=True)
    assert (report.count, report.refused, len(report.refusals)) == (0, 250, 20)


async def test_what_changed_since_it_was_looked_at_is_left_alone(
    connection: Connection, pool: Pool
) -> None:
    """Replayed by another and failed again: that was another generation."""
    task_id = await given(connection)
    wanted = Criteria(code="KeyError")
    [seen] = await dead_letters.following(connection, wanted, after=TaskId(UUID(int=0)), limit=9)
    await connection.execute("UPDATE tasks SET generation = 2 WHERE id = %s", (task_id,))
    replayed = await dead_letters.replay_many(connection, [(seen, "p")], offset=0, rate=None)
    assert (replayed, await states(connection)) == (0, {task_id: "failed"})


async def one_group(pool: Pool, wanted: DeadLetterFilter) -> dead_letters.ReasonGroup:
    async with borrowed(own(pool)) as connection:
        [group] = await dead_letters.groups(connection, wanted.criteria(), limit=10)
    return group


async def test_a_dry_run_changes_nothing(connection: Connection, pool: Pool) -> None:
    """It counts exactly, and says whether the limit would leave some out."""
    for _ in range(5):
        await given(connection)
    report = await many(pool, all=True, dry_run=True, limit=3)
    assert (report.count, report.more) == (3, True)
    assert not (await many(pool, all=True, dry_run=True, limit=5)).more
    assert [(group.count, group.total) for group in report.groups] == [(5, 5)]
    assert set((await states(connection)).values()) == {"failed"}


async def test_an_empty_filter_is_refused_unless_all_are_meant(
    connection: Connection, pool: Pool
) -> None:
    """A body that was left out by mistake replays nothing."""
    await given(connection)
    with pytest.raises(InvalidRequest):
        await many(pool)
    assert set((await states(connection)).values()) == {"failed"}
    assert (await many(pool, all=True)).count == 1


async def test_a_rate_spreads_them_oldest_first(connection: Connection, pool: Pool) -> None:
    """Also over the seam between two statements: none is due before its turn."""
    await connection.execute(INSERT_MANY, {"count": 2_500})
    report = await many(pool, all=True, rate=10, limit=2_400)
    assert (report.count, report.more) == (2_400, True)
    rows = await (await connection.execute(SPREAD)).fetchall()
    assert rows == [("failed", 100, None, None), ("pending", 2_400, True, True)]


INSERT_MANY = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                   finished_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'a.b', 'p', 4, 'failed', 3, now(), now(), '{}', now()
FROM generate_series(1, %(count)s) AS n"""
# Whether they follow each other in the order of their ids, and never closer than a tenth second.
SPREAD = """
SELECT state, count(*),
       CASE WHEN state = 'pending' THEN bool_and(due_at = publish_at) END,
       bool_and(gap >= interval '99 milliseconds') FILTER (WHERE state = 'pending')
FROM (SELECT state, due_at, publish_at,
             publish_at - lag(publish_at) OVER (PARTITION BY state ORDER BY id) AS gap
      FROM tasks) AS spread
GROUP BY state ORDER BY state"""


async def test_two_replays_of_many_at_once_replay_each_once(
    connection: Connection, pool: Pool
) -> None:
    """No deadlock, and one generation each."""
    await connection.execute(INSERT_MANY, {"count": 3_000})
    one, other = await asyncio.gather(many(pool, all=True), many(pool, all=True))
    assert one.count + other.count == 3_000
    generations = "SELECT DISTINCT generation FROM tasks"
    assert await (await connection.execute(generations)).fetchall() == [(2,)]


async def test_the_same_fault_with_other_values_is_one_group(connection: Connection) -> None:
    """Numbers, ids, hexadecimal and quoted parts of a message do not matter; words do."""
    messages = [
        "row 17 of 'a.csv' is bad",
        "row 4 of 'it is.csv' is bad",
        'task 01a1fc31-aecb-7117-a2f0-ecea42cb136e: can\'t open \\"x\\" after 1.5 s',
        'task 6ba7b810-9dad-11d1-80b4-00c04fd430c8: can\'t open \\"y z\\" after 30 s',
        "object at 0x7f3a2b1c in deadbeef42",
        "object at 0xff in 0badcafe77",
        "no such face",
        "took 0.142857142857142 s at 12:30",
        "took 12 s at 8:05",
    ]
    for message in messages:
        await given(connection, error=f'{{"code": "E", "message": "{message}"}}')
    youngest = await given(connection, "expired", error=None, reason="not started in time")
    groups = await dead_letters.groups(connection, Criteria(), limit=10)
    assert {group.message: group.count for group in groups} == {
        'row # of "…" is bad': 2,
        'task #: can\'t open "…" after # s': 2,
        "object at # in #": 2,
        "took # s at #": 2,
        "no such face": 1,
        "not started in time": 1,
    }
    assert [group.count for group in groups] == [2, 2, 2, 2, 1, 1]
    assert {group.total for group in groups} == {10}
    [expired] = [group for group in groups if group.state == "expired"]
    assert (expired.code, expired.sample) == ("expired", youngest)


async def test_dead_letters_are_listed_by_their_index(connection: Connection) -> None:
    """Among many ended tasks they are few."""
    await connection.execute("SET enable_seqscan = off")
    values = dict.fromkeys(("type", "pool", "state", "code", "labels"))
    values |= dict.fromkeys(("finished_after", "finished_before", "types"))
    values["tenant"] = "default"
    sql = dead_letters.queries("dead_letters")
    for name, more in (
        ("list_dead_letters", {"before": None, "limit": 10, "bytes": 10}),
        ("next_dead_letters", {"after": UUID(int=0), "limit": 9}),
    ):
        statement = b"EXPLAIN " + sql[name].encode()
        plan = await (await connection.execute(statement, {**values, **more})).fetchall()
        assert any("tasks_dead_letters" in row[0] for row in plan), plan
