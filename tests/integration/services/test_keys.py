"""One idempotency key, one task: whoever stores it, however often, whatever happens between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskyard.broker.publisher import open_publisher
from taskyard.broker.wakeup import exchange_name
from taskyard.core.errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    OutcomeUnknown,
    StorageUnavailable,
)
from taskyard.core.idempotency import IdempotencyKey
from taskyard.core.task import Accepted, NewTask, Repeated, TaskId
from taskyard.dev.processes import free_port
from taskyard.services.dispatch import HOLD, open_fresh
from taskyard.services.idempotency import keyed_request, with_key
from taskyard.services.intake import Intake, open_intake
from taskyard.services.submit import Submission
from taskyard.storage import idempotency
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import open_pool
from taskyard.storage.sql import queries

Connection = psycopg.AsyncConnection[Any]
WEEK = timedelta(days=7)


def new(key: str | None, *, x: object = 1, **changes: Any) -> NewTask:
    """A submission of its own, which asks for `x` under a key."""
    given = NewTask(
        id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels="{}",
        max_attempts=3,
    )  # fmt: skip
    task = replace(given, **changes)
    if key is None:
        return task
    request = keyed_request(Submission(type="a.b", args={"x": x}), IdempotencyKey(key))
    return with_key(task, request, retention=WEEK)


async def count(connection: Connection, query: str) -> int:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return int(row[0])


@asynccontextmanager
async def intake_of(database_url: str) -> AsyncIterator[Intake]:
    """An API's way in, with connections of its own; the broker is away and does not matter."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(open_pool(database_url, name="tests", size=4))
        nowhere = f"amqp://u:p@127.0.0.1:{free_port()}/v"
        publisher = await enter(open_publisher(nowhere, exchange_name("none")))
        fresh = await enter(open_fresh(publisher=publisher, pool=pool))
        yield await enter(open_intake(pool, fresh))


def same_reply(outcomes: list[Any]) -> Accepted:
    """Return the first reply, which all the others repeat."""
    (first,) = [outcome for outcome in outcomes if type(outcome) is Accepted]
    for outcome in outcomes:
        assert outcome is first or repeats(outcome, first), (outcome, first)
    return first


def repeats(outcome: object, first: object) -> bool:
    """Whether an outcome is the reply to the first submission once more."""
    assert isinstance(first, Accepted)
    return isinstance(outcome, Repeated) and all(
        getattr(outcome, each.name) == getattr(first, each.name) for each in fields(first)
    )


async def test_a_hundred_at_once_over_two_apis_are_one_task(
    connection: Connection, database_url: str
) -> None:
    """In one group commit, in two writers, in two processes: all get the same reply."""
    async with intake_of(database_url) as one, intake_of(database_url) as two:
        for round_ in range(10):
            stores = [
                (one, two)[n % 2].store(new(f"key {round_}", priority=n % 10)) for n in range(100)
            ]
            outcomes = await asyncio.gather(*stores)
            first = same_reply(outcomes)
            cursor = await connection.execute(
                "SELECT id, priority FROM tasks ORDER BY created_at DESC LIMIT 1"
            )
            (priority,) = {each.priority for each in outcomes if isinstance(each, Repeated)}
            assert await cursor.fetchone() == (first.id, priority)
    assert await count(connection, "SELECT count(*) FROM tasks") == 10
    assert await count(connection, "SELECT count(*) FROM task_events") == 10


async def test_the_same_keys_in_opposite_order_never_deadlock(
    connection: Connection, database_url: str
) -> None:
    """Each statement takes its keys in the order of the keys, not in that of the caller."""
    async with intake_of(database_url) as one, intake_of(database_url) as two:
        for round_ in range(30):
            keys = [f"{round_} {n}" for n in range(200)]
            forth, back = (
                one.store_batch([new(key) for key in keys]),
                two.store_batch([new(key) for key in reversed(keys)]),
            )
            first, second = await asyncio.gather(forth, back)
            for pair in zip(first, reversed(second), strict=True):
                same_reply(list(pair))
    assert await count(connection, "SELECT count(*) FROM tasks") == 30 * 200


