"""Statistics: what happened to tasks, counted minute by minute, and what has not ended.

They are counted from the history, each change once, in the transaction that moves the cursor: so
they are right after any restart, and tasks may be removed once they have been counted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.services.follow import Watermark
from taskyard.services.reap import LOST
from taskyard.storage import statistics
from taskyard.storage.pool import AsyncConnection, OwnPool, Pool, borrowed, owned_by
from taskyard.storage.statistics import Asked, Point, Standing, Total, Unended

COUNT_EVERY = 1.0  # seconds
KEPT = timedelta(days=90)
MOST_STEPS = 2_000
_MOST_ROWS = 20_000
_CHANGES_AT_ONCE = 5_000
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole yard as it stands; `lags` are in seconds."""

    totals: list[Total]
    backlog: list[Unended]
    standings: list[Standing]
    lags: dict[str, float]


class Counter:
    """Counts the history. Any number may: one at a time does."""

    def __init__(self, pool: Pool, *, every: float = COUNT_EVERY) -> None:
        self._pool = pool
        self._every = every
        self._watermark = Watermark()
        self._behind = False

    async def count(self) -> bool:
        """Count what is complete; return whether there is more. Raises StorageUnavailable."""
        async with borrowed(self._pool) as connection:
            await self._watermark.rise(connection)
            moved = await statistics.count_changes(
                connection,
                until=self._watermark.position,
                # Who is behind goes on at once.
                every=0.0 if self._behind else self._every,
                most=_CHANGES_AT_ONCE,
                reaped=LOST.message,
            )
            await self._watermark.aim(connection)
        self._behind = moved is not None and moved >= _CHANGES_AT_ONCE
        return self._behind


async def count_backlog(pool: Pool, *, every: float = COUNT_EVERY) -> None:
    """Count what has not ended. Raises StorageUnavailable."""
    async with borrowed(pool) as connection:
        await statistics.count_backlog(connection, every=every)


async def forget_statistics(pool: Pool) -> None:
    """Remove what is older than 90 days. Raises StorageUnavailable."""
    async with borrowed(pool) as connection:
        while await statistics.forget(connection):
            pass


async def snapshot(connection: AsyncConnection) -> Snapshot:
    """Return the whole yard as it stands."""
    return Snapshot(
        totals=await statistics.totals(connection),
        backlog=await statistics.backlog(connection),
        standings=await statistics.standings(connection),
        lags=await statistics.lags(connection),
    )


async def series(
    pool: Pool | OwnPool,
    *,
    since: datetime,
    until: datetime,
    step: timedelta,
    of_pool: str | None = None,
    of_type: str | None = None,
) -> list[Point]:
    """Return what happened in a time, step by step: to the tasks of one owner, or to all.

    Whole steps are counted from the epoch; those with nothing in them are left out. From hours on,
    sums of hours are read. Raises InvalidRequest with every fault, and StorageUnavailable.
    """
    if faults := _faults(since, until, step):
        raise InvalidRequest("the query has invalid parameters", faults=tuple(faults))
    whole = step % _HOUR == timedelta(0)
    async with borrowed(pool) as connection:
        owner = owned_by(connection) if isinstance(pool, OwnPool) else {"tenant": None}
        asked = Asked(
            since=_floor(since, step),
            until=until,
            step=step.total_seconds(),
            span=60 if whole else 1,
            pool=of_pool,
            type=of_type,
            **owner,
        )
        found = await statistics.series(connection, asked, limit=_MOST_ROWS + 1)
    if len(found) > _MOST_ROWS:
        what = f"gives more than {_MOST_ROWS} rows; take a longer one, or name a pool or a type"
        raise InvalidRequest("the answer is too large", faults=(Fault("?step", what),))
    return found


def _faults(since: datetime, until: datetime, step: timedelta) -> list[Fault]:
    if step % _MINUTE:
        return [Fault("?step", "must be whole minutes, such as 1m, 15m or 1h")]
    if not since < until:
        return [Fault("?from", "is not before `to`")]
    if (until - since) / step > MOST_STEPS:
        return [Fault("?step", f"makes more than {MOST_STEPS} steps; take a longer one")]
    return []


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - timedelta(seconds=at.timestamp() % step.total_seconds())
