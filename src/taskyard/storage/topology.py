"""What was applied to which broker, as plain rows: kind, name, source, pattern."""

from collections.abc import Iterable

from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("topology")

Row = tuple[str, str, str, str]


async def lock(connection: AsyncConnection, broker: str) -> None:
    """Keep other applies to this broker waiting until the transaction ends."""
    await connection.execute(_SQL["lock_topology"], {"broker": broker})


async def read(connection: AsyncConnection, broker: str) -> list[Row]:
    """Return what was applied to a broker."""
    return await (await connection.execute(_SQL["read_ledger"], {"broker": broker})).fetchall()


async def write(connection: AsyncConnection, broker: str, rows: Iterable[Row]) -> None:
    """Replace what is remembered of a broker. Call it in a transaction."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    await connection.execute(_SQL["clear_ledger"], {"broker": broker})
    names = ("kinds", "names", "sources", "patterns")
    given = dict(zip(names, map(list, columns), strict=True))
    await connection.execute(_SQL["write_ledger"], {"broker": broker, **given})
