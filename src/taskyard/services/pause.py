"""Pause a pool: nothing of it is begun until it is resumed; what runs goes on.

The claim asks whether its pool is paused, so nothing that lies in the broker, or in a worker's
hands, can start. A worker sets such a task aside to wait for a dispatcher, and these leave paused
pools out; tasks are accepted as ever.
"""

from typing import Annotated

import msgspec

from taskyard.core.audit import Action
from taskyard.core.errors import PoolNotFound
from taskyard.core.routing import RoutingTable
from taskyard.services import audit
from taskyard.storage import pauses
from taskyard.storage.pool import OwnPool, borrowed


class PauseRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/pools/{pool}/pause; the reason is shown to whoever asks why."""

    reason: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\u0000]*$")] | None = None


async def pause(own: OwnPool, table: RoutingTable, pool: str, *, reason: str | None) -> None:
    """Pause a pool; one that is paused already keeps its date and reason. Raises PoolNotFound."""
    require_pool(table, pool)
    async with borrowed(own.pool) as connection, connection.transaction():
        if await pauses.pause(connection, pool, reason=reason or None):
            detail = {"reason": reason} if reason else {}
            await audit.record_as(
                connection, Action.POOL_PAUSED, f"pool:{pool}", detail,
                tenant=own.owner.tenant, actor=own.actor,
            )  # fmt: skip


async def resume(own: OwnPool, table: RoutingTable, pool: str) -> None:
    """Resume a pool, also one that left the table while it was paused. Raises PoolNotFound."""
    async with borrowed(own.pool) as connection, connection.transaction():
        if await pauses.resume(connection, pool):
            await audit.record_as(
                connection, Action.POOL_RESUMED, f"pool:{pool}",
                tenant=own.owner.tenant, actor=own.actor,
            )  # fmt: skip
            return
    require_pool(table, pool)


def require_pool(table: RoutingTable, pool: str) -> None:
    """Raise PoolNotFound unless the routing table has a pool."""
    if pool not in table.pools:
        known = ", ".join(table.pools)
        raise PoolNotFound(f"there is no pool {pool[:64]!r}; there are {known}")
