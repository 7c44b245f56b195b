"""Removing what has been kept long enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from psycopg.rows import class_row

from taskyard.core.task import TaskId
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("retention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A task that is still there: `ended_for` is in seconds, None until it has ended."""

    id: TaskId
    type: str
    ended_for: float | None


async def look(
    connection: AsyncConnection, *, after: TaskId, before: TaskId, limit: int
) -> list[Kept]:
    """Return the next tasks between two ids, in their order."""
    given = {"after": after, "before": before, "limit": limit}
    async with connection.cursor(row_factory=class_row(Kept)) as cursor:
        await cursor.execute(_SQL["look"], given)
        return await cursor.fetchall()


async def remove(connection: AsyncConnection, due: Mapping[TaskId, timedelta]) -> int:
    """Remove those tasks whose retention is over, with their history; return how many."""
    retentions = [retention.total_seconds() for retention in due.values()]
    cursor = await connection.execute(_SQL["remove"], {"ids": [*due], "retentions": retentions})
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])
