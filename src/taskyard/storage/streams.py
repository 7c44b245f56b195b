"""What those read who follow single tasks, and where the history of all begins and ends."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.storage.opened import HISTORY, opened_row
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries
from taskyard.storage.task_logs import LogLine, line_of

_SQL = queries("streams")


class Known(NamedTuple):
    """How far somebody has read a task: its newest event and the newest line of its log."""

    seq: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How far a task is: its newest event, its progress, the newest line of its log."""

    id: TaskId
    seq: int
    ended: bool
    progress: dict[str, Any] | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of a task's state, as its history shows it."""

    seq: int
    at: datetime
    state: State
    generation: int
    attempt: int
    worker: str | None
    reason: str | None
    error: dict[str, Any] | None
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class News:
    """What is new of one task, in the order in which it was written."""

    lines: tuple[LogLine, ...]
    events: tuple[Event, ...]


async def look_at(connection: AsyncConnection, ids: list[TaskId]) -> dict[TaskId, Look]:
    """Return how far each of the tasks is; one that is missing was removed."""
    async with connection.cursor(row_factory=opened_row(Look)) as cursor:
        await cursor.execute(_SQL["look_at"], {"ids": ids})
        return {look.id: look for look in await cursor.fetchall()}


async def news(connection: AsyncConnection, known: Mapping[TaskId, Known]) -> dict[TaskId, News]:
    """Return what is new of each task behind what is known of it."""
    lines: dict[TaskId, list[LogLine]] = defaultdict(list)
    events: dict[TaskId, list[Event]] = defaultdict(list)
    if not known:
        return {}
    given = {
        "ids": list(known),
        "seqs": [each.seq for each in known.values()],
        "lines": [each.line for each in known.values()],
    }
    async with connection.cursor(row_factory=opened_row(_of_task, HISTORY)) as cursor:
        await cursor.execute(_SQL["events_behind"], given)
        for task_id, event in await cursor.fetchall():
            events[task_id].append(event)
    async with connection.cursor(row_factory=dict_row) as cursor:
        # Read last: what an attempt says is written before its end is.
        await cursor.execute(_SQL["lines_behind"], given)
        for row in await cursor.fetchall():
            lines[row["task_id"]].append(line_of(row, connection.ring))
    return {each: News(tuple(lines[each]), tuple(events[each])) for each in known}


def _of_task(*, id: TaskId, tenant: str, **event: Any) -> tuple[TaskId, Event]:  # noqa: A002
    return id, Event(**event)


async def kept_positions(connection: AsyncConnection) -> tuple[int, int]:
    """Return the oldest and the newest position in the history of all tasks, 0 without any."""
    row = await (await connection.execute(_SQL["kept_positions"])).fetchone()
    assert row is not None
    return row[0], row[1]
