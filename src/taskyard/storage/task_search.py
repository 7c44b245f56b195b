"""The search for tasks among many."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.storage.opened import LISTED, opened_row
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed, owned_by, types_of
from taskyard.storage.sql import queries

_SQL = queries("task_search")
_WORDS = re.compile(r"[^\W_]+")
_FEW = 2_000  # to put more in order takes longer than to read the newest (measured)

Found = tuple[TaskId, State]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which tasks are sought: what is None does not matter.

    `error` is words of the code or message of an error, the last or its beginning; `first` and
    `last` bound the id.
    """

    type: str | None = None
    state: State | None = None
    pool: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    first: TaskId | None = None
    last: TaskId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTask:
    """What a list shows of a task."""

    id: TaskId
    type: str
    pool: str
    priority: int
    state: State
    reason: str | None
    error: dict[str, Any] | None
    attempt: int
    max_attempts: int
    generation: int
    progress: dict[str, Any] | None
    labels: dict[str, str]
    worker: str | None
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


async def find(pool: OwnPool, search: Search, *, before: TaskId | None, limit: int) -> list[Found]:
    """Return up to `limit` ids and states, newest first, from just below the id `before`."""
    given = asdict(search) | {
        "labels": msgspec.json.encode(search.labels).decode() if search.labels else None,
        "error": None if search.error is None else as_tsquery(search.error),
        "before": before,
        "limit": limit,
        "tenant": pool.owner.tenant,
        "types": types_of(pool.owner),
    }
    # In front of the wall: behind it (row level security) Postgres asks no index for a label or a
    # word, because these operators might tell of rows that the policy hides.
    async with borrowed(pool.pool) as connection:
        if search.error is None:
            return await _ids(connection, "find_tasks", given)
        return await _by_error(connection, given)


async def _by_error(connection: AsyncConnection, given: dict[str, Any]) -> list[Found]:
    cursor = await connection.execute(_SQL["find_by_error"], given | {"few": _FEW}, prepare=False)
    rows = await cursor.fetchall()
    if rows and rows[0][2] == _FEW:
        return await _ids(connection, "find_newest_by_error", given)
    return [(row[0], State(row[1])) for row in rows]


async def _ids(connection: AsyncConnection, name: str, given: dict[str, Any]) -> list[Found]:
    cursor = await connection.execute(_SQL[name], given, prepare=False)
    return [(row[0], State(row[1])) for row in await cursor.fetchall()]


async def found(connection: AsyncConnection, ids: Sequence[TaskId]) -> list[FoundTask]:
    """Return what a list shows of these, newest first; what cannot be opened says why."""
    async with connection.cursor(row_factory=opened_row(FoundTask, LISTED)) as cursor:
        await cursor.execute(_SQL["list_found"], {"ids": ids} | owned_by(connection))
        return await cursor.fetchall()


def as_tsquery(text: str) -> str:
    """Return the query for all the words of a text; one without any finds nothing.

    >>> as_tsquery("timed out: db-1")
    'timed & out & db & 1:*'
    """
    words = _WORDS.findall(text)
    return " & ".join(words) + ":*" if words else ""
