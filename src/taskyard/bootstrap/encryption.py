"""Encryption at rest, as operators look after it: straight in the database."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskyard.bootstrap.surroundings import key_ring
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.storage.encryption import KeyCount, Renewal


async def encryption_status(given: Settings) -> "list[KeyCount]":
    """Return how many values of each kind each key sealed."""
    from taskyard.storage.encryption import count_keys
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="encryption") as connection:
        return await count_keys(connection)


async def reencrypt(
    given: Settings, on_batch: "Callable[[str, Renewal], None]"
) -> "dict[str, Renewal]":
    """Write anew what the active key has not sealed."""
    from taskyard.services import reencrypt
    from taskyard.storage.pool import connect

    ring = key_ring(given)
    async with await connect(given.database_url, name="encryption", ring=ring) as connection:
        return await reencrypt.reencrypt(connection, on_batch=on_batch)
