"""worker/group_commit.py: many threads, few commits."""

from collections.abc import Iterator
from concurrent.futures import Future
from uuid import uuid4

import psycopg
import pytest

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.task import TaskId
from taskyard.storage.pool import Connection, connect_sync
from taskyard.worker.group_commit import GroupCommit
from taskyard.worker.runtime import Runtime
from tests.stack import until

INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args)
VALUES (%s, 'a.b', 'p', 4, 'queued', 3, now(), now(), '{}')"""


@pytest.fixture
def other(database_url: str) -> Iterator[Connection]:
    with connect_sync(database_url, name="tests") as connection:
        yield connection


@pytest.fixture
def group(database_url: str) -> Iterator[GroupCommit]:
    group = GroupCommit(Runtime(database_url=database_url, worker="w"))
    yield group
    group.end()


def queued(other: Connection) -> TaskId:
    task_id = TaskId(uuid4())
    other.execute(INSERT, (task_id,))
    return task_id


def claim(group: GroupCommit, task_id: TaskId) -> Future[Lease | None]:
    return group.claim(task_id, "a.b", LeaseToken(uuid4()))


def leased(group: GroupCommit, other: Connection) -> Lease:
    lease = claim(group, queued(other)).result(10)
    assert lease is not None
    return lease


def commits(other: Connection, leases: list[Lease]) -> int:
    """Return how many transactions have written the last versions of these tasks."""
    ids = [lease.id for lease in leases]
    row = other.execute(
        "SELECT count(DISTINCT xmin::text) FROM tasks WHERE id = ANY (%s)", (ids,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_what_gathers_while_a_commit_runs_shares_the_next(
    group: GroupCommit, other: Connection
) -> None:
    """Ten results that come while the first waits for a lock take one commit together."""
    held, *gathered = [leased(group, other) for _ in range(11)]
    with other.transaction():
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", (held.id,))
        first = group.finish(held, "0")
        until(lambda: is_someone_waiting(other))
        rest = [group.finish(lease, "1") for lease in gathered]
    assert all(each.result(10) for each in [first, *rest])
    assert commits(other, gathered) == 1


def is_someone_waiting(other: Connection) -> bool:
    row = other.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    ).fetchone()
    return row is not None and row[0] > 0


def test_each_hears_of_its_own_result(group: GroupCommit, other: Connection) -> None:
    """A stale lease, and a result that cannot be stored, are told to those they belong to."""
    held, good, stale, refused = [leased(group, other) for _ in range(4)]
    other.execute("UPDATE tasks SET lease_token = %s WHERE id = %s", (uuid4(), stale.id))
    with other.transaction():
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", (held.id,))
        group.finish(held, "0")
        until(lambda: is_someone_waiting(other))
        answers = [group.finish(good, "1"), group.finish(stale, "1")]
        answers.append(group.finish(refused, r'"\u0000"'))
    assert [answers[0].result(10), answers[1].result(10)] == [True, False]
    assert isinstance(answers[2].exception(10), psycopg.DataError)


def test_what_is_cancelled_before_its_turn_is_not_claimed(
    group: GroupCommit, other: Connection
) -> None:
    """Who does not wait any more leaves no lease behind."""
    held, left = leased(group, other), queued(other)
    with other.transaction():
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", (held.id,))
        first = group.finish(held, "0")
        until(lambda: is_someone_waiting(other))
        assert claim(group, left).cancel()
    assert first.result(10)
    group.end()
    assert other.execute("SELECT state FROM tasks WHERE id = %s", (left,)).fetchone() == ("queued",)


def test_a_lost_connection_is_made_anew(group: GroupCommit, other: Connection) -> None:
    """The claim that found it lost is answered all the same."""
    leased(group, other)
    other.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'taskyard worker w' AND datname = current_database()"
    )
    assert leased(group, other).attempt == 1


def test_the_end_waits_for_what_is_on_its_way(group: GroupCommit, other: Connection) -> None:
    """A result that was handed over is stored before the thread ends."""
    answers = [group.finish(leased(group, other), "1") for _ in range(3)]
    group.end()
    assert all(each.done() and each.result() for each in answers)
