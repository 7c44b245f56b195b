"""Dead letters and their replay, and the attempts behind them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.sealed import Place
from taskyard.core.shapes import shape
from taskyard.core.states import State
from taskyard.core.task import Task, TaskId
from taskyard.storage.opened import HISTORY, LISTED, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sql import queries
from taskyard.storage.task_pages import Page, read_page

GROUPED = 10_000  # the newest; folding their messages takes half a second

_SQL = queries("dead_letters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which dead letters are meant: what is None does not matter, `labels` is JSON text."""

    type: str | None = None
    pool: str | None = None
    state: State | None = None
    code: str | None = None
    labels: str | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonGroup:
    """Dead letters of one type that ended alike; `sample` is the youngest of them.

    `message` has its values folded: see message_shape in the migrations. `total` counts all dead
    letters that match, also those too many to be grouped.
    """

    type: str
    state: State
    code: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    sample: TaskId
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a task, and how it ended."""

    number: int
    generation: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None
    outcome: State
    reason: str | None
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A dead letter as it was looked at before a replay."""

    id: TaskId
    type: str
    args: dict[str, Any]
    priority: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay of one task changes: None leaves as it is, `args` is JSON text."""

    pool: str
    args: str | None
    priority: int | None


async def page(
    connection: AsyncConnection, wanted: Criteria, *, before: TaskId | None, limit: int
) -> Page:
    """Return dead letters, newest first, from just below the id `before`."""
    given = asdict(wanted) | {"before": before}
    return await read_page(connection, _SQL["list_dead_letters"], given, limit=limit)


async def groups(
    connection: AsyncConnection, wanted: Criteria, *, limit: int, newest: int = GROUPED
) -> list[ReasonGroup]:
    """Return up to `limit` reason groups of the newest dead letters, the largest first."""
    given = asdict(wanted) | {"newest": newest, "limit": limit} | owned_by(connection)
    async with connection.cursor(row_factory=opened_row(_group, HISTORY)) as cursor:
        await cursor.execute(_SQL["group_dead_letters"], given)
        return await cursor.fetchall()


def _group(
    *,
    id: TaskId,  # noqa: A002 -- the sample again, as the error belongs to it
    tenant: str,
    error: dict[str, Any] | None,
    **group: Any,
) -> ReasonGroup:
    if error is not None:
        group["message"] = shape(error["message"])
    return ReasonGroup(**group)


async def following(
    connection: AsyncConnection, wanted: Criteria, *, after: TaskId, limit: int
) -> list[Seen]:
    """Return up to `limit` dead letters above the id `after`, in order."""
    given = asdict(wanted) | {"after": after, "limit": limit} | owned_by(connection)
    async with connection.cursor(row_factory=opened_row(Seen, LISTED)) as cursor:
        await cursor.execute(_SQL["next_dead_letters"], given)
        return await cursor.fetchall()


async def count(
    connection: AsyncConnection, wanted: Criteria, *, after: TaskId, at_most: int
) -> int:
    """Count the dead letters above the id `after`, up to a bound."""
    given = asdict(wanted) | {"after": after, "at_most": at_most} | owned_by(connection)
    row = await (await connection.execute(_SQL["count_dead_letters"], given)).fetchone()
    return int(row[0]) if row else 0


async def replay_many(
    connection: AsyncConnection,
    these: Sequence[tuple[Seen, str]],
    *,
    offset: int,
    rate: float | None,
) -> int:
    """Replay these, each in the pool beside it, unless they have changed; return how many.

    They become due one after the other, `rate` a second, the first after `offset` others.
    """
    given = {
        "ids": [seen.id for seen, _ in these],
        "generations": [seen.generation for seen, _ in these],
        "pools": [pool for _, pool in these],
        "offset": offset,
        "rate": rate,
        **owned_by(connection),
    }
    cursor = await connection.execute(_SQL["replay_dead_letters"], given)
    return len(await cursor.fetchall())


async def replay(connection: AsyncConnection, seen: Task, change: Replay) -> bool:
    """Replay a task that is still as it was seen; return whether it was."""
    args = change.args
    if args is not None:
        args = connection.ring.seal(args, Place(seen.tenant, seen.id, "args"))
    given = asdict(change) | {
        "id": seen.id, "state": seen.state, "generation": seen.generation, "args": args,
    }  # fmt: skip
    given |= owned_by(connection)
    cursor = await connection.execute(_SQL["replay_task"], given)
    return await cursor.fetchone() is not None


async def attempts(connection: AsyncConnection, task_id: TaskId) -> list[Attempt]:
    """Return every attempt of a task, in order."""
    async with connection.cursor(row_factory=opened_row(Attempt, HISTORY)) as cursor:
        await cursor.execute(_SQL["list_attempts"], {"id": task_id} | owned_by(connection))
        return await cursor.fetchall()


def labels_text(labels: dict[str, str]) -> str | None:
    """Return labels as Criteria holds them."""
    return msgspec.json.encode(labels).decode() if labels else None
