"""Tasks whose end somebody waits for."""

from collections.abc import Sequence
from typing import Any

from taskyard.core.task import Task, TaskId
from taskyard.storage import tasks
from taskyard.storage.opened import ENDED, UNREADABLE, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sql import queries

_SQL = queries("waiting")


async def watch(connection: AsyncConnection, task_id: TaskId) -> Task | None:
    """Have the end of a task notified from now on; return it as it stands, or None."""
    await connection.execute(_SQL["watch"], {"id": task_id} | owned_by(connection))
    # Read after the mark: an end that came before it was not notified, but is seen here.
    return await tasks.get(connection, task_id)


async def find_ended(
    connection: AsyncConnection, ids: Sequence[TaskId]
) -> dict[TaskId, Task | None]:
    """Return those of the tasks that have ended; None for one that cannot be read."""
    async with connection.cursor(row_factory=opened_row(_readable, ENDED)) as cursor:
        await cursor.execute(_SQL["find_ended"], {"ids": list(ids)})
        return dict(await cursor.fetchall())


def _readable(**row: Any) -> tuple[TaskId, Task | None]:
    can_be_read = UNREADABLE not in (row["args"], row["result"])
    return row["id"], Task(**row) if can_be_read else None
