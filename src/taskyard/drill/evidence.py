"""What is left after a drill, read from outside: past the proxies, and past the product."""

from importlib.resources import files
from typing import Any, TypeVar

import msgspec
from psycopg.rows import dict_row

from taskyard.dev.rabbitmq import RabbitServer
from taskyard.drill.history import Effect, EventRow, Phase, QueueRest, TaskRow, Write
from taskyard.storage.pool import AsyncConnection, connect
from taskyard.storage.sql import queries

R = TypeVar("R")

_SQL = queries("evidence", package="taskyard.drill")


async def prepare(database_url: str) -> None:
    """Add the witness of writes and the table of effects to a migrated database."""
    text = files("taskyard.drill").joinpath("queries/prepare.sql").read_text()
    async with await connect(database_url, name="drill") as connection:
        await connection.execute(text.encode())


async def read_tasks(connection: AsyncConnection, seed: int) -> tuple[TaskRow, ...]:
    """Return every task; `number` is that of its submission by the client of this seed."""
    found = []
    for row in await _rows(connection, "read_tasks"):
        whose, _, number = (row.pop("number") or "").rpartition("-")
        ours = whose == str(seed)
        found.append(msgspec.convert({**row, "number": int(number) if ours else None}, TaskRow))
    return tuple(found)


async def read_events(connection: AsyncConnection) -> tuple[EventRow, ...]:
    """Return the history of every task."""
    return await _records(connection, "read_events", EventRow)


async def read_writes(connection: AsyncConnection) -> tuple[Write, ...]:
    """Return every committed write, as the witness saw it."""
    return await _records(connection, "read_writes", Write)


async def read_effects(connection: AsyncConnection) -> tuple[Effect, ...]:
    """Return every transactional effect."""
    rows = await _rows(connection, "read_effects")
    return tuple(Effect(**row, phase=Phase.COMMITTED) for row in rows)


async def count_unended(connection: AsyncConnection) -> int:
    """Return how many tasks have not ended."""
    return await _count(connection, "count_unended")


async def count_connections(connection: AsyncConnection) -> int:
    """Return how many connections of the stack are open in the database."""
    return await _count(connection, "count_connections")


async def list_unended(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Return id, type and priority of tasks that may be woken."""
    return await _rows(connection, "list_unended")


def read_queues(server: RabbitServer, vhost: str, *, beginning: str) -> tuple[QueueRest, ...]:
    """Return what the queues hold whose names begin so. Blocking, about a second."""
    columns = ("name", "messages_ready", "messages_unacknowledged")
    listed = server.control("list_queues", "--no-table-headers", "-p", vhost, *columns)
    parts = (line.split("\t") for line in listed.splitlines() if line.startswith(beginning))
    return tuple(QueueRest(name=n, ready=int(r), unacked=int(u)) for n, r, u in parts)


def count_broker_connections(server: RabbitServer) -> int:
    """Return how many AMQP connections are open. Blocking, about a second."""
    return len(server.control("list_connections", "--no-table-headers", "pid").splitlines())


async def _records(connection: AsyncConnection, name: str, kind: type[R]) -> tuple[R, ...]:
    return tuple(msgspec.convert(await _rows(connection, name), list[kind]))  # type: ignore[valid-type]


async def _rows(connection: AsyncConnection, name: str) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL[name])
        return await cursor.fetchall()


async def _count(connection: AsyncConnection, name: str) -> int:
    row = await (await connection.execute(_SQL[name])).fetchone()
    assert row is not None
    return int(row[0])
