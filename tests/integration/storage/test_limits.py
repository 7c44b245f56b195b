"""queries/limits.sql and quotas.sql: what stands in the way of every claim uses its indexes."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskyard.storage.sql import queries

Connection = psycopg.AsyncConnection[Any]
ASKED = {"names": ["task:a.b"], "most": [10], "periods": [1.0], "task": uuid4()}


@pytest.mark.parametrize(
    ("file", "name", "values", "indexes"),
    [
        ("limits", "read_usage", ASKED, ["tasks_pkey", "permits_pkey", "starts_in_order"]),
        ("limits", "list_waiters", {"of_each": 9, "limit": 99}, ["tasks_in_line"]),
        ("quotas", "draw", {
            "tenant": "t", "wanted": 1, "bytes": 0, "count": 1, "seconds": 1.0, "queued": None,
            "in_flight": None, "stored": None,
        }, ["tenant_usage_pkey"]),
        ("quotas", "count_usage", {"tenants": None}, [
            "tasks_to_publish", "tasks_queued", "tasks_to_promote", "tasks_running",
        ]),
        ("quotas", "weigh_usage", {"tenant": "t"}, ["tasks_of_"]),  # by kind or not
    ],
)  # fmt: skip
async def test_no_statement_reads_a_whole_table(
    connection: Connection, file: str, name: str, values: dict[str, Any], indexes: list[str]
) -> None:
    """A plan that does would grow with it."""
    await connection.execute("SET enable_seqscan = off")
    statement = b"EXPLAIN " + queries(file)[name].encode()
    rows = await (await connection.execute(statement, values)).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert [index for index in indexes if index not in plan] == [], plan
    assert "Seq Scan on tasks" not in plan


async def test_the_line_is_found_by_its_own_index(connection: Connection) -> None:
    """Among many tasks that are scheduled for other reasons."""
    await connection.execute(
        "INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at,"
        " args, waits_for) SELECT gen_random_uuid(), 'a.b', 'p', 4, 'scheduled', 3,"
        " now() + interval '1 day', now(), '{}', CASE WHEN n % 100 = 0 THEN 'task:a.b' END"
        " FROM generate_series(1, 5000) AS n"
    )
    await connection.execute("ANALYZE tasks")
    statement = b"EXPLAIN " + queries("limits")["read_usage"].encode()
    rows = await (await connection.execute(statement, ASKED)).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "tasks_in_line" in plan
    assert "tasks_to_promote" not in plan
