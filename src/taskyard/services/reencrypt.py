"""Reencrypt: write anew, batch by batch, what the active key has not sealed.

It may be broken off at any time and begun again: what is done is not looked at a second time.
"""

from collections.abc import Callable

from taskyard.storage.encryption import KINDS, Renewal, renew_some
from taskyard.storage.pool import AsyncConnection

ROWS_AT_ONCE = 200  # they are locked while they are written


async def reencrypt(
    connection: AsyncConnection,
    *,
    on_batch: Callable[[str, Renewal], None],
    limit: int = ROWS_AT_ONCE,
) -> dict[str, Renewal]:
    """Write all kinds anew; return what came of each. After each batch it tells how far it is."""
    came: dict[str, Renewal] = {}
    for kind in KINDS:
        renewal = came[kind.name] = Renewal()
        more = True
        while more:
            more = await renew_some(connection, kind, renewal, limit=limit)
            on_batch(kind.name, renewal)
    return came
