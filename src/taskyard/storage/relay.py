"""How far each purpose has read the history, and who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from taskyard.core.task import TaskId
from taskyard.storage.opened import ENDING, UNREADABLE, opened_row
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("relay")


class Purpose(StrEnum):
    """What the history is read for."""

    WEBHOOKS = "webhooks"
    LIFECYCLE = "lifecycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What belongs to the news of a task's end; `result` is None when it is too large to tell."""

    id: TaskId
    notify_url: str | None
    result: Any
    too_large: bool


async def hold_cursor(
    connection: AsyncConnection, purpose: Purpose, *, holder: UUID, lease: float
) -> int | None:
    """Take or keep the right to read for a purpose; return the position, or None if another has it.

    `lease` is in seconds.
    """
    given = {"purpose": purpose, "holder": holder, "lease": lease}
    row = await (await connection.execute(_SQL["hold_cursor"], given)).fetchone()
    return None if row is None else int(row[0])


async def move_cursor(
    connection: AsyncConnection,
    purpose: Purpose,
    *,
    holder: UUID,
    after: int,
    position: int,
    lease: float,
) -> bool:
    """Move a cursor on; return False when the right to do so was lost meanwhile."""
    given = {
        "purpose": purpose, "holder": holder, "after": after, "position": position, "lease": lease,
    }  # fmt: skip
    return await (await connection.execute(_SQL["move_cursor"], given)).fetchone() is not None


async def release_cursors(connection: AsyncConnection, *, holder: UUID) -> None:
    """Give back every right to read that one holder has."""
    await connection.execute(_SQL["release_cursors"], {"holder": holder})


async def anybody_told(connection: AsyncConnection) -> bool:
    """Return whether a webhook or a task's notify_url may want what happens."""
    row = await (await connection.execute(_SQL["anybody_told"])).fetchone()
    assert row is not None
    return bool(row[0])


def _ending(*, result: Any, too_large: bool, tenant: str, **rest: Any) -> Ending:
    """A result that cannot be read is left out like one that is too large: GET says why."""
    return Ending(
        result=None if result is UNREADABLE else result,
        too_large=too_large or result is UNREADABLE,
        **rest,
    )


async def endings(
    connection: AsyncConnection, ids: Sequence[TaskId], *, largest: int
) -> dict[TaskId, Ending]:
    """Return what belongs to the news of these ends; results up to `largest` bytes of JSON."""
    if not ids:
        return {}
    async with connection.cursor(row_factory=opened_row(_ending, ENDING)) as cursor:
        await cursor.execute(_SQL["endings"], {"ids": list(ids), "largest": largest})
        return {each.id: each for each in await cursor.fetchall()}
