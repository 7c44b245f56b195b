"""Webhook endpoints."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NewType
from uuid import UUID

from psycopg.rows import class_row

from taskyard.core.principal import TenantId
from taskyard.core.sealed import Place
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sql import queries

WebhookId = NewType("WebhookId", UUID)

_SQL = queries("webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An endpoint that wants to hear of events. Its secrets stay in the database."""

    id: WebhookId
    tenant: TenantId
    url: str
    events: list[str]
    description: str
    created_at: datetime
    enabled_at: datetime
    disabled_at: datetime | None
    disabled_because: str | None
    former_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """An endpoint to be stored; `secret` is sealed."""

    id: WebhookId
    url: str
    events: Sequence[str]
    description: str
    secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChange:
    """What changes of an endpoint: None leaves as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    disabled: bool | None = None


def secret_place(tenant: TenantId, webhook_id: WebhookId) -> Place:
    """Return where the secret of an endpoint belongs, the former one as well."""
    return Place(tenant, webhook_id, "secret")


async def insert(connection: AsyncConnection, new: NewWebhook) -> Webhook:
    """Store a new endpoint."""
    stored = await _one(
        connection, "insert_webhook", asdict(new) | {"events": [*new.events]} | owned_by(connection)
    )
    assert stored is not None
    return stored


async def list_own(connection: AsyncConnection) -> list[Webhook]:
    """Return all endpoints of a tenant, the oldest first."""
    async with connection.cursor(row_factory=class_row(Webhook)) as cursor:
        await cursor.execute(_SQL["list_webhooks"], owned_by(connection))
        return await cursor.fetchall()


async def enabled(connection: AsyncConnection) -> list[Webhook]:
    """Return every endpoint that is to be told, of all tenants."""
    async with connection.cursor(row_factory=class_row(Webhook)) as cursor:
        await cursor.execute(_SQL["enabled_webhooks"])
        return await cursor.fetchall()


async def get(connection: AsyncConnection, webhook_id: WebhookId) -> Webhook | None:
    """Return one endpoint, or None."""
    return await _one(connection, "get_webhook", {"id": webhook_id} | owned_by(connection))


async def change(
    connection: AsyncConnection, webhook_id: WebhookId, wish: WebhookChange
) -> Webhook | None:
    """Change an endpoint; return it, or None if there is none."""
    given = asdict(wish) | {"id": webhook_id} | owned_by(connection)
    return await _one(connection, "change_webhook", given)


async def disable(connection: AsyncConnection, webhook_id: WebhookId, *, reason: str) -> bool:
    """Send nothing more to an endpoint; return whether anything was sent until now."""
    given = {"id": webhook_id, "reason": reason}
    return await (await connection.execute(_SQL["disable_webhook"], given)).fetchone() is not None


async def rotate(
    connection: AsyncConnection, webhook_id: WebhookId, *, secret: bytes, overlap: timedelta
) -> Webhook | None:
    """Give an endpoint another sealed secret; the former one signs as well during the overlap."""
    given = {"id": webhook_id, "secret": secret, "overlap": overlap.total_seconds()}
    given |= owned_by(connection)
    return await _one(connection, "rotate_secret", given)


async def delete(connection: AsyncConnection, webhook_id: WebhookId) -> bool:
    """Remove an endpoint with its deliveries; return whether there was one."""
    given = {"id": webhook_id} | owned_by(connection)
    return await (await connection.execute(_SQL["delete_webhook"], given)).fetchone() is not None


async def _one(connection: AsyncConnection, name: str, given: dict[str, Any]) -> Webhook | None:
    async with connection.cursor(row_factory=class_row(Webhook)) as cursor:
        await cursor.execute(_SQL[name], given)
        return await cursor.fetchone()