async def test_a_key_twice_in_one_statement_is_the_first_of_them(
    connection: Connection, database_url: str
) -> None:
    """And what stands beside them is stored as ever, with a key or without."""
    tasks = [new("k"), new(None), new("other"), new("k"), new("k", x=2), new(None)]
    tasks.sort(key=lambda task: task.id)  # as the API makes them
    async with intake_of(database_url) as intake:
        outcomes = await intake.store_batch(tasks)
    found = dict(zip((task.id for task in tasks), outcomes, strict=True))
    mine = [task for task in tasks if task.keyed and task.keyed.key.text == "k"]
    first = found[mine[0].id]
    assert type(first) is Accepted
    assert first.id == mine[0].id
    for task in mine[1:]:
        if task.keyed == mine[0].keyed:
            assert repeats(found[task.id], first)
        else:
            assert isinstance(found[task.id], IdempotencyKeyReused)
    assert await count(connection, "SELECT count(*) FROM tasks") == 4


async def test_a_key_of_another_request_is_refused_alone(
    connection: Connection, database_url: str
) -> None:
    """Its neighbours in the same statement are stored."""
    async with intake_of(database_url) as intake:
        first = await intake.store(new("k"))
        outcomes = await intake.store_batch([new(None), new("k", x=2), new("l"), new("k")])
        with pytest.raises(IdempotencyKeyReused, match=str(first.id)):
            await intake.store(new("k", x=1.0))
    assert isinstance(outcomes[1], IdempotencyKeyReused)
    assert repeats(outcomes[3], first)
    assert await count(connection, "SELECT count(*) FROM tasks") == 3


async def test_a_refused_row_uses_no_key_up(connection: Connection, database_url: str) -> None:
    """What the database cannot store is refused alone, and its key is free for a better one."""
    bad = new("bad", args='{"nul": "\\u0000"}')
    good = [new(f"{n}") for n in range(12)]
    async with intake_of(database_url) as intake:
        outcomes = await intake.store_batch([*good[:5], bad, *good[5:], new("0")])
        assert isinstance(outcomes[5], InvalidRequest)
        assert repeats(outcomes[-1], outcomes[0])
        again = await intake.store(new("bad"))
    assert type(again) is Accepted
    assert await count(connection, "SELECT count(*) FROM tasks") == 13
    assert await count(connection, "SELECT count(*) FROM idempotency_keys") == 13


async def test_what_is_stored_again_after_a_broken_connection_gets_its_own_reply(
    connection: Connection,
) -> None:
    """As it was when it was stored, and not as a repeat: it is the very same submission."""
    tasks = [new("a", delay=60.0), new(None), new("b")]
    first = await tasks_table.insert(connection, tasks)
    await connection.execute(
        "UPDATE tasks SET state = 'cancelled', finished_at = now(), priority = 9, pool = 'q'"
        " WHERE id = ANY (%s)", ([tasks[0].id, tasks[2].id],)
    )  # fmt: skip
    assert await tasks_table.insert(connection, tasks) == first
    assert {type(each) for each in first.values()} == {Accepted}
    assert await count(connection, "SELECT count(*) FROM tasks") == 3


