"""What the database knows when it is asked why a task is not running."""

from datetime import datetime

from psycopg.rows import class_row

from taskyard.core.circumstances import Counts, TaskFacts
from taskyard.core.limits import Limit
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.core.window import LARGEST
from taskyard.storage.failures import told_failure
from taskyard.storage.opened import opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sql import queries

_SQL = queries("why")


async def task_facts(connection: AsyncConnection, task_id: TaskId) -> TaskFacts | None:
    """Return what is known of one task of the owner, or None."""
    async with connection.cursor(row_factory=opened_row(_facts, {"error": told_failure})) as cursor:
        await cursor.execute(_SQL["read_task"], {"id": task_id} | owned_by(connection))
        return await cursor.fetchone()


def _facts(*, state: str, tenant: str, **more: object) -> TaskFacts:
    return TaskFacts(state=State(state), **more)  # type: ignore[arg-type]


async def pool_counts(connection: AsyncConnection, pool: str, task_type: str) -> Counts:
    """Return what runs of a pool and is with the broker."""
    given = {"pool": pool, "type": task_type, "most": LARGEST}
    async with connection.cursor(row_factory=class_row(Counts)) as cursor:
        await cursor.execute(_SQL["count_pool"], given)
        return await cursor.fetchone() or Counts()


async def next_opening(connection: AsyncConnection, limit: Limit) -> datetime | None:
    """Return when the rate of a limit that is used up allows another start."""
    if limit.rate is None:
        return None
    given = {"name": limit.name, "seconds": limit.rate.seconds, "most": limit.rate.count}
    row = await (await connection.execute(_SQL["next_opening"], given)).fetchone()
    return row[0] if row else None
