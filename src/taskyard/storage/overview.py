"""What waits, runs and began lately, in all pools."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("overview")
_MOST_COUNTED = 10_000
_MOST_SAMPLED = 2_000  # changes in the history
_SAMPLED_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCounts:
    """Tasks of a pool: those that wait for their turn, are with the broker, and run."""

    pool: str
    window: int | None
    waiting: int
    held: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Attempts that began lately: how many in a second, and the seconds they had been due."""

    rate: float = 0.0
    wait_p50: float | None = None
    wait_p90: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAttempt:
    """An attempt that runs, for so many seconds; `fraction` is how far it says it is."""

    id: UUID
    tenant: str
    type: str
    pool: str
    worker: str | None
    attempt: int
    seconds: float
    fraction: float | None


async def counts(connection: AsyncConnection, pools: Sequence[str]) -> dict[str, PoolCounts]:
    """Return what every pool has."""
    async with connection.cursor(row_factory=class_row(PoolCounts)) as cursor:
        await cursor.execute(_SQL["read_pools"], {"pools": list(pools), "most": _MOST_COUNTED})
        return {each.pool: each for each in await cursor.fetchall()}


async def starts(connection: AsyncConnection) -> dict[str, Starts]:
    """Return what began in each pool within the last ten seconds."""
    given = {"most": _MOST_SAMPLED, "seconds": _SAMPLED_SECONDS}
    rows = await (await connection.execute(_SQL["sample_starts"], given)).fetchall()
    found = {}
    for pool, rate, waits in rows:
        p50, p90 = waits or (None, None)
        found[pool] = Starts(rate=rate, wait_p50=p50, wait_p90=p90)
    return found


async def longest_running(connection: AsyncConnection, *, limit: int) -> list[RunningAttempt]:
    """Return the attempts that have run longest."""
    async with connection.cursor(row_factory=class_row(RunningAttempt)) as cursor:
        await cursor.execute(_SQL["longest_running"], {"limit": limit})
        return await cursor.fetchall()
