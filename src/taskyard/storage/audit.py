"""The audit log."""

from dataclasses import asdict, dataclass

from psycopg.rows import class_row

from taskyard.core.audit import Entry
from taskyard.core.principal import TenantId
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """What is to be recorded; `detail` is JSON."""

    tenant: TenantId
    actor: str
    action: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which entries are meant; None does not matter."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None


async def append(connection: AsyncConnection, new: NewEntry) -> None:
    """Record something; others of the tenant wait for the end of this transaction."""
    await connection.execute(_SQL["append_entry"], asdict(new))


async def page(
    connection: AsyncConnection, tenant: TenantId, sought: Sought, *, before: int | None, limit: int
) -> list[Entry]:
    """Return up to `limit` entries, newest first, from just below the number `before`."""
    given = asdict(sought) | {"tenant": tenant, "before": before, "limit": limit}
    async with connection.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(_SQL["list_entries"], given)
        return await cursor.fetchall()


async def walk(
    connection: AsyncConnection, tenant: TenantId, *, after: int, limit: int
) -> list[Entry]:
    """Return up to `limit` entries above a number, the oldest first."""
    given = {"tenant": tenant, "after": after, "limit": limit}
    async with connection.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(_SQL["walk_entries"], given)
        return await cursor.fetchall()


async def tenants(connection: AsyncConnection) -> list[TenantId]:
    """Return who has entries."""
    cursor = await connection.execute(_SQL["audited_tenants"])
    return [TenantId(row[0]) for row in await cursor.fetchall()]
