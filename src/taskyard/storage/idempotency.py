"""Idempotency keys and the replies that are kept for them. They are stored with their tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskyard.core.idempotency import IdempotencyKey
from taskyard.core.principal import TenantId
from taskyard.core.states import State
from taskyard.core.task import Repeated, TaskId
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("idempotency")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """What a key was first used for, and the reply to it."""

    request_hash: bytes
    reply: Repeated


async def find(
    connection: AsyncConnection, keys: Sequence[IdempotencyKey]
) -> dict[IdempotencyKey, FirstUse]:
    """Return the first use of each key that was used."""
    given = {"tenants": [key.tenant for key in keys], "keys": [key.text for key in keys]}
    cursor = await connection.execute(_SQL["find_keys"], given)
    found = {}
    for (
        tenant,
        key,
        request_hash,
        task_id,
        pool,
        priority,
        state,
        created_at,
        due_at,
    ) in await cursor.fetchall():
        reply = Repeated(
            id=TaskId(task_id),
            pool=pool,
            priority=priority,
            state=State(state),
            created_at=created_at,
            due_at=due_at,
        )
        first = FirstUse(request_hash=request_hash, reply=reply)
        found[IdempotencyKey(key, TenantId(tenant))] = first
    return found


async def forget_expired(connection: AsyncConnection, limit: int) -> int:
    """Delete up to `limit` keys that have expired; return how many."""
    return (await connection.execute(_SQL["forget_keys"], {"limit": limit})).rowcount
