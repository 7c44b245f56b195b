"""Pages of tasks: as many as fit into rows and bytes, and the next one goes on from there."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries
from taskyard.storage.task_pages import MOST_BYTES, Page, read_page
from tests.application import api

MIB = 2**20
INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args, result,
                   finished_at)
SELECT (lpad(to_hex(n), 12, '0') || '70008' || repeat('0', 15))::uuid, 'a.b', 'p', 4, %(state)s, 3,
       now(), now(), '{}', to_jsonb(repeat('x', %(bytes)s)), now()
FROM generate_series(%(first)s::integer, %(last)s::integer) AS n"""
LISTED = queries("dead_letters")["list_dead_letters"]
FILTERS = (
    "before", "type", "state", "pool", "labels", "code", "finished_after", "finished_before",
)  # fmt: skip


async def store(
    connection: psycopg.AsyncConnection[Any], first: int, last: int, *, size: int
) -> None:
    """Failed tasks with results of that many bytes; compressed they are next to nothing."""
    given = {"first": first, "last": last, "bytes": size, "state": "failed"}
    await connection.execute(INSERT.encode(), given)


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/dead-letters"])
async def test_a_page_ends_before_it_is_too_large(
    connection: AsyncConnection, database_url: str, path: str
) -> None:
    """And the next goes on: every task comes once, the newest first, none is left out."""
    await store(connection, 1, 20, size=MIB)
    await store(connection, 21, 60, size=10)
    found: list[str] = []
    sizes: list[int] = []
    async with api(database_url) as client:
        cursor = ""
        while cursor is not None:
            reply = await client.get(f"{path}?limit=50{cursor and '&cursor=' + cursor}")
            page = await reply.get_json()
            assert len(await reply.get_data()) < MOST_BYTES + MIB
            found += [task["id"] for task in page["items"]]
            sizes.append(len(page["items"]))
            cursor = page["next_cursor"]
    assert sizes == [47, 7, 6]
    assert [UUID(each).int >> 80 for each in found] == list(range(60, 0, -1))


async def test_one_that_is_larger_than_a_page_comes_alone(connection: AsyncConnection) -> None:
    """Else nothing behind it could ever be reached."""
    await store(connection, 1, 1, size=10)
    await store(connection, 2, 3, size=MIB)
    wanted: dict[str, Any] = dict.fromkeys(FILTERS)
    seen: list[Page] = []
    while not seen or seen[-1].more:
        if seen:
            wanted["before"] = seen[-1].tasks[-1].id
        seen.append(await read_page(connection, LISTED, wanted, limit=10, most_bytes=MIB))
    assert [[task.id.int >> 80 for task in page.tasks] for page in seen] == [[3], [2], [1]]


async def test_what_does_not_fit_is_not_read(connection: AsyncConnection) -> None:
    """Of many large results only those are opened that are shown, and the first that is not."""
    await store(connection, 1, 40, size=MIB)
    statement = "EXPLAIN (ANALYZE, FORMAT JSON) " + LISTED
    given = dict.fromkeys((*FILTERS, "types")) | {
        "tenant": "default", "limit": 40, "bytes": MOST_BYTES,
    }  # fmt: skip
    row = await (await connection.execute(statement.encode(), given)).fetchone()
    assert row is not None
    steps = [node for node in _nodes(row[0][0]["Plan"]) if node["Node Type"] == "WorkTable Scan"]
    assert [node["Actual Loops"] for node in steps] == [8]
    assert row[0][0]["Plan"]["Actual Rows"] == 7


def _nodes(node: dict[str, Any]) -> Any:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
