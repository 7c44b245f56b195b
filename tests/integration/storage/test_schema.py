"""The schema guards what the code promises."""

import asyncio
from importlib.resources import files
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from taskyard.core.errors import SchemaOutdated
from taskyard.core.states import TERMINAL, State, may_become
from taskyard.storage import topology
from taskyard.storage.migrate import migrate, migrations, require_current
from taskyard.storage.pool import connect
from taskyard.storage.sql import queries

Connection = psycopg.AsyncConnection[Any]

INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                   finished_at, lease_token, lease_expires_at)
VALUES (%(id)s, 'a.b', 'p', 4, %(state)s, 3, now(), now(), '{}',
        CASE WHEN %(ended)s THEN now() END, CASE WHEN %(state)s = 'running' THEN %(id)s END,
        CASE WHEN %(state)s = 'running' THEN now() END)"""
MOVE = """
UPDATE tasks SET state = %(state)s, finished_at = CASE WHEN %(ended)s THEN now() END,
                 lease_token = CASE WHEN %(state)s = 'running' THEN id END,
                 lease_expires_at = CASE WHEN %(state)s = 'running' THEN now() END
WHERE id = %(id)s"""

OWN = {"tenant": "default", "types": None}


async def insert(connection: Connection, state: State) -> UUID:
    task_id = uuid4()
    given = {"id": task_id, "state": state, "ended": state in TERMINAL}
    await connection.execute(INSERT, given)
    return task_id


async def test_the_database_allows_what_the_table_allows_and_nothing_else(
    connection: Connection,
) -> None:
    """Every pair of states is walked through both."""
    for now, then in product(State, State):
        task_id = await insert(connection, now)
        move = connection.execute(MOVE, {"id": task_id, "state": then, "ended": then in TERMINAL})
        if now is then or may_become(now, then):
            await move
        else:
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                await move
            assert caught.value.diag.constraint_name == "transition_is_legal"


async def test_every_change_is_one_event_and_the_numbers_have_no_gap(
    connection: Connection,
) -> None:
    """Also when a change is rolled back."""
    task_id = await insert(connection, State.PENDING)
    async with connection.transaction(force_rollback=True):
        given: dict[str, Any] = {"id": task_id, "state": State.QUEUED, "ended": False}
        await connection.execute(MOVE, given)
    for state in (State.QUEUED, State.RUNNING, State.SUCCEEDED):
        given = {"id": task_id, "state": state, "ended": state in TERMINAL}
        await connection.execute(MOVE, given)
    cursor = await connection.execute(
        "SELECT seq, state FROM task_events WHERE task_id = %s ORDER BY seq", (task_id,)
    )
    expected = [(1, "pending"), (2, "queued"), (3, "running"), (4, "succeeded")]
    assert await cursor.fetchall() == expected


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'succeeded'", "ended_means_finished"),
        ("finished_at = now()", "ended_means_finished"),
        ("lease_token = id", "running_means_leased"),
        ("state = 'lost'", "transition_is_legal"),
        ("priority = 10", "priority_is_bounded"),
        ("priority = -1", "priority_is_bounded"),
        ("boost = 6", "boost_is_bounded"),
        ("boost = -1", "boost_is_bounded"),
        ("max_attempts = 0", "there_is_an_attempt"),
        ("max_crashes = 0", "there_is_an_attempt"),
    ],
)
async def test_a_row_cannot_contradict_itself(
    connection: Connection, change: str, constraint: str
) -> None:
    """An end has a time, a lease has a runner, a state is one of ours."""
    state = State.RUNNING if "succeeded" in change else State.QUEUED
    task_id = await insert(connection, state)
    ended = "lease_token = NULL, lease_expires_at = NULL"
    statement = f"UPDATE tasks SET {change}, {ended} WHERE id = %s"
    if "lease_token" in change:
        statement = f"UPDATE tasks SET {change} WHERE id = %s"
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        await connection.execute(statement.encode(), (task_id,))
    assert caught.value.diag.constraint_name == constraint


async def test_a_row_cannot_begin_in_an_unknown_state(connection: Connection) -> None:
    """What is inserted is held to the same."""
    given = {"id": uuid4(), "state": "lost", "ended": False}
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        await connection.execute(INSERT, given)
    assert caught.value.diag.constraint_name == "state_is_known"


async def test_migrating_twice_at_once_applies_once(server_url: str) -> None:
    """An advisory lock lets one of them do it; a third time does nothing."""
    name = f"migrate_{uuid4().hex[:8]}"
    async with await connect(server_url, name="tests") as server:
        await server.execute(f'CREATE DATABASE "{name}"'.encode())
    url = server_url.rsplit("/", 1)[0] + f"/{name}"
    async with await connect(url, name="tests") as one, await connect(url, name="tests") as two:
        with pytest.raises(SchemaOutdated, match="taskyard migrate"):
            await require_current(one)
        applied = await asyncio.gather(migrate(one), migrate(two))
        assert sorted(map(len, applied)) == [0, len(migrations())]
        assert await migrate(one) == []
        await require_current(one)


async def test_a_ledger_from_before_there_were_migrations_of_queues_is_understood(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool of each queue is found in its name; exchanges and other queues have none."""
    name = f"test_{uuid4().hex[:12]}"
    async with await connect(server_url, name="tests") as server:
        await server.execute(f'CREATE DATABASE "{name}"'.encode())
    url = server_url.rsplit("/", 1)[0] + f"/{name}"
    early = {number: entry for number, entry in migrations().items() if number < 6}
    async with await connect(url, name="tests") as connection:
        with monkeypatch.context() as patched:
            patched.setattr("taskyard.storage.migrate.migrations", lambda: early)
            await migrate(connection)
        await connection.execute(
            "INSERT INTO topology_ledger (broker, kind, name, source) VALUES"
            " ('/:t', 'queue', 't.pool.a-1', ''), ('/:t', 'queue', 't.dead', ''),"
            " ('/:t', 'binding', 't.pool.a-1', 't.tasks')"
        )
        await migrate(connection)
        assert await topology.list_queues(connection, "/:t") == [("a-1", "t.pool.a-1", "applied")]
        rows = await topology.read(connection, "/:t")
        assert {(row.kind, row.pool, row.state) for row in rows} == {
            ("queue", "a-1", "applied"), ("queue", None, "applied"), ("binding", None, "applied"),
        }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    sorted(
        each.name.removesuffix(".sql")
        for each in files("taskyard.storage").joinpath("queries").iterdir()
    ),
)
async def test_every_statement_can_be_prepared(connection: Connection, name: str) -> None:
    """And each is described below its name."""
    for key, statement in queries(name).items():
        assert statement.startswith("--"), f"{key} has no description"
        values = dict.fromkeys(_parameters(statement))
        await connection.execute(b"EXPLAIN " + statement.encode(), values)


def _parameters(statement: str) -> set[str]:
    return {part.split(")s")[0] for part in statement.split("%(")[1:]}


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("promote_due", {"limit": 10}, "tasks_to_promote"),
        ("expire_due", {"limit": 10}, "tasks_to_expire"),
        ("next_deadline", {}, "tasks_to_promote"),
        ("count_running", {}, "tasks_running"),
        ("get_task", {"id": uuid4(), **OWN}, "tasks_of_"),  # of an empty table, any of a tenant
        ("list_tasks", {"ids": [uuid4()], "bytes": 9, **OWN}, "tasks_of_tenant"),
    ],
)
async def test_hot_statements_use_their_index(
    connection: Connection, name: str, values: dict[str, Any], index: str
) -> None:
    """A plan that reads the whole table would grow with it."""
    await connection.execute("SET enable_seqscan = off")
    statement = b"EXPLAIN " + queries("tasks")[name].encode()
    plan = await (await connection.execute(statement, values)).fetchall()
    assert any(index in row[0] for row in plan), plan
