"""The ledger of what the reconciler found: lost, repaired and duplicated wake-ups of each pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from taskyard.core.wakeup import WakeUp
from taskyard.storage.pool import AsyncConnection, Cursor
from taskyard.storage.sql import queries

_SQL = queries("reconciliation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What was found in a pool so far, as numbers of wake-ups.

    `lost` were confirmed by the broker and gone, `repaired` were published again, `duplicated` came
    to a worker that found nothing to claim.
    """

    pool: str
    checked_at: datetime
    lost: int
    repaired: int
    duplicated: int


async def take_checks(
    connection: AsyncConnection, pools: Sequence[str], *, every: float
) -> dict[str, int]:
    """Take the pools whose check is due; return what each was suspected to lack."""
    await connection.execute(_SQL["know_pools"], {"pools": list(pools)})
    given = {"pools": list(pools), "every": every}
    return dict(await (await connection.execute(_SQL["take_checks"], given)).fetchall())


async def count_overdue(
    connection: AsyncConnection, pool: str, *, older_than: float, at_most: int
) -> int:
    """Count, up to a bound, what was confirmed `older_than` seconds ago and nobody has claimed."""
    given = {"pool": pool, "older_than": older_than, "at_most": at_most}
    row = await (await connection.execute(_SQL["count_overdue"], given)).fetchone()
    return row[0] if row else 0


async def take_overdue(
    connection: AsyncConnection, pool: str, *, older_than: float, limit: int
) -> list[WakeUp]:
    """Take the oldest of them to publish again."""
    given = {"pool": pool, "older_than": older_than, "limit": limit}
    rows = await (await connection.execute(_SQL["take_overdue"], given)).fetchall()
    return [WakeUp(id=row[0], type=row[1], priority=row[2]) for row in rows]


async def suspect(connection: AsyncConnection, pool: str, suspected: int) -> None:
    """Remember what was missing at this check."""
    await connection.execute(_SQL["suspect"], {"pool": pool, "suspected": suspected})


async def count_repairs(
    connection: AsyncConnection, pool: str, *, lost: int, repaired: int
) -> None:
    """Add to the numbers of a pool."""
    given = {"pool": pool, "lost": lost, "repaired": repaired}
    await connection.execute(_SQL["count_repairs"], given)


async def read(connection: AsyncConnection) -> dict[str, Reckoning]:
    """Return the numbers of every pool that was checked."""
    async with connection.cursor(row_factory=class_row(Reckoning)) as cursor:
        await cursor.execute(_SQL["read_reconciliation"])
        return {found.pool: found for found in await cursor.fetchall()}


def is_work_waiting(cursor: Cursor, pool: str, *, longer_than: float) -> bool:
    """Return whether work of the pool was confirmed so many seconds ago, unclaimed. Blocking."""
    given = {"pool": pool, "older_than": longer_than, "at_most": 1}
    row = cursor.execute(_SQL["count_overdue"], given).fetchone()
    return row is not None and row[0] > 0


def count_duplicate(cursor: Cursor, pool: str) -> None:
    """Count a wake-up for which a worker found nothing to claim. Blocking."""
    cursor.execute(_SQL["count_duplicate"], {"pool": pool})
