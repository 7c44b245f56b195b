"""The audit log, as operators read and prove it: straight in the database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskyard.core.audit import Anchor, Entry
from taskyard.core.principal import TenantId
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.services.audit import Finding
    from taskyard.storage.audit import Sought


async def audit_entries(
    given: Settings, tenant: TenantId, sought: "Sought", *, limit: int
) -> list[Entry]:
    """Return a tenant's latest entries, newest first."""
    from taskyard.storage import audit
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="audit") as connection:
        return await audit.page(connection, tenant, sought, before=None, limit=limit)


async def verify_audit(given: Settings, anchors: Sequence[Anchor]) -> "list[Finding]":
    """Walk the log of every tenant; return what was found."""
    from taskyard.services.audit import verify
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="audit") as connection:
        return [finding async for finding in verify(connection, anchors)]
