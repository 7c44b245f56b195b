"""Pauses: pools of which nothing is dispatched or claimed for a while."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("pauses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Since when a pool is paused, and why, if somebody said so."""

    pool: str
    since: datetime
    reason: str | None


async def pause(connection: AsyncConnection, pool: str, *, reason: str | None) -> bool:
    """Pause a pool; return False when it was paused already."""
    given = {"pool": pool, "reason": reason}
    return await (await connection.execute(_SQL["pause"], given)).fetchone() is not None


async def resume(connection: AsyncConnection, pool: str) -> bool:
    """Resume a pool; return False when it was not paused."""
    return await (await connection.execute(_SQL["resume"], {"pool": pool})).fetchone() is not None


async def pauses(connection: AsyncConnection) -> dict[str, Pause]:
    """Return the pauses by their pools."""
    async with connection.cursor(row_factory=class_row(Pause)) as cursor:
        await cursor.execute(_SQL["read_pauses"])
        return {each.pool: each for each in await cursor.fetchall()}
