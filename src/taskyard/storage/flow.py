"""What came lately, for whoever has not looked before."""

from dataclasses import dataclass

from psycopg.rows import class_row

from taskyard.core.statistics import Change, Durations
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("flow")
_MOST_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Events:
    """Events in a second, and tasks made of them."""

    events: float = 0.0
    tasks: float = 0.0


@dataclass(frozen=True, slots=True)
class Counted:
    """How often something happened in a pool within so many seconds."""

    pool: str
    change: Change
    count: float
    seconds: float


async def events_lately(connection: AsyncConnection, *, seconds: float) -> Events:
    """Return the events that came lately."""
    given = {"seconds": seconds, "most": _MOST_EVENTS}
    async with connection.cursor(row_factory=class_row(Events)) as cursor:
        await cursor.execute(_SQL["events_lately"], given)
        return await cursor.fetchone() or Events()


async def counts_lately(connection: AsyncConnection) -> list[Counted]:
    """Return what was counted in this minute and the one before."""
    rows = await (await connection.execute(_SQL["counts_lately"])).fetchall()
    return [Counted(row[0], Change(row[1]), row[2], row[3]) for row in rows]


@dataclass(frozen=True, slots=True)
class HourOfPool:
    """How often something happened in a pool within an hour, and how long it took."""

    pool: str
    change: Change
    count: int
    durations: Durations | None


async def hour_by_pool(connection: AsyncConnection) -> list[HourOfPool]:
    """Return what was counted in the last hour, of all tenants."""
    rows = await (await connection.execute(_SQL["hour_by_pool"])).fetchall()
    return [
        HourOfPool(row[0], Change(row[1]), row[2], Durations(seconds=row[3], buckets=tuple(row[4])))
        if row[4] is not None
        else HourOfPool(row[0], Change(row[1]), row[2], None)
        for row in rows
    ]
