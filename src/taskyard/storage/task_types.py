"""The task types that workers announced."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row

from taskyard.storage.pool import AsyncConnection, Connection
from taskyard.storage.sql import queries

_SQL = queries("task_types")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a worker says of one task type: `schema` is the JSON Schema of its arguments."""

    type: str
    pool: str
    description: str
    schema: dict[str, Any]
    announced_at: datetime | None = None


def announce(connection: Connection, pool: str, announced: Sequence[Announcement]) -> None:
    """Record what the workers of a pool can run, and forget what none has for a week."""
    given = {
        "pool": pool,
        "types": [each.type for each in announced],
        "descriptions": [each.description for each in announced],
        "schemas": [msgspec.json.encode(each.schema).decode() for each in announced],
    }
    with connection.transaction():
        connection.execute(_SQL["announce"], given)
        connection.execute(_SQL["forget_left_out"], {"pool": pool, "types": given["types"]})
        connection.execute(_SQL["ring"])


async def announcements(connection: AsyncConnection) -> list[Announcement]:
    """Return all that was announced, by type."""
    async with connection.cursor(row_factory=class_row(Announcement)) as cursor:
        await cursor.execute(_SQL["list_task_types"])
        return await cursor.fetchall()


async def forget_of_no_pool(connection: AsyncConnection, pools: Collection[str]) -> list[str]:
    """Forget the types that were announced long ago for other pools than these; return them."""
    cursor = await connection.execute(_SQL["forget_of_no_pool"], {"pools": list(pools)})
    return [row[0] for row in await cursor.fetchall()]
