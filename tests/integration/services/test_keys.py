"""One idempotency key, one task: whoever stores it, however often, whatever happens between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from typing import Any

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
from taskyard.core.task import Accepted, Repeated, TaskId
from taskyard.dev.processes import free_port
from taskyard.services.fresh import HOLD, open_fresh
from taskyard.services.intake import Intake, open_intake
from taskyard.storage.pool import open_pool
from tests.submissions import count, new

Connection = psycopg.AsyncConnection[Any]


@asynccontextmanager
async def intake_of(database_url: str) -> AsyncIterator[Intake]:
    """An API's way in, with connections of its own; the broker is away and does not matter."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(open_pool(database_url, name="tests", size=4))
        nowhere = f"amqp://u:p@127.0.0.1:{free_port()}/v"
        publisher = await enter(open_publisher(nowhere, exchange_name("none")))
        fresh = await enter(open_fresh(publisher=publisher, pool=pool))
        yield await enter(open_intake(pool, fresh, largest_backlog=100_000))


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
