"""Cancel, reprioritise and replay of many tasks on a real server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskyard.core.errors import InvalidRequest, QuotaExceeded
from taskyard.core.principal import Owner, TenantId
from taskyard.core.quotas import Quota
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.services.cancel_many import CancelManyRequest, CancelReport, cancel_many
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.many_tasks import ManyReport, TaskFilter
from taskyard.services.replay_each import Today
from taskyard.services.replay_report import ReplayReport
from taskyard.services.replay_tasks import ReplayTasksRequest, replay_tasks
from taskyard.services.reprioritise_many import ReprioritiseManyRequest, reprioritise_many
from taskyard.storage.pool import OwnPool, Pool, open_pool
from tests.own import entry_of, own
from tests.replays import TABLE, Connection, announced, events, given, states
from tests.submissions import count

ALL_STATES = list(State)


class Broker:
    """Takes down what is published."""

    def __init__(self) -> None:
        self.told: list[WakeUp] = []

    async def publish(self, wakeups: list[WakeUp]) -> list[Confirm]:
        self.told += wakeups
        return [Confirm.CONFIRMED] * len(wakeups)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


async def cancelled(pool: OwnPool, *, within: float = 60, **wish: Any) -> CancelReport:
    request = CancelManyRequest(**wish)
    return await cancel_many(pool, request.filter.search(), request, within=within)


async def moved(pool: OwnPool, broker: Any = None, **wish: Any) -> ManyReport:
    request = ReprioritiseManyRequest(**wish)
    search = request.filter.search()
    return await reprioritise_many(pool, search, request, publisher=broker or Broker())


async def replayed(
    pool: Pool, *, catalog: Catalog | None = None, entry: Entry | None = None, **wish: Any
) -> ReplayReport:
    request = ReplayTasksRequest(**wish)
    today = Today(
        table=TABLE, catalog=catalog or Catalog(), entry=entry or entry_of(pool),
        now=datetime.now(UTC),
    )  # fmt: skip
    report, _ = await replay_tasks(own(pool), request.filter.search(), request, today=today)
    return report


async def one_of_each(connection: Connection, **columns: Any) -> dict[TaskId, str]:
    return {await given(connection, state, **columns): state for state in ALL_STATES}


async def test_a_cancel_reaches_what_has_not_ended(connection: Connection, pool: Pool) -> None:
    """What waits never runs, what runs is asked to stop, what has ended is as it was."""
    tasks = await one_of_each(connection)
    await connection.execute("UPDATE tasks SET cancel_requested_at = NULL")
    await connection.execute("LISTEN taskyard_stop")
    # When it is only counted
    told = await cancelled(own(pool), filter=TaskFilter(type="a.b"), dry_run=True)
    assert (told.count, told.prevented, told.interrupted, told.more) == (5, 4, 1, False)
    assert await states(connection) == tasks
    # When it is done
    report = await cancelled(own(pool), filter=TaskFilter(type="a.b"))
    assert (report.prevented, report.interrupted, report.left) == (4, 1, 0)
    assert report.states == told.states
    now = await states(connection)
    waited = {"scheduled", "pending", "queued", "retrying"}
    assert now == {task: "cancelled" if s in waited else s for task, s in tasks.items()}
    [running] = [task for task, state in tasks.items() if state == "running"]
    asked = "SELECT count(*) FROM tasks WHERE cancel_requested_at IS NOT NULL"
    assert await count(connection, asked) == 1
    notice = await anext(connection.notifies(timeout=10))
    assert notice.payload == str(running)
    [task] = [task for task, state in tasks.items() if state == "queued"]
    assert (await events(connection, task))[-1]["reason"] == "cancelled by the caller"
    # Then there is nothing more to do but for what still runs
    assert (await cancelled(own(pool), all=True)).prevented == 0


FILTERS: dict[str, dict[str, Any]] = {
    "type": {"type": "a.c"},
    "state": {"state": State.RETRYING},
    "labels": {"labels": {"team": "web"}},
    "error": {"error": "keyerror NO such fac"},
    "created_before": {"created_before": datetime.now(UTC) - timedelta(days=1)},
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_means_what_it_says(connection: Connection, pool: Pool, name: str) -> None:
    """Each by itself; the others stay."""
    ids = {
        "type": await given(connection, "pending", task_type="a.c", error=None),
        "state": await given(connection, "retrying", error=None),
        "labels": await given(connection, "pending", labels='{"team": "web"}', error=None),
        "error": await given(
            connection, "pending", error='{"code": "KeyError", "message": "no such face"}'
        ),
        "created_before": await given(connection, "pending", error=None),
    }
    old = ids["created_before"]
    await connection.execute(
        "UPDATE tasks SET created_at = created_at - interval '2 days' WHERE id = %s", (old,)
    )
    wanted = TaskFilter(**FILTERS[name])
    assert (await moved(own(pool), filter=wanted, priority=9)).count == 1
    rows = await (await connection.execute("SELECT id FROM tasks WHERE priority = 9")).fetchall()
    assert rows == [(ids[name],)]
    assert (await cancelled(own(pool), filter=wanted)).count == 1
    now = await states(connection)
    assert [task for task, state in now.items() if state == "cancelled"] == [ids[name]]


async def test_nobody_elses_tasks_are_touched(connection: Connection, pool: Pool) -> None:
    """Neither another tenant's nor those of task types that a key is not for."""
    await one_of_each(connection)
    await one_of_each(connection, task_type="a.c")
    before = await states(connection)
    for owner in (Owner(TenantId("other")), Owner(TenantId("default"), ("b.*",))):
        theirs = OwnPool(pool, owner)
        assert (await cancelled(theirs, all=True)).count == 0
        assert (await moved(theirs, all=True, priority=9)).count == 0
    limited = OwnPool(pool, Owner(TenantId("default"), ("a.c",)))
    assert (await cancelled(limited, all=True, dry_run=True)).count == 5
    assert await states(connection) == before


