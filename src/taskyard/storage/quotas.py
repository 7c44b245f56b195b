"""Buckets of tenants, what they hold, and their own limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row

from taskyard.core.principal import TenantId
from taskyard.core.quotas import Drawn, Quota
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("quotas")
# The bucket was closed between two statements: whoever asks again finds it.
_NOTHING = Drawn(granted=0, tokens=0, in_flight=None, queued=None, stored=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantStatus:
    """A tenant, its own limits as they are written, and what it holds; None is not counted."""

    name: TenantId
    weight: float
    limits: dict[str, Any]
    created_at: datetime
    in_flight: int | None
    queued: int | None
    stored: int | None
    counted_at: datetime | None


async def draw(
    connection: AsyncConnection, tenant: TenantId, quota: Quota, *, wanted: int, spent: int
) -> Drawn:
    """Draw up to `wanted` tasks; `spent` are the bytes of those submitted since the last draw.

    A tenant without a bucket gets one; what it has already is counted first.
    """
    if (drawn := await _draw(connection, tenant, quota, wanted, spent)) is not None:
        return drawn
    await _open_bucket(connection, tenant, quota)
    return await _draw(connection, tenant, quota, wanted, spent) or _NOTHING


async def reserve(
    connection: AsyncConnection,
    tenant: TenantId,
    quota: Quota,
    *,
    wanted: int,
    at_least: int,
    size: int,
) -> Drawn:
    """Take room for up to `wanted` tasks of `size` bytes together, or for none if not `at_least`.

    A tenant without a bucket gets one, as in `draw`.
    """
    if (drawn := await _reserve(connection, tenant, quota, wanted, at_least, size)) is not None:
        return drawn
    await _open_bucket(connection, tenant, quota)
    return await _reserve(connection, tenant, quota, wanted, at_least, size) or _NOTHING


async def _open_bucket(connection: AsyncConnection, tenant: TenantId, quota: Quota) -> None:
    given = {"tenant": tenant, "count": quota.rate.count if quota.rate else None}
    await connection.execute(_SQL["open_bucket"], given)
    await count(connection, [tenant])
    if quota.stored is not None:
        await weigh(connection, tenant)


async def _reserve(
    connection: AsyncConnection,
    tenant: TenantId,
    quota: Quota,
    wanted: int,
    at_least: int,
    size: int,
) -> Drawn | None:
    given = {
        "tenant": tenant,
        "wanted": wanted,
        "at_least": at_least,
        "bytes": size,
        "queued": quota.queued,
        "in_flight": quota.in_flight,
        "stored": quota.stored,
    }
    row = await (await connection.execute(_SQL["reserve"], given)).fetchone()
    if row is None:
        return None
    return Drawn(granted=row[0], tokens=None, in_flight=row[1], queued=row[2], stored=row[3])


async def _draw(
    connection: AsyncConnection, tenant: TenantId, quota: Quota, wanted: int, spent: int
) -> Drawn | None:
    given = {
        "tenant": tenant,
        "wanted": wanted,
        "bytes": spent,
        "count": quota.rate.count if quota.rate else None,
        "seconds": quota.rate.seconds if quota.rate else None,
        "queued": quota.queued,
        "in_flight": quota.in_flight,
        "stored": quota.stored,
    }
    row = await (await connection.execute(_SQL["draw"], given)).fetchone()
    if row is None:
        return None
    return Drawn(granted=row[0], tokens=row[1], in_flight=row[2], queued=row[3], stored=row[4])


async def count(connection: AsyncConnection, tenants: Sequence[TenantId] | None = None) -> None:
    """Count what has not ended, of some tenants or of all that have a bucket."""
    await connection.execute(_SQL["count_usage"], {"tenants": tenants})


async def weigh(connection: AsyncConnection, tenant: TenantId) -> None:
    """Sum up the bytes that a tenant's tasks take up. Reads all of them: call it seldom."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(_SQL["weigh_usage"], {"tenant": tenant})


async def buckets(connection: AsyncConnection) -> dict[TenantId, dict[str, Any]]:
    """Return the tenants whose tasks are counted, with their own limits."""
    return dict(await (await connection.execute(_SQL["list_buckets"])).fetchall())


async def close_bucket(connection: AsyncConnection, tenant: TenantId) -> None:
    """Count a tenant no more."""
    await connection.execute(_SQL["close_bucket"], {"tenant": tenant})


async def own_limits(connection: AsyncConnection) -> dict[TenantId, dict[str, Any]]:
    """Return the limits of those tenants that have some of their own."""
    return dict(await (await connection.execute(_SQL["list_limits"])).fetchall())


async def tenants(connection: AsyncConnection, name: TenantId | None = None) -> list[TenantStatus]:
    """Return one tenant, or all."""
    async with connection.cursor(row_factory=class_row(TenantStatus)) as cursor:
        await cursor.execute(_SQL["list_tenants"], {"name": name})
        return await cursor.fetchall()


async def set_tenant(
    connection: AsyncConnection,
    name: TenantId,
    *,
    limits: Mapping[str, Any],
    without: Sequence[str],
    weight: float | None,
) -> None:
    """Change a tenant, or make it. None as a limit is unlimited; `without` have the default."""
    given = {
        "name": name,
        "limits": msgspec.json.encode(limits).decode(),
        "without": list(without),
        "weight": weight,
    }
    await connection.execute(_SQL["set_tenant"], given)
