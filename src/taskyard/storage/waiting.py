"""Tasks whose end somebody waits for."""

from collections.abc import Sequence

from taskyard.core.task import Task, TaskId
from taskyard.storage import tasks
from taskyard.storage.opened import opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sql import queries

_SQL = queries("waiting")


async def watch(connection: AsyncConnection, task_id: TaskId) -> Task | None:
    """Have the end of a task notified from now on; return it as it stands, or None."""
    await connection.execute(_SQL["watch"], {"id": task_id} | owned_by(connection))
    # Read after the mark: an end that came before it was not notified, but is seen here.
    return await tasks.get(connection, task_id)


async def find_ended(connection: AsyncConnection, ids: Sequence[TaskId]) -> list[Task]:
    """Return those of the tasks that have ended."""
    async with connection.cursor(row_factory=opened_row(Task)) as cursor:
        await cursor.execute(_SQL["find_ended"], {"ids": list(ids)})
        return await cursor.fetchall()
