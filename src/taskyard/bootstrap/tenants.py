"""What is done to tenants from outside."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskyard.bootstrap.surroundings import operator
from taskyard.core.audit import Action
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
    from taskyard.services import audit
    from taskyard.storage import quotas
    from taskyard.storage.pool import connect

    said = {"limits": dict(limits), "default": list(without), "weight": weight}
    detail = {what: value for what, value in said.items() if value}
    async with (
        await connect(given.database_url, name="administration") as connection,
        connection.transaction(),
    ):
        await quotas.set_tenant(connection, name, limits=limits, without=without, weight=weight)
        await audit.record_as(
            connection, Action.TENANT_CHANGED, f"tenant:{name}", detail,
            tenant=name, actor=operator("taskyard tenants"),
        )  # fmt: skip
