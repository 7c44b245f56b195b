"""API keys, as operators make and end them: straight in the database."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from taskyard.bootstrap.surroundings import ADMIN_KEY, key_pepper, operator, secret_file
from taskyard.core.audit import Action
from taskyard.core.errors import Unauthenticated
from taskyard.core.principal import DEFAULT_TENANT, Scope, TenantId
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.services.keys import KeyWish
    from taskyard.storage.api_keys import ApiKey
    from taskyard.storage.pool import AsyncConnection


async def create_key(given: Settings, wish: "KeyWish") -> "tuple[str, ApiKey]":
    """Make a key; return what is shown once, and the rest. Raises InvalidRequest."""
    from taskyard.storage.pool import connect

    async with (
        await connect(given.database_url, name="keys") as connection,
        connection.transaction(),
    ):
        return await _make(connection, given, wish)


async def _make(
    connection: "AsyncConnection", given: Settings, wish: "KeyWish"
) -> "tuple[str, ApiKey]":
    from taskyard.services.keys import PREFIX_BYTES, SECRET_BYTES, make_key

    chance = secrets.token_bytes(PREFIX_BYTES + SECRET_BYTES)
    shown, made = await make_key(connection, wish, chance=chance, pepper=key_pepper(given))
    await _record(connection, Action.KEY_MADE, made, wish.created_by)
    return shown, made


async def list_keys(given: Settings, tenant: TenantId | None) -> "list[ApiKey]":
    """Return all keys, or those of one tenant."""
    from taskyard.storage import api_keys
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="keys") as connection:
        return await api_keys.list_all(connection, tenant)


async def revoke_key(
    given: Settings, prefix: str, overlap: timedelta = timedelta(0)
) -> "ApiKey | None":
    """End a key, now or after an overlap; return it, or None if there is none that is valid."""
    from taskyard.storage import api_keys
    from taskyard.storage.pool import connect

    async with (
        await connect(given.database_url, name="keys") as connection,
        connection.transaction(),
    ):
        ended = await api_keys.revoke(connection, prefix, overlap=overlap)
        if ended is not None:
            await _record(connection, Action.KEY_REVOKED, ended, "taskyard keys")
        return ended


async def _record(connection: "AsyncConnection", action: Action, key: "ApiKey", by: str) -> None:
    """Record what the operator of this machine did."""
    from taskyard.services import audit

    detail = {"name": key.name, "scopes": key.scopes, "types": key.patterns}
    await audit.record_as(
        connection, action, f"key:tk_{key.prefix}", detail,
        tenant=key.tenant, actor=operator(by),
    )  # fmt: skip


async def rotate_key(
    given: Settings, prefix: str, overlap: timedelta
) -> "tuple[str, ApiKey] | None":
    """Make another key like one, which ends after an overlap; None if there is none.

    Both or neither. One that lives for some time is followed by one that lives as long.
    """
    from taskyard.services.keys import KeyWish
    from taskyard.storage import api_keys
    from taskyard.storage.pool import connect

    async with (
        await connect(given.database_url, name="keys") as connection,
        connection.transaction(),
    ):
        old = await api_keys.hold(connection, prefix)
        if old is None:
            return None
        wish = KeyWish(
            tenant=old.tenant,
            name=old.name,
            scopes=frozenset(Scope(each) for each in old.scopes),
            patterns=tuple(old.patterns),
            lives=None if old.expires_at is None else old.expires_at - old.created_at,
            created_by=f"rotation of tk_{prefix}",
        )
        shown, made = await _make(connection, given, wish)
        await api_keys.revoke(connection, prefix, overlap=overlap)
        await _record(connection, Action.KEY_REVOKED, old, "taskyard keys")
        return shown, made


async def first_key(given: Settings, folder: Path) -> tuple[str, bool]:
    """Return the admin key of a stack and whether it was made now; it is kept in a file, 0600."""
    from taskyard.services.keys import ApiKeys, KeyWish
    from taskyard.storage.pool import open_pool

    file = folder / ADMIN_KEY
    if file.exists():
        key = file.read_text().strip()
        async with open_pool(given.database_url, name="keys", size=1) as pool:
            try:
                await ApiKeys(pool, pepper=key_pepper(given)).principal_of(key)
            except Unauthenticated:
                file.unlink()  # of another database, or of another pepper
            else:
                return key, False
    wish = KeyWish(
        tenant=DEFAULT_TENANT,
        name="the first key",
        scopes=frozenset({Scope.ADMIN}),
        created_by="taskyard up",
    )
    key, _ = await create_key(given, wish)
    return secret_file(file, lambda: key), True
