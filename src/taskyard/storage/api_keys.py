"""API keys, without their secrets."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from taskyard.core.principal import TenantId
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("api_keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to be stored; `lives` is in seconds, None for ever."""

    prefix: str
    tenant: TenantId
    digest: bytes
    name: str
    scopes: list[str]
    patterns: list[str]
    created_by: str
    lives: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as people see it."""

    prefix: str
    tenant: TenantId
    name: str
    scopes: list[str]
    patterns: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidKey:
    """A key that is valid now, to be held against what a caller shows."""

    prefix: str
    tenant: TenantId
    digest: bytes
    scopes: list[str]
    patterns: list[str]
    seconds_left: float | None


async def insert(connection: AsyncConnection, new: NewKey) -> ApiKey:
    """Store a key."""
    stored = await _one(connection, "insert_key", asdict(new))
    assert stored is not None
    return stored


async def find(connection: AsyncConnection, prefix: str) -> ValidKey | None:
    """Return the key of a prefix if it is valid now."""
    async with connection.cursor(row_factory=class_row(ValidKey)) as cursor:
        await cursor.execute(_SQL["find_key"], {"prefix": prefix})
        return await cursor.fetchone()


async def touch(connection: AsyncConnection, prefix: str) -> None:
    """Note that a key was used."""
    await connection.execute(_SQL["touch_key"], {"prefix": prefix})


async def list_all(connection: AsyncConnection, tenant: TenantId | None) -> list[ApiKey]:
    """Return all keys, or those of one tenant."""
    async with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        await cursor.execute(_SQL["list_keys"], {"tenant": tenant})
        return await cursor.fetchall()


async def hold(connection: AsyncConnection, prefix: str) -> ApiKey | None:
    """Return a key that is valid now, kept from others until the transaction ends, or None."""
    return await _one(connection, "hold_key", {"prefix": prefix})


async def revoke(
    connection: AsyncConnection, prefix: str, *, overlap: timedelta = timedelta(0)
) -> ApiKey | None:
    """End a key, now or after an overlap; return it, or None if there is none that is valid."""
    given = {"prefix": prefix, "overlap": overlap.total_seconds()}
    return await _one(connection, "revoke_key", given)


async def _one(connection: AsyncConnection, name: str, given: dict[str, Any]) -> ApiKey | None:
    async with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        await cursor.execute(_SQL[name], given)
        return await cursor.fetchone()
