"""The log of a task: the newest hundred lines that its attempts said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from taskyard.core.lease import Lease
from taskyard.core.task import TaskId
from taskyard.storage.pool import AsyncConnection, Cursor, owned_by
from taskyard.storage.sql import queries

_SQL = queries("task_logs")

MOST_LINES = 100  # as the statement keep_lines has it


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidLine:
    """A line that is to be kept: `age` in seconds, `offset` from the line kept before it all.

    `fields` is JSON text.
    """

    offset: int
    age: float
    text: str
    fields: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a task's log. Numbers that are missing were said, and dropped."""

    number: int
    at: datetime
    attempt: int
    text: str
    fields: dict[str, Any]


def keep(cursor: Cursor, lease: Lease, lines: Sequence[SaidLine]) -> None:
    """Add lines to the log of the task, unless the lease is gone."""
    given = {
        "id": lease.id,
        "token": lease.token,
        "attempt": lease.attempt,
        "offsets": [line.offset for line in lines],
        "ages": [line.age for line in lines],
        "texts": [line.text for line in lines],
        "fields": [line.fields for line in lines],
    }
    cursor.execute(_SQL["keep_lines"], given)


async def lines_after(connection: AsyncConnection, task_id: TaskId, after: int) -> list[LogLine]:
    """Return the lines of a task behind a number, in order."""
    async with connection.cursor(row_factory=class_row(LogLine)) as cursor:
        given = {"id": task_id, "after": after} | owned_by(connection)
        await cursor.execute(_SQL["list_lines"], given)
        return await cursor.fetchall()
