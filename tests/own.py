"""On a tenant's behalf: what services are given by the API."""

from taskyard.core.principal import DEFAULT_TENANT, Owner, TenantId
from taskyard.storage.pool import OwnPool, Pool


def own(pool: Pool, tenant: TenantId = DEFAULT_TENANT) -> OwnPool:
    """Return the pool that sees one tenant's rows."""
    return OwnPool(pool, Owner(tenant))
