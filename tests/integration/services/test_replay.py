"""Replay on a real server: what a new generation keeps, and what it begins anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

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
from taskyard.core.routing import RoutingTable
from taskyard.core.task import Failure, TaskId
from taskyard.services.retain import retain
from taskyard.storage import attempts, dead_letters, listen, tasks
from taskyard.storage.pool import Cursor, Pool, connect_sync, open_pool
from tests.replays import (
    DAY,
    TABLE,
    Connection,
    again,
    announced,
    events,
    given,
    states,
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


@pytest.fixture
def worker(database_url: str) -> Iterator[Cursor]:
    with connect_sync(database_url, name="worker") as opened, opened.cursor() as cursor:
        yield cursor


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
