"""Tasks that a deploy must still be able to run."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from taskyard.core.task import TaskId
from taskyard.storage.opened import ENDED, UNREADABLE, opened_row
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("live")
_ROWS_AT_ONCE = 500  # with their arguments, which may be large


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A task that has not ended, or a dead letter."""

    id: TaskId
    type: str
    state: str
    args: Any

    @property
    def readable(self) -> bool:
        """Whether a key opened its arguments."""
        return self.args is not UNREADABLE


async def unfinished(connection: AsyncConnection) -> AsyncGenerator[Unfinished, None]:
    """Yield them all, as they were at one moment; a cursor in the server holds those to come."""
    row_factory = opened_row(Unfinished, {"args": ENDED["args"]})
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        async with connection.cursor("unfinished", row_factory=row_factory) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            await cursor.execute(_SQL["walk_unfinished"])
            async for task in cursor:
                yield task
