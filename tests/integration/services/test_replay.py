"""Replay on a real server: what a new generation keeps, and what it begins anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from taskyard.core.errors import (
    InvalidArguments,
    InvalidRequest,
    NotReplayable,
    TaskGone,
    TaskNotFound,
    UnknownTaskType,
)
from taskyard.core.lease import LeaseToken
from taskyard.core.retention import first_id_at
from taskyard.core.routing import Pool as WorkerPool
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.core.states import TERMINAL, State
from taskyard.core.task import Failure, Task, TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.entry import Entry
from taskyard.services.replay import ReplayRequest, replay
from taskyard.services.replay_many import ReplayManyRequest, ReplayReport, replay_many
from taskyard.services.retain import retain
from taskyard.storage import attempts, dead_letters, listen, task_types, tasks
from taskyard.storage.dead_letters import Criteria
from taskyard.storage.pool import Cursor, Pool, borrowed, connect_sync, open_pool
from taskyard.storage.task_types import Announcement
from tests.own import entry_of, own

Connection = psycopg.AsyncConnection[Any]

TABLE = RoutingTable(pools={"p": WorkerPool(name="p", tasks=("a.*",), modules=("m",))}, defaults={})
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DAY = timedelta(days=1)
INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args, labels,
                   error, reason, finished_at, expires_at, deadline_at, lease_token,
                   lease_expires_at, error_count, crash_count, attempt, cancel_requested_at)
VALUES (%(id)s, %(type)s, 'old', 4, %(state)s, 3, now() + interval '1 day', now(), '{"n": 1}',
        %(labels)s, %(error)s, %(reason)s, CASE WHEN %(ended)s THEN now() - %(ago)s END,
        now() + %(expires_in)s, now() + %(expires_in)s,
        CASE WHEN %(state)s = 'running' THEN %(id)s END,
        CASE WHEN %(state)s = 'running' THEN now() END, 3, 2, 5, now())"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


@pytest.fixture
def worker(database_url: str) -> Iterator[Cursor]:
    with connect_sync(database_url, name="worker") as opened, opened.cursor() as cursor:
        yield cursor


async def given(
    connection: Connection,
    state: str = "failed",
    *,
    task_type: str = "a.b",
    error: str | None = '{"code": "KeyError", "message": "no"}',
    reason: str | None = None,
    labels: str = "{}",
    ago: timedelta = timedelta(0),
    expires_in: timedelta | None = None,
) -> TaskId:
    """A task in a state, after five attempts."""
    task_id = TaskId(uuid7())
    values = {
        "id": task_id, "type": task_type, "state": state, "labels": labels, "error": error,
        "reason": reason, "ended": State(state) in TERMINAL, "ago": ago, "expires_in": expires_in,
    }  # fmt: skip
    await connection.execute(INSERT, values)
    return task_id


async def again(
    pool: Pool,
    task_id: TaskId,
    *,
    catalog: Catalog | None = None,
    table: RoutingTable = TABLE,
    entry: Entry | None = None,
    **wish: Any,
) -> Task:
    return await replay(
        own(pool),
        task_id,
        ReplayRequest(**wish),
        table=table,
        catalog=catalog or Catalog(),
        entry=entry or entry_of(pool),
        now=datetime.now(UTC),
    )


async def states(connection: Connection) -> dict[TaskId, str]:
    return dict(await (await connection.execute("SELECT id, state FROM tasks")).fetchall())


async def events(connection: Connection, task_id: TaskId) -> list[dict[str, Any]]:
    return await tasks.events(connection, task_id)


@pytest.mark.parametrize("state", ["failed", "quarantined", "expired", "cancelled"])
async def test_a_replay_begins_anew_but_attempts_go_on(
    connection: Connection, pool: Pool, state: str
) -> None:
    """Another generation, no errors counted, due at once; the number of attempts only grows."""
    task_id = await given(connection, state)
    task = await again(pool, task_id)
    assert (task.state, task.generation, task.attempt) == ("pending", 2, 5)
    assert (task.error_count, task.crash_count) == (0, 0)
    assert (task.error, task.result, task.progress, task.worker) == (None,) * 4
    assert (task.finished_at, task.started_at, task.queued_at) == (None,) * 3
    assert task.cancel_requested_at is None
    assert (task.pool, task.priority, task.args) == ("p", 4, {"n": 1})
    assert task.due_at <= datetime.now(UTC)
    history = await events(connection, task_id)
    assert [event["seq"] for event in history] == [1, 2]
    last = history[-1]
    assert (last["state"], last["generation"], last["reason"]) == ("pending", 2, "replayed")
    assert last["detail"] is None


async def test_a_replayed_task_can_be_claimed_and_keeps_its_numbers(
    connection: Connection, pool: Pool, worker: Cursor
) -> None:
    """Each attempt is shown with its generation, worker and end, of whichever generation."""
    task_id = await given(connection, "expired", error=None)
    await again(pool, task_id)
    for generation in (2, 3):
        lease = attempts.claim(worker, task_id, "a.b", f"w{generation}", LeaseToken(uuid7()))
        assert lease is not None
        failure = Failure(code="KeyError", message=f"in {generation}", traceback="Traceback …")
        assert attempts.fail(worker, lease, failure)
        await again(pool, task_id)
    lease = attempts.claim(worker, task_id, "a.b", "w4", LeaseToken(uuid7()))
    assert lease is not None
    found = await dead_letters.attempts(connection, task_id)
    shown = [(each.number, each.generation, each.worker, each.outcome) for each in found]
    assert shown == [(6, 2, "w2", "failed"), (7, 3, "w3", "failed"), (8, 4, "w4", "running")]
    assert found[0].error == {"code": "KeyError", "message": "in 2", "traceback": "Traceback …"}
    assert found[0].ended_at is not None
    assert found[0].ended_at >= found[0].started_at
    assert (found[2].ended_at, found[2].error) == (None, None)


async def test_an_attempt_that_was_cancelled_does_not_show_an_earlier_error(
    connection: Connection, worker: Cursor
) -> None:
    """The error of an attempt is its own."""
    task_id = await given(connection, "scheduled", error=None)
    for end in ("retry", "cancel"):
        await connection.execute(
            "UPDATE tasks SET state = 'pending', due_at = now(), cancel_requested_at = NULL "
            "WHERE id = %s",
            (task_id,),
        )
        lease = attempts.claim(worker, task_id, "a.b", "w", LeaseToken(uuid7()))
        assert lease is not None
        if end == "retry":
            failure = Failure(code="x", message="m")
            assert attempts.retry(worker, lease, failure, timedelta(0))
        else:
            assert attempts.cancel(worker, task_id, lease.token)
    first, second = await dead_letters.attempts(connection, task_id)
    assert (first.outcome, first.error) == ("retrying", {"code": "x", "message": "m"})
    assert (second.outcome, second.error) == ("cancelled", None)


async def test_a_replay_wakes_the_dispatcher(
    connection: Connection, pool: Pool, database_url: str
) -> None:
    """It does not wait for the next look."""
    task_id = await given(connection)
    heard = listen.listen(database_url, listen.DISPATCH, name="tests")
    await anext(heard)  # it listens
    await again(pool, task_id)
    async with asyncio.timeout(10):
        assert (await anext(heard)).channel == listen.DISPATCH
    await heard.aclose()  # type: ignore[attr-defined]


async def test_other_arguments_are_recorded(connection: Connection, pool: Pool) -> None:
    """The task has the new ones, the history the former."""
    task_id = await given(connection)
    task = await again(pool, task_id, args={"n": 2}, priority=9)
    assert (task.args, task.priority) == ({"n": 2}, 9)
    assert (await events(connection, task_id))[-1]["detail"] == {"args_before": {"n": 1}}


async def announced(pool: Pool, database_url: str) -> Catalog:
    """What the API knows once a worker has announced a.b, which needs a number n."""
    with connect_sync(database_url, name="worker") as worker:
        task_type = Announcement(type="a.b", pool="p", description="", schema=SCHEMA)
        task_types.announce(worker, "p", [task_type])
    catalog = Catalog()
    await catalog.refresh(pool)
    return catalog


async def test_a_replay_is_checked_like_a_submission(
    connection: Connection, pool: Pool, database_url: str
) -> None:
    """Against the schema and the table of today; what is refused stays as it was."""
    catalog = await announced(pool, database_url)
    task_id = await given(connection)
    with pytest.raises(InvalidArguments) as caught:
        await again(pool, task_id, catalog=catalog, args={"n": "x"})
    assert [fault.where for fault in caught.value.faults] == ["/args/n"]
    with pytest.raises(InvalidRequest):
        await again(pool, task_id, priority=10)
    with pytest.raises(UnknownTaskType):
        await again(pool, task_id, table=RoutingTable(pools={}, defaults={}))
    assert await states(connection) == {task_id: "failed"}


@pytest.mark.parametrize(
    ("state", "why"),
    [("succeeded", "a result never changes"), ("running", "is running"), ("queued", "is queued")],
)
async def test_what_has_not_ended_badly_is_not_replayed(
    connection: Connection, pool: Pool, state: str, why: str
) -> None:
    """Each refusal says why."""
    task_id = await given(connection, state)
    with pytest.raises(NotReplayable, match=why):
        await again(pool, task_id)
    assert await states(connection) == {task_id: state}


async def test_what_is_not_there_is_gone_or_never_was(pool: Pool) -> None:
    """Its id says how old it would be."""
    with pytest.raises(TaskNotFound):
        await again(pool, TaskId(uuid7()))
    old = TaskId(UUID(int=first_id_at(datetime.now(UTC) - 8 * DAY).int | 7 << 76 | 2 << 62))
    with pytest.raises(TaskGone):
        await again(pool, old)


async def test_two_replays_at_once_make_one_generation(connection: Connection, pool: Pool) -> None:
    """The second is told that the task has not ended."""
    task_id = await given(connection)
    outcomes = await asyncio.gather(
        *[again(pool, task_id) for _ in range(4)], return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["NotReplayable"] * 3 + ["Task"]
    assert len(await events(connection, task_id)) == 2


async def test_what_changed_since_it_was_looked_at_is_looked_at_again(
    connection: Connection, pool: Pool
) -> None:
    """Replayed by another and cancelled since: the checks were those of a former generation."""
    task_id = await given(connection)
    seen = await tasks.get(connection, task_id)
    assert seen is not None
    change = dead_letters.Replay(pool="p", args=None, priority=None)
    await again(pool, task_id)
    await connection.execute(
        "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = %s", (task_id,)
    )
    assert not await dead_letters.replay(connection, seen, change)
    assert (await again(pool, task_id)).generation == 3


@pytest.mark.parametrize(("left", "kept"), [(DAY, True), (-DAY, False)])
async def test_expiry_and_deadline_stay_unless_they_have_passed(
    connection: Connection, pool: Pool, left: timedelta, kept: bool
) -> None:
    """A date in the past would end the task before it starts."""
    task = await again(pool, await given(connection, "failed", expires_in=left))
    assert (task.expires_at is not None, task.deadline_at is not None) == (kept, kept)


async def test_a_replayed_task_is_kept_until_its_new_end_is_old(
    connection: Connection, pool: Pool
) -> None:
    """Retention counts from the end of the last generation."""
    task_id = TaskId(UUID(int=first_id_at(datetime.now(UTC) - 30 * DAY).int | 7 << 76 | 2 << 62))
    other = await given(connection, "failed", ago=20 * DAY)
    await connection.execute("UPDATE tasks SET id = %s WHERE id = %s", (task_id, other))
    await again(pool, task_id)
    assert await retain(pool, TABLE, now=datetime.now(UTC)) == 0
    await connection.execute(
        "UPDATE tasks SET state = 'cancelled', finished_at = now() - %s WHERE id = %s",
        (8 * DAY, task_id),
    )
    assert await retain(pool, TABLE, now=datetime.now(UTC)) == 1


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
