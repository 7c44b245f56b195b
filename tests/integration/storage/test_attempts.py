"""storage/attempts.py: claims, fencing, ends."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.task import Failure, TaskId
from taskyard.storage import attempts
from taskyard.storage.pool import Cursor, connect_sync

INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                   expires_at)
VALUES (%s, 'a.b', 'p', 4, %s, 3, now() + %s, now(), '{"n": 1}', now() + %s)"""


@pytest.fixture
def worker(database_url: str) -> Iterator[Cursor]:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        yield cursor


def queued(
    worker: Cursor,
    *,
    state: str = "queued",
    due_in: timedelta = timedelta(0),
    expires_in: timedelta | None = None,
) -> TaskId:
    task_id = TaskId(uuid4())
    worker.execute(INSERT, (task_id, state, due_in, expires_in))
    return task_id


def claim(worker: Cursor, task_id: TaskId, task_type: str, name: str) -> Lease | None:
    return attempts.claim(worker, task_id, task_type, name, LeaseToken(uuid4()))


def state(worker: Cursor, task_id: TaskId) -> str:
    row = worker.execute("SELECT state FROM tasks WHERE id = %s", (task_id,)).fetchone()
    assert row is not None
    return str(row[0])


def test_the_first_claim_gets_the_arguments_the_second_nothing(worker: Cursor) -> None:
    """A duplicate wake-up is harmless."""
    task_id = queued(worker)
    lease = claim(worker, task_id, "a.b", "w1")
    assert lease is not None
    assert (lease.args, lease.attempt) == ({"n": 1}, 1)
    assert claim(worker, task_id, "a.b", "w2") is None


@pytest.mark.parametrize(
    "refused",
    [
        {"state": "scheduled"},
        {"state": "retrying"},
        {"due_in": timedelta(hours=1)},
        {"expires_in": timedelta(seconds=-1)},
    ],
)
def test_what_is_not_due_is_not_claimed(
    worker: Cursor, refused: dict[str, timedelta | str]
) -> None:
    """A forged wake-up starts nothing."""
    task_id = queued(worker, **refused)  # type: ignore[arg-type]
    assert claim(worker, task_id, "a.b", "w") is None


def test_a_wake_up_of_another_type_claims_nothing(worker: Cursor) -> None:
    """The type in a message must be that of the row."""
    assert claim(worker, queued(worker), "a.c", "w") is None


def test_a_pending_task_may_be_claimed_before_it_is_marked(worker: Cursor) -> None:
    """The wake-up can overtake the dispatcher's mark."""
    assert claim(worker, queued(worker, state="pending"), "a.b", "w") is not None


def test_a_stale_attempt_cannot_write(worker: Cursor) -> None:
    """Once the task is leased anew, result, failure, retry and progress are refused."""
    task_id = queued(worker)
    stale = claim(worker, task_id, "a.b", "w1")
    assert stale is not None
    failure = Failure(code="x", message="m")
    assert attempts.retry(worker, stale, failure, timedelta(0))
    worker.execute("UPDATE tasks SET state = 'pending' WHERE id = %s", (task_id,))
    fresh = claim(worker, task_id, "a.b", "w2")
    assert fresh is not None
    assert fresh.attempt == 2
    assert not attempts.finish(worker, stale, '"stale"')
    assert not attempts.fail(worker, stale, failure)
    assert not attempts.retry(worker, stale, failure, timedelta(0))
    assert attempts.report_progress(worker, stale, {"fraction": 1, "message": ""}) is None
    assert attempts.is_cancelled(worker, stale) is None
    assert attempts.finish(worker, fresh, '"fresh"')
    outcome = attempts.read_outcome(worker, task_id)
    assert outcome is not None
    assert outcome.result == "fresh"


def test_a_result_never_changes_once_written(worker: Cursor) -> None:
    """Not even by the attempt that wrote it."""
    lease = claim(worker, queued(worker), "a.b", "w")
    assert lease is not None
    assert attempts.finish(worker, lease, "1")
    assert not attempts.finish(worker, lease, "2")
    assert state(worker, lease.id) == "succeeded"


def test_a_lost_attempt_is_found_by_its_own_worker_only(worker: Cursor) -> None:
    """A parent ends what its own child ran, nobody else's."""
    task_id = queued(worker)
    lease = claim(worker, task_id, "a.b", "w1")
    assert lease is not None
    assert attempts.find_lost(worker, task_id, "w2") is None
    lost = attempts.find_lost(worker, task_id, "w1")
    assert lost is not None
    assert (lost.token, lost.tenant, lost.errors, lost.max_attempts) == (
        lease.token, "default", 0, 3,
    )  # fmt: skip


@pytest.mark.parametrize("now", ["queued", "pending"])
def test_a_wake_up_nobody_can_serve_is_scheduled_anew(worker: Cursor, now: str) -> None:
    """Not pending: the mark of its publish may still come, and would strand it as queued."""
    task_id = queued(worker, state=now)
    assert attempts.give_back(worker, task_id, "a.b", "no worker knows this type")
    assert state(worker, task_id) == "scheduled"


def test_nul_in_an_error_message_is_stored_all_the_same(worker: Cursor) -> None:
    """Postgres refuses the character; the failure must not be lost for it."""
    lease = claim(worker, queued(worker), "a.b", "w")
    assert lease is not None
    assert attempts.fail(worker, lease, Failure(code="x", message="a\0b"))


PAUSE = "INSERT INTO pool_pauses (pool) VALUES ('p')"


@pytest.mark.parametrize("before", ["queued", "pending"])
def test_nothing_of_a_paused_pool_is_claimed_and_its_task_is_set_aside(
    worker: Cursor, before: str
) -> None:
    """Its wake-up is spent: a dispatcher takes it up, and another wake-up brings it back."""
    task_id = queued(worker, state=before)
    worker.execute(PAUSE)
    assert claim(worker, task_id, "a.b", "w1") is None
    assert attempts.set_aside(worker, task_id, "a.b", "paused")
    assert state(worker, task_id) == "scheduled"
    worker.execute("DELETE FROM pool_pauses")
    worker.execute("UPDATE tasks SET state = 'pending' WHERE id = %s", (task_id,))
    assert claim(worker, task_id, "a.b", "w1") is not None


def test_what_could_not_be_claimed_anyway_is_not_set_aside(worker: Cursor) -> None:
    """A wake-up too many changes nothing, paused or not."""
    running, later = queued(worker), queued(worker, due_in=timedelta(hours=1))
    assert claim(worker, running, "a.b", "w1")
    worker.execute(PAUSE)
    assert not attempts.set_aside(worker, running, "a.b", "paused")
    assert not attempts.set_aside(worker, later, "a.b", "paused")
    assert (state(worker, running), state(worker, later)) == ("running", "queued")


def test_the_dispatcher_hears_of_what_is_set_aside(worker: Cursor, database_url: str) -> None:
    """A resume may have come since the claim saw the pause: nobody else would look for the task."""
    task_id = queued(worker)
    with connect_sync(database_url, name="tests") as listening:
        listening.execute("LISTEN taskyard_dispatch")
        assert attempts.set_aside(worker, task_id, "a.b", "paused")
        assert len(list(listening.notifies(timeout=10, stop_after=1))) == 1
