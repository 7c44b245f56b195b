"""What callers send, in the database: sealed on the way in, opened on the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.principal import Owner, TenantId
from taskyard.core.shapes import shape
from taskyard.core.task import Failure, TaskId
from taskyard.services.reencrypt import reencrypt
from taskyard.storage import attempts, dead_letters, memos, streams, task_logs, tasks
from taskyard.storage.encryption import Renewal, count_keys
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


async def readings(connection: AsyncConnection, worker: Cursor, task_id: TaskId) -> list[Any]:
    """Everything that can be read of a task, by everybody who reads."""
    return [
        await tasks.get(connection, task_id),
        await tasks.events(connection, task_id),
        await task_logs.lines_after(connection, task_id, 0),
        await dead_letters.attempts(connection, task_id),
        await streams.look_at(connection, [task_id]),
        await streams.news(connection, {task_id: streams.Known(0, 0)}),
        attempts.read_outcome(worker, task_id),
    ]


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
        told = str(await readings(connection, worker, task_id))
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
            told = str(await readings(connection, worker, task_id))
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


async def renew(connection: AsyncConnection, limit: int = 2) -> dict[str, Renewal]:
    return await reencrypt(connection, on_batch=lambda *_: None, limit=limit)


async def test_everything_is_written_anew_with_the_active_key(
    connection: AsyncConnection, database_url: str
) -> None:
    """From plain to one key, to the next, and back to plain: it reads the same at every turn."""
    with working(database_url, NO_KEYS) as worker:
        ids = [await live(connection, worker, "words") for _ in range(3)]
        before = [await readings(connection, worker, each) for each in ids]
    for keys, key in ((ring("k1"), "k1"), (ring("k2", "k1"), "k2"), (ring("plain", "k2"), "plain")):
        connection.ring = keys
        came = await renew(connection)
        assert sum(each.left for each in came.values()) == 0
        counts = await count_keys(connection)
        assert {(each.kind, each.key) for each in counts} == {
            (kind, key) for kind in ("tasks", "history", "logs", "memos")
        }
        with working(database_url, keys) as worker:
            assert [await readings(connection, worker, each) for each in ids] == before
        # Said again there is nothing to do.
        assert {each.written for each in (await renew(connection)).values()} == {0}


async def test_writing_anew_goes_on_where_it_was_broken_off(
    connection: AsyncConnection, database_url: str
) -> None:
    """What was done is not done again; what no key opens is left, and named."""
    for keys in (ring("k1"), ring("lost")):
        connection.ring = keys
        with working(database_url, keys) as worker:
            for _ in range(3):
                await live(connection, worker, "words")
    connection.ring = ring("k2", "k1")

    class BrokenOffError(Exception):
        pass

    done = []

    def break_off(kind: str, renewal: Renewal) -> None:
        if renewal.written:
            done.append(renewal.written)
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        await reencrypt(connection, on_batch=break_off, limit=1)
    came = await renew(connection)
    assert (came["tasks"].written, came["tasks"].left) == (3 - done[0], 3)
    assert "'lost'" in came["tasks"].problems[0]
    counts = {(each.kind, each.key) for each in await count_keys(connection)}
    assert counts == {
        (kind, key) for kind in ("tasks", "history", "logs", "memos") for key in ("k2", "lost")
    }


async def test_writing_anew_keeps_every_digit(connection: AsyncConnection) -> None:
    """A number that Python would round is what the caller sent, after any number of keys."""
    args = '{"x": 12345678901234567890.12345678901234567890, "$sealed": 1e100}'
    task = new(None, args=args)
    await tasks.insert(connection, [task])

    async def stored() -> str:
        row = await (await connection.execute("SELECT args::text FROM tasks")).fetchone()
        assert row is not None
        return str(row[0])

    before = await stored()
    for keys in (ring("k1"), ring("k2", "k1"), ring("plain", "k2")):
        connection.ring = keys
        assert (await renew(connection))["tasks"].written == 1
    assert await stored() == before


MESSAGES = [
    "row 17 of 'file 3.csv' is bad", "can't open \"a b\" and `c`", "it's 12:30:01, or 1.5,2",
    "task 01a1fc31-7c1e-7000-8000-0123456789ab failed at 0xDEADBEEF", "deadbeef1 cafe feedbeef",
    "", "a_'b' x'y' 'z", "größe '\u00fc' 5\u20ac", "x" * 499 + "12345", "#1 #2,3",
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
async def test_the_shape_of_a_message_is_the_same_in_the_database_and_here(
    connection: AsyncConnection, message: str
) -> None:
    """Whichever of the two folds it, an operator reads the same."""
    row = await (await connection.execute("SELECT message_shape(%s)", (message,))).fetchone()
    assert row == (shape(message),)


async def test_dead_letters_are_grouped_though_they_cannot_be_read(
    connection: AsyncConnection, database_url: str
) -> None:
    """By what went wrong, with and without a key; also after a change of keys."""
    connection.ring = ring("k1")
    with working(database_url, ring("k1")) as worker:
        for number, fault in [(1, "row {} is bad"), (2, "row {} is bad"), (3, "no row {}")]:
            task = new(None)
            await tasks.insert(connection, [task])
            failure = Failure(code="task-error", message=fault.format(number))
            assert attempts.fail(worker, claim(worker, task.id), failure)

    async def grouped() -> list[tuple[str, int]]:
        found = await dead_letters.groups(connection, dead_letters.Criteria(), limit=9)
        return [(each.message, each.count) for each in found]

    assert await grouped() == [("row # is bad", 2), ("no row #", 1)]
    for keys in (ring("k2", "k1"), ring("plain", "k2")):
        connection.ring = keys
        await renew(connection)
        assert await grouped() == [("row # is bad", 2), ("no row #", 1)]
