"""storage: keys are stored with their tasks, found by index, and forgotten in time."""

from typing import Any

import psycopg
import pytest

from taskyard.core.task import Accepted, Repeated
from taskyard.storage import idempotency
from taskyard.storage import tasks as tasks_table
from taskyard.storage.sql import queries
from tests.submissions import count, new

Connection = psycopg.AsyncConnection[Any]


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


async def test_each_group_is_one_statement_and_only_repeats_cost_another(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without keys it is the statement that knows of none."""
    names = {
        text: name for file in ("tasks", "idempotency") for name, text in queries(file).items()
    }
    said: list[str] = []
    execute = connection.execute

    async def listening(query: Any, *rest: Any) -> Any:
        said.append(names[query])
        return await execute(query, *rest)

    monkeypatch.setattr(connection, "execute", listening)
    await tasks_table.insert(connection, [new(None) for _ in range(64)])
    await tasks_table.insert(connection, [new(f"{n}") for n in range(64)])
    assert said == ["insert_tasks", "insert_keyed_tasks"]
    await tasks_table.insert(connection, [new(f"{n}") for n in range(64)] + [new(None)])
    assert said[2:] == ["insert_keyed_tasks", "find_keys"]


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
