"""Workers: who lives, what they run, and who was asked to leave."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from taskyard.storage.overview import RunningAttempt
from taskyard.storage.pool import AsyncConnection, Cursor, owned_by
from taskyard.storage.sql import queries

_SQL = queries("workers")
_GONE_AFTER = 20.0  # seconds: three heartbeats were missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that was seen lately; `drain_requested_at` is since when it is to leave."""

    name: str
    pool: str
    slots: int
    started_at: datetime
    seen_at: datetime
    drain_requested_at: datetime | None
    running: int


def say_alive(cursor: Cursor, name: str, *, pool: str, slots: int) -> bool:
    """Say that a worker lives; return whether it was asked to leave."""
    given = {"name": name, "pool": pool, "slots": slots}
    row = cursor.execute(_SQL["say_alive"], given).fetchone()
    return row is not None and bool(row[0])


def say_farewell(cursor: Cursor, name: str) -> None:
    """Say that a worker has left."""
    cursor.execute(_SQL["say_farewell"], {"name": name})


async def request_drain(connection: AsyncConnection, name: str) -> bool:
    """Ask a worker to leave; return False when it is not there."""
    given = {"name": name, "gone_after": _GONE_AFTER}
    found = await connection.execute(_SQL["request_drain"], given)
    return await found.fetchone() is not None


async def workers(connection: AsyncConnection, pool: str | None = None) -> list[Worker]:
    """Return the workers of a pool, or of all, that were seen lately."""
    given = {"pool": pool, "gone_after": _GONE_AFTER}
    async with connection.cursor(row_factory=class_row(Worker)) as cursor:
        await cursor.execute(_SQL["list_workers"], given)
        return await cursor.fetchall()


async def running(connection: AsyncConnection, pool: str, *, limit: int) -> list[RunningAttempt]:
    """Return what runs of a pool for an owner, the longest first."""
    given = {"pool": pool, "limit": limit} | owned_by(connection)
    async with connection.cursor(row_factory=class_row(RunningAttempt)) as cursor:
        await cursor.execute(_SQL["list_running"], given)
        return await cursor.fetchall()


async def forget_workers(connection: AsyncConnection) -> None:
    """Remove who went without a word."""
    await connection.execute(_SQL["forget_workers"])