async def test_an_empty_filter_is_refused_unless_all_are_meant(pool: Pool) -> None:
    """A body that was left out by mistake does nothing."""
    with pytest.raises(InvalidRequest):
        await cancelled(own(pool))
    with pytest.raises(InvalidRequest):
        await moved(own(pool), priority=3)
    with pytest.raises(InvalidRequest):
        await replayed(pool)
    with pytest.raises(InvalidRequest):
        await moved(own(pool), all=True, priority=10)
    with pytest.raises(InvalidRequest):
        await cancelled(own(pool), filter=TaskFilter(labels={"a": "\0"}))


INSERT_MANY = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'a.b', 'p', 4, 'scheduled', 3, now(), now(), '{}'
FROM generate_series(1, %(count)s) AS n"""
NEWEST = "SELECT min(id::text)::uuid FROM tasks WHERE state = 'scheduled'"


async def test_the_oldest_are_taken_first_up_to_the_limit(
    connection: Connection, pool: Pool
) -> None:
    """Over several transactions; whoever asks again gets the rest."""
    await connection.execute(INSERT_MANY, {"count": 700})
    told = await cancelled(own(pool), all=True, limit=450, dry_run=True)
    assert (told.count, told.more) == (450, True)
    report = await cancelled(own(pool), all=True, limit=450)
    assert (report.count, report.more, report.left) == (450, True, 0)
    [left] = await (await connection.execute(NEWEST)).fetchall()
    assert left == (UUID(int=451),)
    report = await cancelled(own(pool), all=True, limit=450)
    assert (report.count, report.more) == (250, False)


async def test_it_stops_in_time_and_says_what_is_left(connection: Connection, pool: Pool) -> None:
    """The request would be cut off else, and nobody knew what was done."""
    await connection.execute(INSERT_MANY, {"count": 500})
    report = await cancelled(own(pool), all=True, within=0)
    assert (report.count, report.left, report.more) == (200, 300, False)
    assert (await cancelled(own(pool), all=True)).count == 300


async def test_two_cancels_at_once_cancel_each_once(connection: Connection, pool: Pool) -> None:
    """No deadlock, and one receipt each."""
    await connection.execute(INSERT_MANY, {"count": 1_000})
    one, other = await asyncio.gather(*(cancelled(own(pool), all=True) for _ in range(2)))
    assert one.count + other.count == 1_000
    assert one.left == other.left == 0


async def test_another_priority_is_given_once(connection: Connection, pool: Pool) -> None:
    """To what waits and has another; what the broker holds is sent again, no other."""
    tasks = await one_of_each(connection)
    broker = Broker()
    report = await moved(own(pool), broker, all=True, priority=8)
    assert (report.count, report.states) == (
        4, {"scheduled": 1, "pending": 1, "queued": 1, "retrying": 1},
    )  # fmt: skip
    [queued] = [task for task, state in tasks.items() if state == "queued"]
    assert broker.told == [WakeUp(id=queued, type="a.b", priority=8, attempt=5)]
    again = await moved(own(pool), broker, all=True, priority=8, dry_run=True)
    assert (again.count, len(broker.told)) == (0, 1)


async def test_a_replay_takes_what_ended_badly_and_what_was_cancelled(
    connection: Connection, pool: Pool, database_url: str
) -> None:
    """Each checked like a submission; what would be refused stays, with a reason."""
    catalog = await announced(pool, database_url)
    tasks = await one_of_each(connection)
    misfit = await given(connection)
    await connection.execute("UPDATE tasks SET args = %s WHERE id = %s", ('{"n": "x"}', misfit))
    told = await replayed(pool, catalog=catalog, all=True, dry_run=True)
    assert (told.count, told.refused) == (4, 1)
    assert await states(connection) == tasks | {misfit: "failed"}
    report = await replayed(pool, catalog=catalog, all=True)
    assert (report.count, report.refused, report.left) == (4, 1, 0)
    assert [(each.id, each.code) for each in report.refusals] == [(misfit, "invalid-arguments")]
    badly = {"failed", "expired", "quarantined", "cancelled"}
    assert await states(connection) == {
        misfit: "failed",
        **{task: "pending" if state in badly else state for task, state in tasks.items()},
    }


async def test_a_replay_stops_where_the_quota_has_no_room(
    connection: Connection, pool: Pool
) -> None:
    """What there is room for is replayed, the rest is told; without any room it is refused."""
    for _ in range(5):
        await given(connection, "cancelled")
    entry = entry_of(pool, quota=Quota(in_flight=3))
    report = await replayed(pool, entry=entry, all=True)
    assert (report.count, report.left) == (3, 2)
    assert isinstance(report.stopped, QuotaExceeded)
    with pytest.raises(QuotaExceeded):
        await replayed(pool, entry=entry, all=True)


async def test_who_did_it_to_which_is_recorded(connection: Connection, pool: Pool) -> None:
    """With it, and not when nothing was done."""
    await given(connection, "pending")
    ops = OwnPool(pool, Owner(TenantId("default")), "key:ops")
    wanted = TaskFilter(type="a.b", labels={}, created_before=datetime(2100, 1, 1, tzinfo=UTC))
    for _ in range(2):
        await moved(ops, filter=wanted, priority=9)
    await cancelled(ops, filter=wanted)
    await cancelled(ops, filter=wanted)
    rows = await (
        await connection.execute("SELECT actor, action, target, detail FROM audit_log ORDER BY seq")
    ).fetchall()
    filtered = {"type": "a.b", "created_before": "2100-01-01T00:00:00Z"}
    assert rows == [
        ("key:ops", "tasks.reprioritised", "tasks",
         {"count": 1, "priority": 9, "filter": filtered}),
        ("key:ops", "tasks.cancelled", "tasks",
         {"prevented": 1, "interrupted": 0, "filter": filtered}),
    ]  # fmt: skip
