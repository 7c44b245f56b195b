"""Usage: what tenants with limits have waiting, running and stored, counted beside the work."""

from taskyard.core.principal import TenantId
from taskyard.core.quotas import Quota, quota_of
from taskyard.storage import quotas
from taskyard.storage.pool import Pool, borrowed


async def count_usage(pool: Pool, default: Quota) -> None:
    """Count what has not ended, of tenants that have limits. Raises StorageUnavailable."""
    async with borrowed(pool) as connection:
        bounds = {
            tenant: _quota(own, default)
            for tenant, own in (await quotas.buckets(connection)).items()
        }
        for tenant, quota in bounds.items():
            if quota.is_unlimited:
                await quotas.close_bucket(connection, tenant)
        if any(each.queued or each.in_flight for each in bounds.values()):
            await quotas.count(connection)


async def weigh_usage(pool: Pool, default: Quota) -> None:
    """Sum up the bytes of tenants that may store so many only. Raises StorageUnavailable."""
    async with borrowed(pool) as connection:
        for tenant, own in (await quotas.buckets(connection)).items():
            if _quota(own, default).stored is not None:
                await quotas.weigh(connection, TenantId(tenant))


def _quota(own: dict[str, object], default: Quota) -> Quota:
    try:
        return quota_of(own, default)
    except ValueError:  # the API says so; it has the default meanwhile
        return default
