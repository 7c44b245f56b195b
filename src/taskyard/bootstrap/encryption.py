"""Encryption at rest, as operators look after it: straight in the database."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from taskyard.bootstrap.surroundings import key_ring, operator
from taskyard.core.audit import DEPLOYMENT, Action
from taskyard.core.sealed import PLAIN
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.storage.encryption import KeyCount, Renewal
    from taskyard.storage.pool import AsyncConnection


async def encryption_status(given: Settings) -> "list[KeyCount]":
    """Return how many values of each kind each key sealed."""
    from taskyard.storage.encryption import count_keys
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="encryption") as connection:
        return await count_keys(connection)


async def reencrypt(
    given: Settings, on_batch: "Callable[[str, Renewal], None]"
) -> "dict[str, Renewal]":
    """Write anew what the active key has not sealed, recorded when it begins and ends."""
    from taskyard.services import reencrypt
    from taskyard.storage.pool import connect

    ring = key_ring(given)
    async with await connect(given.database_url, name="encryption", ring=ring) as connection:
        keys = {
            "active": given.encryption_keys.active or PLAIN,
            "keys": sorted(given.encryption_keys.secrets),
        }
        await _record(connection, Action.REENCRYPTION_BEGUN, keys)
        came = await reencrypt.reencrypt(connection, on_batch=on_batch)
        written = sum(renewal.written for renewal in came.values())
        left = sum(renewal.left for renewal in came.values())
        await _record(
            connection, Action.REENCRYPTION_ENDED, keys | {"written": written, "left": left}
        )
        return came


async def _record(connection: "AsyncConnection", action: Action, detail: Mapping[str, Any]) -> None:
    from taskyard.services import audit

    await audit.record_as(
        connection, action, "encryption", detail,
        tenant=DEPLOYMENT, actor=operator("taskyard encryption"),
    )  # fmt: skip
