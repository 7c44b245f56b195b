"""Feasible: whether a task can be done by the date that its caller needs it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from taskyard.core.errors import Fault, NotFeasible
from taskyard.core.pace import Forecast, end_of, start_of
from taskyard.core.routing import HIGHEST_PRIORITY, RoutingTable
from taskyard.core.task import NewTask
from taskyard.services.place import pace_of
from taskyard.storage import run_times
from taskyard.storage.pool import Pool, borrowed
from taskyard.storage.run_times import Measured

_AT_ONCE = Forecast(p50=0.0, p90=0.0)
_TOLD_LATER = timedelta(seconds=1)  # who asks for the earliest time needs a moment to do so


async def require_feasible(
    connections: Pool, task: NewTask, *, table: RoutingTable, now: datetime
) -> NewTask:
    """Return a task with the time by which it must start to be done by its `finish_by`.

    Nine of ten that are let in should be done by then, if nobody more urgent comes. It may rise to
    the highest priority on its way, so that is what it is judged by. Raises NotFeasible with the
    earliest time. Where nothing has run yet nobody can tell, and it is let in.
    """
    if task.finish_by is None:
        return task
    async with borrowed(connections) as connection:
        measured = await run_times.pace(connection, task.pool, task.type)
        ahead = await run_times.count_ahead(
            connection, task.pool, tenant=task.tenant, level=HIGHEST_PRIORITY
        )
    pool = table.pools.get(task.pool)
    pace = pace_of(pool, measured) if pool and measured else None
    if pace is None or measured is None:
        return replace(task, start_by=task.finish_by)
    run = _run(measured)
    end = end_of(start_of(pace, ahead=ahead), mean=run.p50, variance=_variance(measured))
    earliest = _due(task, now) + timedelta(seconds=end.p90)
    if earliest > task.finish_by:
        raise _not_feasible(earliest)
    return replace(task, start_by=task.finish_by - timedelta(seconds=run.p90))


def _run(measured: Measured) -> Forecast:
    """Return how long it runs: as its type does, or the pool while the type is new."""
    mean = measured.run_mean if measured.type_mean is None else measured.type_mean
    return end_of(_AT_ONCE, mean=mean or 0.0, variance=_variance(measured))


def _variance(measured: Measured) -> float:
    if measured.type_variance is None:
        return measured.run_variance or 0.0
    return measured.type_variance


def _due(task: NewTask, now: datetime) -> datetime:
    return max(now, task.run_at or now) + timedelta(seconds=task.delay or 0.0)


def _not_feasible(earliest: datetime) -> NotFeasible:
    told = f"{(earliest + _TOLD_LATER).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    fault = Fault("/finish_by", f"the earliest feasible time is {told}")
    return NotFeasible(f"it would be done by {told} at the earliest", faults=(fault,))
