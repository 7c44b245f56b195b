"""What is done to tenants from outside."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskyard.core.principal import TenantId
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.storage.quotas import TenantStatus


async def list_tenants(given: Settings, name: TenantId | None = None) -> "list[TenantStatus]":
    """Return one tenant, or all."""
    from taskyard.storage import quotas
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="administration") as connection:
        return await quotas.tenants(connection, name)


async def set_tenant(
    given: Settings,
    name: TenantId,
    *,
    limits: Mapping[str, Any],
    without: Sequence[str],
    weight: float | None,
) -> None:
    """Change a tenant, or make it."""
    from taskyard.storage import quotas
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="administration") as connection:
        await quotas.set_tenant(connection, name, limits=limits, without=without, weight=weight)