async def test_connections_killed_while_storing_leave_one_task_for_each_key(
    connection: Connection, database_url: str
) -> None:
    """Each caller repeats until it is answered; nobody gets another's reply."""
    kill = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE application_name = 'taskyard tests' AND pid <> pg_backend_pid()
                AND datname = current_database()"""

    async def persist(intake: Intake, key: str) -> Accepted:
        for _ in range(20):
            with contextlib.suppress(OutcomeUnknown, StorageUnavailable):
                return await intake.store(new(key))
        raise AssertionError("not answered in twenty tries")

    replies: dict[str, TaskId] = {}
    async with intake_of(database_url) as one, intake_of(database_url) as two:
        for round_ in range(8):
            keys = [f"{round_} {n}" for n in range(50)]
            storing = asyncio.gather(
                *(persist(one, key) for key in keys), *(persist(two, key) for key in keys)
            )
            await asyncio.sleep(0)
            await connection.execute(kill)
            for key, reply in zip(keys * 2, await storing, strict=True):
                assert replies.setdefault(key, reply.id) == reply.id
    assert await count(connection, "SELECT count(*) FROM tasks") == len(replies) == 400


async def test_a_repeat_is_not_published(connection: Connection, database_url: str) -> None:
    """The first submission is on its way already: only that is forwarded."""
    async with intake_of(database_url) as intake:
        forwarded: list[TaskId] = []
        forward = intake._fresh.forward
        intake._fresh.forward = lambda stored: forwarded.extend(  # type: ignore[method-assign]
            task.id for task, _ in stored
        )
        first = await intake.store(new("k", hold=HOLD))
        outcomes = await intake.store_batch([new("k", hold=HOLD), new("k", x=2, hold=HOLD)])
        intake._fresh.forward = forward  # type: ignore[method-assign]
    assert len(outcomes) == 2
    assert forwarded == [first.id]


async def test_a_keyed_row_is_the_row_it_would_be_without_a_key(connection: Connection) -> None:
    """The two statements store every column alike."""
    changes: dict[str, Any] = {
        "type": "c.d", "pool": "q", "priority": 7, "args": '{"x": 1}', "labels": '{"k": "v"}',
        "max_attempts": 5, "max_crashes": 7, "at_most_once": True, "delay": 30.0,
        "expires_in": 60.0, "deadline": 90.0, "hold": 9.0,
    }  # fmt: skip
    plain, keyed = new(None, **changes), new("k", **changes)
    async with connection.transaction():  # one now() for both
        await tasks_table.insert(connection, [plain])
        await tasks_table.insert(connection, [keyed])
    cursor = await connection.execute(
        "SELECT count(DISTINCT to_jsonb(tasks) - 'id'), count(*) FROM tasks"
    )
    assert await cursor.fetchone() == (1, 2)


async def test_keys_are_kept_for_the_retention_and_a_week_after_the_task_is_due(
    connection: Connection,
) -> None:
    """And are forgotten then, so many at a time; a forgotten key makes a new task."""
    tasks = [new(f"{n}", delay=60.0) for n in range(5)]
    await tasks_table.insert(connection, tasks)
    lives = "SELECT count(*) FROM idempotency_keys WHERE expires_at = due_at + interval '14 days'"
    assert await count(connection, lives) == 5
    assert await idempotency.forget_expired(connection, 10) == 0
    await connection.execute("UPDATE idempotency_keys SET expires_at = now() WHERE key < '3'")
    assert await idempotency.forget_expired(connection, 2) == 2
    assert await idempotency.forget_expired(connection, 2) == 1
    assert await idempotency.forget_expired(connection, 2) == 0
    again = [new(f"{n}") for n in range(5)]
    outcomes = await tasks_table.insert(connection, again)
    kinds = [type(outcomes[task.id]) for task in again]
    assert kinds == [Accepted, Accepted, Accepted, Repeated, Repeated]


async def test_a_key_forgotten_while_it_is_asked_for_makes_a_new_task(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conflict was seen, the reply is gone: store, as if it had been forgotten before."""
    await tasks_table.insert(connection, [new("k")])
    await connection.execute("UPDATE idempotency_keys SET expires_at = now()")
    find, task = idempotency.find, new("k")

    async def too_late(*args: Any) -> Any:
        await idempotency.forget_expired(connection, 1)
        return await find(*args)

    monkeypatch.setattr(idempotency, "find", too_late)
    outcome = (await tasks_table.insert(connection, [task]))[task.id]
    assert type(outcome) is Accepted
    assert outcome.id == task.id
    assert await count(connection, "SELECT count(*) FROM tasks") == 2


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("find_keys", {"tenants": ["default"], "keys": ["k"]}, "idempotency_keys_pkey"),
        ("forget_keys", {"limit": 10}, "idempotency_keys_to_forget"),
    ],
)
async def test_keys_are_found_by_index(
    connection: Connection, name: str, values: dict[str, Any], index: str
) -> None:
    """However many there are."""
    await connection.execute("SET enable_seqscan = off")
    statement = b"EXPLAIN " + queries("idempotency")[name].encode()
    plan = await (await connection.execute(statement, values)).fetchall()
    assert any(index in row[0] for row in plan), plan
