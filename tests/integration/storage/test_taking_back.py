"""take_back and the reaper: what becomes of attempts that will not end by themselves."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskyard.core.errors import StorageUnavailable
from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.states import State
from taskyard.core.task import Failure, TaskId
from taskyard.services.reap import Reaper
from taskyard.storage import attempts, tasks
from taskyard.storage.pool import Cursor, Pool, connect_sync, open_pool

LOST = Failure(code="worker-lost", message="gone")


@pytest.fixture
def worker(database_url: str) -> Iterator[Cursor]:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        yield cursor


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


def running(cursor: Cursor, **columns: Any) -> Lease:
    """A task that worker w1 runs, with some columns as the test wants them."""
    task_id = TaskId(uuid4())
    cursor.execute(
        "INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at,"
        " args) VALUES (%s, 'a.b', 'p', 4, 'queued', 3, now(), now(), '{}')",
        (task_id,),
    )
    lease = attempts.claim(cursor, task_id, "a.b", "w1", LeaseToken(uuid4()))
    assert lease is not None
    for name, value in columns.items():
        cursor.execute(f"UPDATE tasks SET {name} = {value} WHERE id = %s".encode(), (task_id,))
    return lease


def taken(worker: Cursor, lease: Lease, *, by: str = "w1", crashed: bool = True) -> State | None:
    found = attempts.take_back(worker, [lease.id], worker=by, failure=LOST, crashed=crashed)
    return found.get(lease.id)


def column(worker: Cursor, lease: Lease, name: str) -> Any:
    row = worker.execute(f"SELECT {name} FROM tasks WHERE id = %s".encode(), (lease.id,)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("columns", "state", "reason"),
    [
        ({}, State.RETRYING, "worker-lost"),
        ({"crash_count": 2}, State.QUARANTINED, "worker-lost"),
        ({"crash_count": 2, "max_crashes": 4}, State.RETRYING, "worker-lost"),
        ({"at_most_once": "true"}, State.FAILED, "outcome-unknown"),
        ({"deadline_at": "now() - interval '1 s'"}, State.FAILED, "deadline-exceeded"),
        ({"cancel_requested_at": "now()"}, State.CANCELLED, "cancelled by the caller"),
        ({"cancel_requested_at": "now()", "at_most_once": "true", "crash_count": 2},
         State.CANCELLED, "cancelled by the caller"),
    ],
)  # fmt: skip
def test_the_row_itself_says_what_follows_a_crash(
    worker: Cursor, columns: dict[str, Any], state: State, reason: str
) -> None:
    """Cancel before deadline before at-most-once before the count of crashes."""
    lease = running(worker, **columns)
    assert taken(worker, lease) is state
    assert column(worker, lease, "reason") == reason
    assert column(worker, lease, "crash_count") == int(columns.get("crash_count", 0)) + 1


def test_the_first_crash_costs_no_wait_the_next_ones_do(worker: Cursor) -> None:
    """It may have been the machine's fault; poison must not spin."""
    first, second = running(worker), running(worker, crash_count=1)
    for lease in (first, second):
        taken(worker, lease)
    assert column(worker, first, "due_at <= now()")
    assert column(worker, second, "due_at > now() - interval '1 s'")
    assert column(worker, second, "due_at <= now() + interval '4 s'")


def test_what_is_given_back_counts_as_no_crash(worker: Cursor) -> None:
    """A drain is nobody's fault; only at-most-once cannot be given back."""
    lease, once = running(worker, crash_count=2), running(worker, at_most_once="true")
    assert taken(worker, lease, crashed=False) is State.RETRYING
    assert column(worker, lease, "crash_count") == 2
    assert taken(worker, once, crashed=False) is State.FAILED


def test_only_its_own_worker_may_say_that_an_attempt_is_lost(worker: Cursor) -> None:
    """Others may once the lease has run out; nobody can end it twice."""
    lease = running(worker)
    assert taken(worker, lease, by="w2") is None
    worker.execute("UPDATE tasks SET lease_expires_at = now() WHERE id = %s", (lease.id,))
    assert taken(worker, lease, by="w2") is State.RETRYING
    assert taken(worker, lease) is None
    assert not attempts.finish(worker, lease, "1")


def test_a_claim_whose_answer_was_lost_is_found_by_its_token(worker: Cursor) -> None:
    """Said again it returns the same lease, and it is one attempt."""
    lease = running(worker)
    again = attempts.claim(worker, lease.id, "a.b", "w1", lease.token)
    assert again is not None
    assert (again.token, again.attempt) == (lease.token, 1)
    assert attempts.claim(worker, lease.id, "a.b", "w1", LeaseToken(uuid4())) is None


def test_a_heartbeat_extends_what_is_ours_and_hears_what_to_stop(worker: Cursor) -> None:
    """One statement for all; what is not returned is lost."""
    mine = running(worker)
    asked = running(worker, cancel_requested_at="now() - interval '3 s'")
    late = running(worker, deadline_at="now() - interval '7 s'")
    theirs = running(worker, worker="'w2'")
    for lease in (mine, theirs):
        worker.execute(
            "UPDATE tasks SET lease_expires_at = now() + interval '1 s' WHERE id = %s", (lease.id,)
        )
    ids = [lease.id for lease in (mine, asked, late, theirs)]
    held = attempts.extend_leases(worker, ids, "w1")
    assert set(held) == {mine.id, asked.id, late.id}
    assert (held[mine.id].cancelled_for, held[mine.id].overdue_by) == (None, None)
    assert held[asked.id].cancelled_for == pytest.approx(3, abs=0.9)
    assert held[late.id].overdue_by == pytest.approx(7, abs=0.9)
    assert column(worker, mine, "lease_expires_at > now() + interval '10 s'")
    assert column(worker, theirs, "lease_expires_at < now() + interval '2 s'")


def test_a_retry_of_a_cancelled_task_ends_it(worker: Cursor) -> None:
    """Nobody waits for another attempt."""
    lease = running(worker, cancel_requested_at="now()")
    assert attempts.retry(worker, lease, LOST, timedelta(seconds=1))
    assert column(worker, lease, "state") == "cancelled"


async def test_the_reaper_takes_what_ran_out_and_nothing_else(worker: Cursor, pool: Pool) -> None:
    """Two of them at once share the work."""
    kept = running(worker)
    lost = [running(worker, lease_expires_at="now() - interval '1 s'") for _ in range(20)]
    reapers = [Reaper(pool), Reaper(pool)]
    # A server that started less than a lease ago is not believed yet.
    deadline = time.monotonic() + 30
    found = 0
    while found < len(lost) and time.monotonic() < deadline:
        found += sum(await asyncio.gather(*(reaper.pass_once() for reaper in reapers)))
        await asyncio.sleep(0.1)
    assert found == len(lost)
    assert column(worker, kept, "state") == "running"
    assert {column(worker, lease, "crash_count") for lease in lost} == {1}


async def test_a_reaper_that_was_cut_off_waits_before_it_judges(
    worker: Cursor, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it did not hear the database, neither could the workers."""
    reaper = Reaper(pool)

    async def away(*_: Any, **__: Any) -> Any:
        raise psycopg.OperationalError("away")

    with monkeypatch.context() as broken:
        broken.setattr(tasks, "reap", away)
        with pytest.raises(StorageUnavailable):
            await reaper.pass_once()
    lease = running(worker, lease_expires_at="now() - interval '1 s'")
    assert await reaper.pass_once() == 0
    assert column(worker, lease, "state") == "running"
