"""On a tenant's behalf: what services are given by the API."""

from taskyard.core.principal import DEFAULT_TENANT, Owner, TenantId
from taskyard.core.quotas import Quota
from taskyard.services.backlog import Backlog
from taskyard.services.entry import Entry
from taskyard.services.quotas import Quotas
from taskyard.storage.pool import OwnPool, Pool


def entry_of(pool: Pool, *, quota: Quota | None = None, largest: int = 10_000_000) -> Entry:
    """Return the entry with these bounds; without any, everything is let in."""
    backlog = Backlog(pool, largest=largest)
    return Entry(pool, backlog=backlog, quotas=Quotas(pool, quota or Quota()))


def own(pool: Pool, tenant: TenantId = DEFAULT_TENANT) -> OwnPool:
    """Return the pool that sees one tenant's rows."""
    return OwnPool(pool, Owner(tenant))
