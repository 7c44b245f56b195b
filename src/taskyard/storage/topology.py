"""The ledger of what was applied to which broker, as plain rows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row

from taskyard.storage.pool import AsyncConnection, Connection
from taskyard.storage.sql import queries

_SQL = queries("topology")


class Row(NamedTuple):
    """A queue, or a binding of the queue `name` to the exchange `source`."""

    kind: str
    name: str
    source: str
    pattern: str
    pool: str | None
    state: str


class PoolQueue(NamedTuple):
    """A queue that a pool's workers consume; `state` is applied or draining."""

    pool: str
    name: str
    state: str


class Drained(NamedTuple):
    """Of which pool a removed queue was, and since when nothing was routed to it."""

    pool: str | None
    unbound_at: datetime | None


@asynccontextmanager
async def locked(connection: AsyncConnection, broker: str) -> AsyncIterator[None]:
    """Keep other applies to this broker waiting, over as many transactions as it takes."""
    async with connection.transaction():
        # Another apply takes as long as it takes; it ends, because each of its waits has a bound.
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(_SQL["lock_topology"], {"broker": broker})
    try:
        yield
    finally:
        if not connection.closed:
            await connection.execute(_SQL["unlock_topology"], {"broker": broker})


async def read(connection: AsyncConnection, broker: str) -> list[Row]:
    """Return what was applied to a broker, or is about to be."""
    found = await connection.execute(_SQL["read_ledger"], {"broker": broker})
    return [Row(*row) for row in await found.fetchall()]


async def write(connection: AsyncConnection, broker: str, rows: Sequence[Row]) -> None:
    """Replace what is remembered of a broker, and tell the workers."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in Row._fields]
    given = dict(zip((f"{field}s" for field in Row._fields), columns, strict=True))
    async with connection.transaction():
        await connection.execute(_SQL["remember"], {"broker": broker, **given})
        await connection.execute(_SQL["forget"], {"broker": broker, **given})
        await connection.execute(_SQL["stamp_unbound"], {"broker": broker})
        await connection.execute(_SQL["ring_topology"])


async def forget_queue(connection: AsyncConnection, broker: str, name: str) -> Drained | None:
    """Forget a queue that was removed, and tell the workers. Call it in a transaction."""
    async with connection.cursor(row_factory=class_row(Drained)) as cursor:
        await cursor.execute(_SQL["forget_queue"], {"broker": broker, "name": name})
        drained = await cursor.fetchone()
    await connection.execute(_SQL["ring_topology"])
    return drained


async def list_queues(connection: AsyncConnection, broker: str) -> list[PoolQueue]:
    """Return the queues of all pools."""
    found = await connection.execute(_SQL["list_queues"], {"broker": broker, "pool": None})
    return [PoolQueue(*row) for row in await found.fetchall()]


def queues_of(connection: Connection, broker: str, pool: str) -> list[PoolQueue]:
    """Return the queues of one pool, for its workers."""
    found = connection.execute(_SQL["list_queues"], {"broker": broker, "pool": pool})
    return [PoolQueue(*row) for row in found.fetchall()]
