"""Place: how many go before a task that waits, and when it may start."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from taskyard.core.pace import Forecast, Pace, start_of
from taskyard.core.principal import TenantId
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.states import State
from taskyard.core.task import Task
from taskyard.storage import run_times
from taskyard.storage.pool import AsyncConnection, borrowed
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.run_times import Measured

# A task that waits for less is not worth the counting: readers of an empty system ask often.
_TOLD_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a task stands: how many go before it, and the seconds until it may start, if known."""

    ahead: int
    start: Forecast | None


async def place_of(
    connections: ConnectionPool, task: Task, *, tenant: TenantId, table: RoutingTable, now: datetime
) -> Place | None:
    """Return the place of a task that waits; None for others, and for the first second."""
    pool = table.pools.get(task.pool)
    if pool is None or task.state not in _WAITING or now - task.due_at < _TOLD_AFTER:
        return None
    async with borrowed(connections) as connection:
        if task.state == State.QUEUED and task.queued_at is not None:
            ahead = await run_times.count_queued_before(
                connection, pool.name, level=task.priority, since=task.queued_at
            )
        else:
            ahead = await run_times.count_ahead(
                connection,
                pool.name,
                tenant=tenant,
                level=task.priority,
                since=task.due_at,
                task_id=task.id,
            )
        return await _place(connection, pool, task.type, ahead)


_WAITING = frozenset({State.PENDING, State.QUEUED})


async def next_place(
    connection: AsyncConnection, pool: Pool, task_type: str, *, tenant: TenantId, priority: int
) -> Place:
    """Return the place that a task would have which is submitted now."""
    ahead = await run_times.count_ahead(connection, pool.name, tenant=tenant, level=priority)
    return await _place(connection, pool, task_type, ahead)


async def _place(connection: AsyncConnection, pool: Pool, task_type: str, ahead: int) -> Place:
    measured = await run_times.pace(connection, pool.name, task_type)
    pace = pace_of(pool, measured) if measured else None
    return Place(ahead=ahead, start=start_of(pace, ahead=ahead) if pace else None)


def pace_of(pool: Pool, measured: Measured) -> Pace | None:
    """Return the pace of a pool; None when nothing ran yet, or nobody is there to run it."""
    slots = measured.consumers * pool.concurrency
    if not slots or measured.run_mean is None or measured.run_variance is None:
        return None
    return Pace(
        slots=slots,
        running=measured.running,
        mean=measured.run_mean,
        variance=measured.run_variance,
    )
