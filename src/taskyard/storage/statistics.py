"""Statistics of what happened to tasks, and counts of what has not ended."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from taskyard.core.principal import TenantId
from taskyard.core.statistics import BOUNDS, Change, Durations
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("statistics")
_MOST_FORGOTTEN = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How often something happened in a pool to tasks of a type, and how long it took."""

    pool: str
    type: str
    change: Change
    count: int
    durations: Durations | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Total):
    """The same of one step of a time, which begins at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """Tasks of one pool, state and priority; the first of them is due, or runs, for `age` s."""

    pool: str
    state: str
    priority: int
    count: int
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A pool: its workers, its window, and what became of wake-ups (storage/reconciliation.py)."""

    pool: str
    consumers: int
    size: int
    lost: int
    repaired: int
    duplicated: int
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which statistics are asked for: steps in seconds, of a tenant's tasks or of all.

    `types` is a regular expression as `owned_by` has it.
    """

    since: datetime
    until: datetime
    step: float
    span: int
    tenant: TenantId | None
    types: str | None = None
    pool: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What happened in a step to tasks of a pool or type; what has no name is all the others."""

    at: datetime
    name: str | None
    change: Change
    count: int
    durations: Durations | None


async def count_changes(
    connection: AsyncConnection, *, until: int, every: float, most: int, reaped: str
) -> int | None:
    """Count the next changes, up to a position behind which some may be missing yet.

    `reaped` is what the error of a reaped attempt says. Returns how many positions it went on, or
    None when another dispatcher counts, or has a moment ago.
    """
    async with _taken(connection, "history", every) as after:
        if after is None:
            return None
        given: dict[str, Any] = {"after": after, "until": until, "most": most}
        row = await (await connection.execute(_SQL["last_of_slice"], given)).fetchone()
        if last := row[0] if row else None:
            given = {
                "after": after, "last": last, "reaped": reaped, "bounds": list(BOUNDS),
                "mirrored": [-bound for bound in reversed(BOUNDS)],
            }  # fmt: skip
            await connection.execute(_SQL["without_scans"])
            await connection.execute(_SQL["count_changes"], given)
        position = last or after
        given = {"purpose": "history", "position": position}
        await connection.execute(_SQL["keep_cursor"], given)
        return int(position - after)


async def count_backlog(connection: AsyncConnection, *, every: float) -> bool:
    """Count what has not ended; False when another dispatcher does, or has a moment ago."""
    async with _taken(connection, "backlog", every) as position:
        if position is None:
            return False
        await connection.execute(_SQL["without_scans"])
        await connection.execute(_SQL["count_backlog"])
        given = {"purpose": "backlog", "position": position}
        await connection.execute(_SQL["keep_cursor"], given)
        return True


@asynccontextmanager
async def _taken(
    connection: AsyncConnection, purpose: str, every: float
) -> AsyncIterator[int | None]:
    async with connection.transaction():
        given = {"purpose": purpose, "every": every}
        row = await (await connection.execute(_SQL["take_cursor"], given)).fetchone()
        yield None if row is None else int(row[0])


async def forget(connection: AsyncConnection) -> bool:
    """Remove statistics that are 90 days old; return whether there may be more."""
    given = {"limit": _MOST_FORGOTTEN}
    return (await connection.execute(_SQL["forget_statistics"], given)).rowcount == _MOST_FORGOTTEN


async def totals(connection: AsyncConnection) -> list[Total]:
    """Return what happened so far; the types come in the order in which they were first seen."""
    rows = await (await connection.execute(_SQL["read_totals"])).fetchall()
    return [
        Total(
            pool=row[0],
            type=row[1],
            change=Change(row[2]),
            count=row[3],
            durations=_durations(row[4], row[5]),
        )
        for row in rows
    ]


async def series(connection: AsyncConnection, asked: Asked, *, limit: int) -> list[Point]:
    """Return what happened, step by step; a step in which nothing happened is left out."""
    given = {name: getattr(asked, name) for name in Asked.__dataclass_fields__} | {"limit": limit}
    rows = await (await connection.execute(_SQL["read_series"], given)).fetchall()
    return [
        Point(
            at=row[0],
            pool=row[1],
            type=row[2],
            change=Change(row[3]),
            count=row[4],
            durations=_durations(row[5], row[6]),
        )
        for row in rows
    ]


async def chart(
    connection: AsyncConnection, asked: Asked, *, by_type: bool, most: int
) -> list[Sum]:
    """Return what happened in each step by pool or type: so many by name, all others as one."""
    given = {name: getattr(asked, name) for name in Asked.__dataclass_fields__}
    given |= {"by_type": by_type, "most": most}
    rows = await (await connection.execute(_SQL["read_chart"], given)).fetchall()
    return [
        Sum(
            at=row[0],
            name=row[1],
            change=Change(row[2]),
            count=row[3],
            durations=_durations(row[4], row[5]),
        )
        for row in rows
    ]


def _durations(seconds: float | None, buckets: Sequence[int] | None) -> Durations | None:
    if seconds is None or buckets is None:
        return None
    return Durations(seconds=seconds, buckets=tuple(buckets))


async def backlog(connection: AsyncConnection) -> list[Unended]:
    """Return what has not ended, as it was counted last."""
    async with connection.cursor(row_factory=class_row(Unended)) as cursor:
        await cursor.execute(_SQL["read_backlog"])
        return await cursor.fetchall()


async def standings(connection: AsyncConnection) -> list[Standing]:
    """Return how each pool stands."""
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(_SQL["read_standing"])
        return await cursor.fetchall()


async def lags(connection: AsyncConnection) -> dict[str, float]:
    """Return for how many seconds `history` and `backlog` were not counted any more."""
    return dict(await (await connection.execute(_SQL["read_lag"])).fetchall())
