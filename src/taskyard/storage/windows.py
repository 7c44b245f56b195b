"""The windows of the pools: what the broker holds of each, and who waits for room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from psycopg.rows import class_row

from taskyard.core.fairness import Line, Share, Waiting
from taskyard.core.principal import TenantId
from taskyard.core.trace import trace_of
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("windows")
_MOST_LINES = 1_000
_SHOWN_BEYOND = 1_000  # of what the broker holds beyond the largest window, to see it shrink


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A pool's window as the round before left it, and what the broker holds now."""

    consumers: int
    size: int
    filled: int
    rate: float
    virtual_time: float
    seconds: float
    queued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The heads of a pool's lines, and what their tenants have had.

    `after` is the tenant behind which the next round goes on, when there were too many for one.
    """

    lines: Sequence[Line]
    shares: Mapping[TenantId, Share]
    after: str


async def waiting_pools(connection: AsyncConnection) -> list[str]:
    """Return the pools in which something waits to be published."""
    return [row[0] for row in await (await connection.execute(_SQL["waiting_pools"])).fetchall()]


async def know(connection: AsyncConnection, pool: str, *, size: int) -> None:
    """Make a row for a pool that has none."""
    await connection.execute(_SQL["know_window"], {"pool": pool, "size": size})


async def take(connection: AsyncConnection, pool: str, *, largest: int) -> Taken | None:
    """Keep a pool's window until the transaction ends; None when another has it."""
    given = {"pool": pool, "most": largest + _SHOWN_BEYOND}
    async with connection.cursor(row_factory=class_row(Taken)) as cursor:
        await cursor.execute(_SQL["take_window"], given)
        return await cursor.fetchone()


async def read_lines(connection: AsyncConnection, pool: str, *, room: int, after: str) -> Lines:
    """Return the heads of lines, together about twice the room."""
    given = {"pool": pool, "room": room, "after": after, "lines": _MOST_LINES}
    rows = await (await connection.execute(_SQL["read_lines"], given)).fetchall()
    lines: list[Line] = []
    shares: dict[TenantId, Share] = {}
    for (tenant, level), tasks in groupby(rows, key=lambda row: (TenantId(row[0]), row[1])):
        found = list(tasks)
        weight, spent, idle, most = found[0][2:6]
        shares[tenant] = _share(weight, spent, idle)
        waiting = tuple(_waiting(row) for row in found if row[6] is not None)
        if waiting:  # else all of them are held by whoever stored them
            lines.append(Line(tenant=tenant, level=level, tasks=waiting, whole=len(waiting) < most))
    return Lines(lines=lines, shares=shares, after=_next(rows))


def _share(weight: float, spent: float | None, idle: float | None) -> Share:
    if spent is None or idle is None:
        return Share(weight=weight)
    return Share(weight=weight, spent=spent, idle=idle)


def _waiting(row: Sequence[Any]) -> Waiting:
    return Waiting(
        id=row[6],
        type=row[7],
        attempt=row[8],
        waited=max(0.0, row[9]),
        cost=_cost(row[10]),
        trace=trace_of(row[11], row[12]),
    )


def _cost(times_the_mean: float) -> float:
    return min(100.0, max(0.01, times_the_mean))


def _next(rows: Sequence[Sequence[Any]]) -> str:
    lines = {(row[0], row[1]) for row in rows}
    return max(lines)[0] if len(lines) >= _MOST_LINES else ""


async def keep(
    connection: AsyncConnection,
    pool: str,
    *,
    size: int,
    filled: int,
    rate: float,
    virtual_time: float,
) -> None:
    """End a round on a pool."""
    given = {
        "pool": pool, "size": size, "filled": filled, "rate": rate, "virtual_time": virtual_time,
    }  # fmt: skip
    await connection.execute(_SQL["keep_window"], given)


async def keep_shares(
    connection: AsyncConnection, pool: str, spent: Mapping[TenantId, float]
) -> None:
    """Remember what tenants have had of a pool."""
    given = {"pool": pool, "tenants": list(spent), "spent": list(spent.values())}
    await connection.execute(_SQL["keep_shares"], given)


async def forget_shares(connection: AsyncConnection) -> None:
    """Forget the tenants that have had nothing for a while."""
    await connection.execute(_SQL["forget_shares"])


async def rooms(
    connection: AsyncConnection, pools: Sequence[str], *, unknown: int
) -> dict[str, int]:
    """Return how much more the broker may hold of each pool; -1 where tasks wait for room."""
    given = {"pools": list(pools), "unknown": unknown, "lines": _MOST_LINES}
    return dict(await (await connection.execute(_SQL["read_rooms"], given)).fetchall())


async def count_consumers(
    connection: AsyncConnection, pool: str, consumers: int, *, size: int
) -> None:
    """Remember how many workers a pool has, and the window that goes with it."""
    await connection.execute(
        _SQL["count_consumers"], {"pool": pool, "consumers": consumers, "size": size}
    )
