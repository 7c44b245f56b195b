"""The history of all tasks in one order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskyard.core.principal import TenantId
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.core.trace import TraceContext, trace_of
from taskyard.storage.opened import HISTORY, opened_row
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("changes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a task's state, with what one may filter by. `age` is in seconds."""

    position: int
    task_id: TaskId
    tenant: TenantId
    seq: int
    at: datetime
    age: float
    type: str
    pool: str
    labels: dict[str, str]
    state: State
    generation: int
    attempt: int
    worker: str | None
    reason: str | None
    error: dict[str, Any] | None
    traceparent: str | None
    tracestate: str | None

    @property
    def trace(self) -> TraceContext | None:
        """Where the spans of the task belong."""
        return trace_of(self.traceparent, self.tracestate)


async def changes_after(connection: AsyncConnection, after: int, *, limit: int) -> list[Change]:
    """Return the committed changes behind a position, in order. There may be gaps among them."""
    async with connection.cursor(
        row_factory=opened_row(Change, HISTORY, identity="task_id")
    ) as cursor:
        await cursor.execute(_SQL["changes_after"], {"after": after, "limit": limit})
        return await cursor.fetchall()


async def writers(connection: AsyncConnection) -> frozenset[str]:
    """Return the transactions that may still commit a change, by their virtual ids."""
    rows = await (await connection.execute(_SQL["writers"])).fetchall()
    return frozenset(row[0] for row in rows)


async def newest_position(connection: AsyncConnection) -> int:
    """Return the position of the newest change; 0 if there is none."""
    row = await (await connection.execute(_SQL["newest_position"])).fetchone()
    return row[0] if row else 0
