"""What Postgres says of itself, for whoever looks for what is wrong."""

from psycopg.rows import class_row

from taskyard.core.server_diagnosis import PostgresFacts
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("doctor")


async def server(connection: AsyncConnection) -> PostgresFacts:
    """Return version, settings and clock of the server."""
    async with connection.cursor(row_factory=class_row(PostgresFacts)) as cursor:
        await cursor.execute(_SQL["read_server"])
        found = await cursor.fetchone()
    assert found is not None
    return found


async def dispatcher_ago(connection: AsyncConnection) -> float | None:
    """Return how many seconds ago a dispatcher left a trace."""
    row = await (await connection.execute(_SQL["dispatcher_ago"])).fetchone()
    return row[0] if row else None


async def keys_lately(connection: AsyncConnection) -> set[str]:
    """Return the keys that sealed the newest tasks' arguments."""
    return {row[0] for row in await (await connection.execute(_SQL["keys_lately"])).fetchall()}
