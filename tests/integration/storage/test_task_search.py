"""storage.task_search: what is sought is found by an index."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from taskyard.core.principal import DEFAULT_TENANT, Owner
from taskyard.storage import task_search
from taskyard.storage.pool import AsyncConnection, OwnPool, Pool, open_pool
from taskyard.storage.sql import queries
from taskyard.storage.task_search import Search, as_tsquery, find

OWNER = Owner(DEFAULT_TENANT)
ANYTHING = dict.fromkeys(
    ("types", "before", "first", "last", "type", "state", "pool", "labels", "created_after",
     "created_before")
)  # fmt: skip
A_TASK_THAT_FAILED = """
    INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at,
                       finished_at, args, labels, error)
    SELECT gen_random_uuid(), 'a.b', 'p', 4, 'failed', 1, now(), now(), now(), '{}',
           jsonb_build_object('n', number::text),
           jsonb_build_object('code', 'ValueError', 'message', 'number ' || number)
    FROM generate_series(1, %s) AS number
"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "sought", "index"),
    [
        ("find_tasks", {}, "tasks_of_tenant"),
        ("find_tasks", {"labels": '{"n": "17"}'}, "tasks_by_label"),
        ("find_by_error", {"error": "number & 17", "few": 2000}, "tasks_by_error"),
        ("find_newest_by_error", {"error": "number:*"}, "tasks_with_error"),
    ],
)
async def test_a_search_reads_an_index(
    connection: AsyncConnection, name: str, sought: dict[str, Any], index: str
) -> None:
    """Among a million tasks nothing else is fast enough: rare words, and those that all have."""
    await connection.execute(A_TASK_THAT_FAILED.encode(), (3_000,))
    await connection.execute("ANALYZE tasks")
    statement = b"EXPLAIN " + queries("task_search")[name].encode()
    values = ANYTHING | {"tenant": "default", "limit": 50} | sought
    cursor = await connection.execute(statement, values, prepare=False)
    plan = await cursor.fetchall()
    assert any(index in row[0] for row in plan), plan


async def test_frequent_words_find_the_newest_as_rare_ones_do(
    pool: Pool, connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways to look give the same answer."""
    await connection.execute(A_TASK_THAT_FAILED.encode(), (30,))
    own = OwnPool(pool, OWNER)
    wanted = Search(error="valueerror NUMBER")
    few = await find(own, wanted, before=None, limit=10)
    older = await find(own, wanted, before=few[-1][0], limit=50)
    assert len({*few, *older}) == 30
    assert sorted([*few, *older], reverse=True) == [*few, *older]
    asked: list[str] = []
    ids = task_search._ids

    async def noted(connection: AsyncConnection, name: str, given: dict[str, Any]) -> Any:
        asked.append(name)
        return await ids(connection, name, given)

    monkeypatch.setattr(task_search, "_ids", noted)
    monkeypatch.setattr(task_search, "_FEW", 5)
    assert await find(own, wanted, before=None, limit=10) == few
    assert await find(own, wanted, before=few[-1][0], limit=50) == older
    assert asked == ["find_newest_by_error"] * 2


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("timed out: db-1", "timed & out & db & 1:*"),
        ("!&|()<->':*", ""),
        ("naïve_name", "naïve & name:*"),
    ],
)
def test_every_text_is_a_query(text: str, query: str) -> None:
    """What is no letter or digit parts words, and none of it is an operator."""
    assert as_tsquery(text) == query
