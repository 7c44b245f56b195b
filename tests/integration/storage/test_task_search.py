"""storage.task_search: what is sought is found by an index."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from taskyard.core.principal import DEFAULT_TENANT, Owner
from taskyard.core.retention import first_id_at
from taskyard.core.task import TaskId
from taskyard.core.topics import matches
from taskyard.storage import task_search, tasks
from taskyard.storage.pool import AsyncConnection, OwnPool, Pool, open_pool
from taskyard.storage.sql import queries
from taskyard.storage.task_search import Search, as_tsquery, find
from tests.submissions import new

OWNER = Owner(DEFAULT_TENANT)
ANYTHING = dict.fromkeys(
    ("types", "before", "first", "last", "type", "state", "pool", "labels", "created_after",
     "created_before")
)  # fmt: skip
FROM, UNTIL = UUID(int=7 << 76), UUID(int=8 << 120)
A_TASK_THAT_FAILED = """
    INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at,
                       finished_at, args, labels, error)
    SELECT gen_random_uuid(), 'a.t' || number %% 10, 'p', 4, 'failed', 1, now(), now(), now(), '{}',
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
        ("find_tasks", {"first": FROM, "last": UNTIL}, "tasks_of_tenant"),
        ("find_of_kinds", {"pools": ["p"], "of_types": ["rare"]}, "tasks_of_kind"),
        ("pools", {}, "tasks_of_kind"),
        ("kinds", {"pools": ["p"], "most": 9}, "tasks_of_kind"),
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


async def test_few_kinds_are_found_as_among_all(pool: Pool, connection: AsyncConnection) -> None:
    """However a pool, a type and what the caller may see are put together, and page by page."""
    kinds = [(f"p{n % 3}", f"{'ab'[n % 2]}.t{n % 5}") for n in range(60)]
    made = [new(None, type=of_type, pool=in_pool) for in_pool, of_type in kinds]
    await tasks.insert(connection, made)
    # Given any wish
    for in_pool, of_type, patterns in product(
        (None, "p1", "none"), (None, "a.t1", "b.t1", "a.none"), (None, ("a.#",), ("#.t1", "none"))
    ):
        # When it is looked for, a page of seven after the other
        seen: list[TaskId] = []
        own = OwnPool(pool, Owner(DEFAULT_TENANT, patterns))
        sought = Search(pool=in_pool, type=of_type)
        while page := await find(own, sought, before=seen[-1] if seen else None, limit=7):
            seen += [task_id for task_id, _ in page]
        # Then that is found, newest first
        assert seen == [
            task.id
            for task in sorted(made, key=lambda task: task.id, reverse=True)
            if (in_pool in (None, task.pool) and of_type in (None, task.type))
            and (patterns is None or any(matches(each, task.type) for each in patterns))
        ]


async def test_a_tenant_of_many_kinds_is_searched_all_the_same(
    pool: Pool, connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From so many on the newest of all are read."""
    made = [new(None, type=f"a.t{n}", pool="p") for n in range(9)]
    await tasks.insert(connection, made)
    own = OwnPool(pool, OWNER)
    few = await find(own, Search(pool="p"), before=None, limit=50)
    monkeypatch.setattr(task_search, "_MOST_KINDS", 8)
    assert await find(own, Search(pool="p"), before=None, limit=50) == few
    assert len(few) == 9


@pytest.mark.parametrize("off", [-4, 0, 4])
async def test_a_time_is_that_of_the_row(pool: Pool, connection: AsyncConnection, off: int) -> None:
    """To the microsecond, though the clock that made the id may be some minutes off."""
    stored, instant = datetime.now(UTC), timedelta(microseconds=1)
    made = replace(new(None), id=first_id_at(stored + timedelta(minutes=off)))
    await tasks.insert(connection, [made])
    await connection.execute("UPDATE tasks SET created_at = %s", (stored,))
    for since, until, finds in (
        (stored, stored + instant, [made.id]),
        (stored - instant, stored, []),
        (stored + instant, None, []),
        (None, stored, []),
    ):
        wanted = Search(created_after=since, created_before=until)
        found = await find(OwnPool(pool, OWNER), wanted, before=None, limit=9)
        assert [task_id for task_id, _ in found] == finds


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
