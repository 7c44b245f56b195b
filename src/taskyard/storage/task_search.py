"""The search for tasks among many."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from taskyard.core.retention import first_id_at
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.storage.opened import LISTED, opened_row
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed, owned_by, types_of
from taskyard.storage.sql import queries

_SQL = queries("task_search")
_WORDS = re.compile(r"[^\W_]+")
_FEW = 2_000  # to put more in order takes longer than to read the newest (measured)
_MOST_KINDS = 500  # of a tenant with more the newest tasks of all are read: 20 us each (measured)
# An id is made shortly before its row, by the clock of another machine.
_DRIFT = timedelta(minutes=5)

Found = tuple[TaskId, State]
_Kinds = list[tuple[str, str]]  # pool and type


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
    given = (
        asdict(search)
        | _bounds(search)
        | {
            "labels": msgspec.json.encode(search.labels).decode() if search.labels else None,
            "error": None if search.error is None else as_tsquery(search.error),
            "before": before,
            "limit": limit,
            "tenant": pool.owner.tenant,
            "types": types_of(pool.owner),
        }
    )
    # In front of the wall: behind it (row level security) Postgres asks no index for a label or a
    # word, because these operators might tell of rows that the policy hides.
    async with borrowed(pool.pool) as connection:
        if search.error is not None:
            return await _by_error(connection, given)
        if search.type or search.pool or given["types"]:
            return await _by_kind(connection, given)
        return await _ids(connection, "find_tasks", given)


def _bounds(search: Search) -> dict[str, TaskId | None]:
    """Bound the ids by the times as well: there is an index for them, and none for times."""
    first, last = search.first, search.last
    if search.created_after is not None:
        earliest = first_id_at(search.created_after - _DRIFT)
        first = earliest if first is None else max(first, earliest)
    if search.created_before is not None:
        latest = first_id_at(search.created_before + _DRIFT)
        last = latest if last is None else min(last, latest)
    return {"first": first, "last": last}


async def _by_kind(connection: AsyncConnection, given: dict[str, Any]) -> list[Found]:
    """Look into the tasks of each kind that is meant: few of a million are found as soon as many.

    Which kinds there are is read from the index, so one that no task has costs next to nothing.
    """
    kinds = await _kinds(connection, given)
    if len(kinds) > _MOST_KINDS:
        return await _ids(connection, "find_tasks", given)
    pools, of_types = [pool for pool, _ in kinds], [of_type for _, of_type in kinds]
    return await _ids(connection, "find_of_kinds", given | {"pools": pools, "of_types": of_types})


async def _kinds(connection: AsyncConnection, given: dict[str, Any]) -> _Kinds:
    if given["type"] and given["types"] and not re.search(given["types"], f"{given['type']}."):
        return []
    pools = [row[0] for row in await _rows(connection, "pools", given)]
    if given["type"]:
        return [(pool, given["type"]) for pool in pools]
    return await _rows(connection, "kinds", given | {"pools": pools, "most": _MOST_KINDS + 1})


async def _rows(connection: AsyncConnection, name: str, given: dict[str, Any]) -> list[Any]:
    return await (await connection.execute(_SQL[name], given, prepare=False)).fetchall()


async def _by_error(connection: AsyncConnection, given: dict[str, Any]) -> list[Found]:
    rows = await _rows(connection, "find_by_error", given | {"few": _FEW})
    if rows and rows[0][2] == _FEW:
        return await _ids(connection, "find_newest_by_error", given)
    return [(row[0], State(row[1])) for row in rows]


async def _ids(connection: AsyncConnection, name: str, given: dict[str, Any]) -> list[Found]:
    return [(row[0], State(row[1])) for row in await _rows(connection, name, given)]


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
