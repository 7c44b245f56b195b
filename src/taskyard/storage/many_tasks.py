"""Many tasks at once: which ones are meant, and what is done to some of them in one statement."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import msgspec

from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.storage.dead_letters import Seen
from taskyard.storage.opened import LISTED, opened_row
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed, owned_by, types_of
from taskyard.storage.sql import queries
from taskyard.storage.task_search import Search, as_tsquery

_SQL = queries("many_tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Tasks that were found, the oldest first, each with the state it had then.

    `looked_at` is when that was, None if there were none.
    """

    tasks: tuple[tuple[TaskId, State], ...]
    looked_at: datetime | None

    def ids(self, limit: int) -> tuple[TaskId, ...]:
        """Return the ids of the first ones."""
        return tuple(task_id for task_id, _ in self.tasks[:limit])


async def select(
    pool: OwnPool,
    search: Search,
    *,
    states: Collection[State],
    other_than: int | None = None,
    limit: int,
) -> Selected:
    """Return up to `limit` tasks in one of the states, none with the priority `other_than`."""
    given = asdict(search) | {
        "labels": msgspec.json.encode(search.labels).decode() if search.labels else None,
        "error": None if search.error is None else as_tsquery(search.error),
        "states": list(states),
        "other_than": other_than,
        "limit": limit,
        "tenant": pool.owner.tenant,
        "types": types_of(pool.owner),
    }
    name = "select_tasks" if search.error is None else "select_by_error"
    async with borrowed(pool.pool) as connection:
        cursor = await connection.execute(_SQL[name], given, prepare=False)
        rows = await cursor.fetchall()
    return Selected(
        tasks=tuple((row[0], State(row[1])) for row in rows),
        looked_at=rows[0][2] if rows else None,
    )


async def cancel(
    connection: AsyncConnection, ids: Sequence[TaskId], reason: str
) -> tuple[int, int]:
    """Cancel what has not started, ask what runs to stop; return how many of each."""
    given = {"ids": list(ids), "reason": reason} | owned_by(connection)
    row = await (await connection.execute(_SQL["cancel_these"], given)).fetchone()
    assert row is not None
    return row[0], row[1]


async def reprioritise(
    connection: AsyncConnection, ids: Sequence[TaskId], priority: int
) -> tuple[int, list[WakeUp]]:
    """Give those that wait another priority; return how many, and those the broker knows of."""
    given = {"ids": list(ids), "priority": priority} | owned_by(connection)
    rows = await (await connection.execute(_SQL["reprioritise_these"], given)).fetchall()
    queued = [
        WakeUp(id=task_id, type=task_type, priority=priority, attempt=attempt)
        for task_id, task_type, attempt, state in rows
        if state == State.QUEUED
    ]
    return len(rows), queued


async def look_at(connection: AsyncConnection, ids: Sequence[TaskId]) -> list[Seen]:
    """Return those of these that may be replayed, the oldest first."""
    given = {"ids": list(ids)} | owned_by(connection)
    async with connection.cursor(row_factory=opened_row(Seen, LISTED)) as cursor:
        await cursor.execute(_SQL["look_at_these"], given)
        return await cursor.fetchall()
