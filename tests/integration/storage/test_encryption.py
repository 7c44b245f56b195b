"""What callers send, in the database: sealed on the way in, opened on the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.principal import Owner, TenantId
from taskyard.core.task import TaskId
from taskyard.storage import attempts, dead_letters, memos, streams, task_logs, tasks
from taskyard.storage.pool import AsyncConnection, Cursor, connect_sync
from taskyard.storage.sealing import NO_KEYS, KeyRing
from tests.encryption import claim, columns_with, files_with, live, ring
from tests.submissions import new

SAYS = {
    "tasks.args", "tasks.result", "tasks.progress", "task_events.error", "task_logs.text",
    "task_logs.fields", "task_memos.value",
}  # fmt: skip


@contextmanager
def working(database_url: str, keys: KeyRing) -> Iterator[Cursor]:
    with connect_sync(database_url, name="tests", ring=keys) as opened, opened.cursor() as cursor:
        yield cursor


async def readings(connection: AsyncConnection, worker: Cursor, task_id: TaskId) -> str:
    """Everything that can be read of a task, by everybody who reads."""
    found = [
        await tasks.get(connection, task_id),
        await tasks.events(connection, task_id),
        await task_logs.lines_after(connection, task_id, 0),
        await dead_letters.attempts(connection, task_id),
        await streams.look_at(connection, [task_id]),
        await streams.news(connection, {task_id: streams.Known(0, 0)}),
        attempts.read_outcome(worker, task_id),
    ]
    return "\n".join(map(str, found))


@pytest.mark.parametrize(("keys", "seen"), [(ring("k1"), set()), (NO_KEYS, SAYS)])
async def test_the_database_holds_nothing_that_a_task_said(
    connection: AsyncConnection, database_url: str, keys: KeyRing, seen: set[str]
) -> None:
    """With a key neither its rows nor its files do; without one both do, so the search finds."""
    # Given a task that says a canary wherever it can
    canary = f"canary{uuid4().hex}"
    connection.ring = keys
    with working(database_url, keys) as worker:
        task_id = await live(connection, worker, canary)
        # When it is read, everything is there
        told = await readings(connection, worker, task_id)
        for words in ("args", "no", "line", "half", "said", "result"):
            assert f"{words} {canary}" in told
    # Then what the server holds is as the keys want it
    with psycopg.connect(database_url, autocommit=True) as session:
        assert columns_with(session, canary) == seen
        session.execute("CHECKPOINT")
        (folder,) = session.execute("SHOW data_directory").fetchone() or ("",)
    found = {"wal" if "pg_wal" in path.parts else "base" for path in files_with(folder, canary)}
    assert found == ({"base", "wal"} if seen else set())


async def test_keys_are_rotated_while_everything_is_read(
    connection: AsyncConnection, database_url: str
) -> None:
    """What was written plain, with the old key and with the young one is read side by side."""
    ids = []
    for keys in (NO_KEYS, ring("k1"), ring("k2", "k1"), ring("plain", "k2", "k1")):
        connection.ring = keys
        with working(database_url, keys) as worker:
            ids.append(await live(connection, worker, "words"))
    with working(database_url, ring("k2", "k1")) as worker:
        connection.ring = ring("k2", "k1")
        for task_id in ids:
            told = await readings(connection, worker, task_id)
            assert "result words" in told
            assert "no words" in told


async def test_a_row_moved_to_another_task_or_tenant_does_not_open(
    connection: AsyncConnection,
) -> None:
    """Who may write to the database still cannot make a task run another's arguments."""
    connection.ring = ring("k1")
    one, other = new(None, args='{"x":1}'), new(None, args='{"x":2}')
    await tasks.insert(connection, [one, other])
    await connection.execute(
        "UPDATE tasks SET args = (SELECT args FROM tasks WHERE id = %s) WHERE id = %s",
        (one.id, other.id),
    )
    with pytest.raises(SealBroken, match="belongs elsewhere"):
        await tasks.get(connection, other.id)
    await connection.execute("UPDATE tasks SET tenant = 'other' WHERE id = %s", (one.id,))
    connection.owner = Owner(TenantId("other"))
    with pytest.raises(SealBroken, match="belongs elsewhere"):
        await tasks.get(connection, one.id)


async def test_a_memo_of_another_step_does_not_open(
    connection: AsyncConnection, database_url: str
) -> None:
    """What one step returned is not what another did."""
    with working(database_url, ring("k1")) as worker:
        task = new(None)
        await tasks.insert(connection, [task])
        lease = claim(worker, task.id)
        assert memos.keep(worker, lease, "one", "1")
        assert memos.find(worker, lease, "one") == memos.Memo(1)
        await connection.execute("UPDATE task_memos SET step = 'other'")
        with pytest.raises(SealBroken):
            memos.find(worker, lease, "other")


async def test_a_missing_key_is_an_error_for_data_and_words_for_history(
    connection: AsyncConnection, database_url: str
) -> None:
    """The task cannot be read, which says so; its history, and the stream of all, go on."""
    connection.ring = ring("k1")
    with working(database_url, ring("k1")) as worker:
        task_id = await live(connection, worker, "words")
    connection.ring = ring("k2")
    with pytest.raises(EncryptionKeyMissing, match="key 'k1'"):
        await tasks.get(connection, task_id)
    (first, _) = await dead_letters.attempts(connection, task_id)
    assert first.error is not None
    assert first.error["code"] == "task-error"
    assert "key 'k1'" in first.error["message"]
    (line,) = await task_logs.lines_after(connection, task_id, 0)
    assert "key 'k1'" in line.text
    look = (await streams.look_at(connection, [task_id]))[task_id]
    assert look.progress is not None
    assert look.progress["fraction"] == 0.5
    assert "key 'k1'" in look.progress["message"]


async def test_what_looks_sealed_is_what_the_caller_sent(
    connection: AsyncConnection, database_url: str
) -> None:
    """Arguments and results that imitate a sealed value come back as they are, whatever follows."""
    args = '{"$sealed":"1.k1.AAAA"}'
    for keys in (NO_KEYS, ring("k1")):
        connection.ring = keys
        task = new(None, args=args)
        await tasks.insert(connection, [task])
        with working(database_url, keys) as worker:
            lease = claim(worker, task.id)
            said = task_logs.SaidLine(offset=1, age=0, text="x", fields=args)
            task_logs.keep(worker, lease, [said])
            assert attempts.finish(worker, lease, args)
        connection.ring = ring("k2", "k1")
        found = await tasks.get(connection, task.id)
        assert found is not None
        assert found.args == found.result == {"$sealed": "1.k1.AAAA"}
        (line,) = await task_logs.lines_after(connection, task.id, 0)
        assert (line.text, line.fields) == ("x", {"$sealed": "1.k1.AAAA"})
