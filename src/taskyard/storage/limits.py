"""Limits as the database keeps them: what is in use, who waits, who is let go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from taskyard.core.lease import LeaseToken
from taskyard.core.limits import Limit, Standing, Usage
from taskyard.core.line import Allotment, Turn, Waiter
from taskyard.core.principal import TenantId
from taskyard.core.task import TaskId
from taskyard.storage.pool import AsyncConnection, Cursor
from taskyard.storage.sql import queries

_SQL = queries("limits")

Turns = dict[tuple[str, TenantId], Turn]

_OF_EACH = 20  # waiters of each tenant in each line that one pass looks at
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The usage of a limit, as one task meets it.

    `has_line`: somebody waits already. `is_reserved`: there is room kept for the task.
    """

    usage: Usage
    has_line: bool
    is_reserved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A limit as it stands; `waiting` is counted up to 10,000."""

    standing: Standing = field(default_factory=Standing)
    reports: int = 0
    reported_at: datetime | None = None
    running: int = 0
    started: int = 0
    waiting: int = 0


def lock(cursor: Cursor, names: Sequence[str]) -> dict[str, Standing]:
    """Lock limits until the end of the transaction; return how each stands."""
    rows = cursor.execute(_SQL["lock_limits"], {"names": names}).fetchall()
    if len(rows) < len(names):
        cursor.execute(_SQL["make_limits"], {"names": names})
        rows = cursor.execute(_SQL["lock_limits"], {"names": names}).fetchall()
    return _standings(rows)


async def lock_async(connection: AsyncConnection, names: Sequence[str]) -> dict[str, Standing]:
    """Lock limits as the dispatcher does; those that were never met are made."""
    await connection.execute(_SQL["make_limits"], {"names": names})
    cursor = await connection.execute(_SQL["lock_limits"], {"names": names})
    return _standings(await cursor.fetchall())


def _standings(rows: Sequence[tuple[Any, ...]]) -> dict[str, Standing]:
    return {
        name: Standing(share=share, shrunk_ago=shrunk_ago, paused_for=paused_for or 0.0)
        for name, share, shrunk_ago, paused_for in rows
    }


def usage(
    cursor: Cursor, limits: Sequence[Limit], standings: Mapping[str, Standing], task_id: TaskId
) -> dict[str, Found]:
    """Return what is in use of locked limits, as a task that would start meets it."""
    rows = cursor.execute(_SQL["read_usage"], _asking(limits, task_id)).fetchall()
    return _found(rows, standings)


async def usage_async(
    connection: AsyncConnection, limits: Sequence[Limit], standings: Mapping[str, Standing]
) -> dict[str, Found]:
    """Return what is in use of locked limits, for the line."""
    cursor = await connection.execute(_SQL["read_usage"], _asking(limits, None))
    return _found(await cursor.fetchall(), standings)


def _asking(limits: Sequence[Limit], task_id: TaskId | None) -> dict[str, Any]:
    return {
        "names": [limit.name for limit in limits],
        "most": [limit.rate.count if limit.rate else 0 for limit in limits],
        "periods": [limit.rate.seconds if limit.rate else 0.0 for limit in limits],
        "task": task_id,
    }


def _found(rows: Sequence[tuple[Any, ...]], standings: Mapping[str, Standing]) -> dict[str, Found]:
    return {
        name: Found(
            usage=Usage(
                running=running,
                reserved=reserved,
                started=started,
                opens_in=opens_in,
                paused_for=standings[name].paused_for,
            ),
            has_line=has_line,
            is_reserved=is_reserved,
        )
        for name, running, reserved, started, opens_in, has_line, is_reserved in rows
    }


def keep(cursor: Cursor, limits: Sequence[Limit], task_id: TaskId, token: LeaseToken) -> None:
    """Record what a claimed attempt holds."""
    given = {
        "held": [limit.name for limit in limits if limit.concurrency is not None],
        "begun": [limit.name for limit in limits if limit.rate is not None],
        "task": task_id,
        "token": token,
    }
    cursor.execute(_SQL["keep_permits"], given)


def defer(
    cursor: Cursor, task_id: TaskId, task_type: str, *, name: str, reason: str, wait: float
) -> bool:
    """Put a task into the line of a limit; return whether it waited to be claimed.

    It is looked at again after `wait` seconds at the earliest, if nobody releases it before.
    """
    given = {"task": task_id, "type": task_type, "name": name, "reason": reason, "wait": wait}
    return cursor.execute(_SQL["defer"], given).fetchone() is not None


def tell_freed(cursor: Cursor) -> None:
    """Tell the dispatchers that an attempt which held permits has ended."""
    cursor.execute(_SQL["tell_freed"])


def shrink(
    cursor: Cursor, name: str, *, share: float, pause: float, task_id: TaskId | None
) -> None:
    """Cut a locked limit down to a share, and let nothing start for `pause` seconds."""
    given = {"name": name, "share": share, "pause": pause, "task": task_id}
    cursor.execute(_SQL["shrink"], given)


async def waiters(connection: AsyncConnection) -> tuple[list[Waiter], Turns]:
    """Return the first of each tenant in each line, and the turns of the tenants there.

    In the order of urgency and age.
    """
    given = {"of_each": _OF_EACH, "limit": _AT_ONCE}
    rows = await (await connection.execute(_SQL["list_waiters"], given)).fetchall()
    turns = {(row[4], row[2]): Turn(spent=row[5], weight=row[6], now=row[7]) for row in rows}
    found = [
        Waiter(id=row[0], type=row[1], tenant=row[2], priority=row[3], waits_for=row[4])
        for row in rows
    ]
    return sorted(found, key=lambda waiter: (-waiter.priority, waiter.id)), turns


async def release(
    connection: AsyncConnection, names_by_task: Mapping[UUID, Sequence[str]], *, hold: float
) -> None:
    """Let tasks go, and keep room for each in these limits for `hold` seconds."""
    given = {
        "ids": list(names_by_task),
        "names": [" ".join(names) for names in names_by_task.values()],
        "seconds": hold,
    }
    await connection.execute(_SQL["release_waiters"], given)


async def keep_turns(connection: AsyncConnection, given: Allotment) -> None:
    """Record what tenants have had of the lines of locked limits."""
    values = {
        "lines": list(given.now),
        "nows": list(given.now.values()),
        "names": [name for name, _ in given.spent],
        "tenants": [tenant for _, tenant in given.spent],
        "spent": list(given.spent.values()),
    }
    await connection.execute(_SQL["keep_turns"], values)


async def move(
    connection: AsyncConnection, moved: Mapping[UUID, str], reasons: Sequence[str]
) -> None:
    """Let tasks wait for other limits."""
    given = {"ids": list(moved), "names": list(moved.values()), "reasons": reasons}
    await connection.execute(_SQL["move_waiters"], given)


async def forget_reservations(connection: AsyncConnection) -> None:
    """Remove reservations that were not used."""
    await connection.execute(_SQL["forget_reservations"])


async def survey(connection: AsyncConnection, limits: Sequence[Limit]) -> dict[str, Survey]:
    """Return how limits stand; those that were never met are left out."""
    given = {
        "names": [limit.name for limit in limits],
        "periods": [limit.rate.seconds if limit.rate else 0.0 for limit in limits],
    }
    rows = await (await connection.execute(_SQL["survey_limits"], given)).fetchall()
    return {
        row[0]: Survey(
            standing=Standing(share=row[1], shrunk_ago=row[2], paused_for=row[3] or 0.0),
            reports=row[4],
            reported_at=row[5],
            running=row[6],
            started=row[7],
            waiting=row[8],
        )
        for row in rows
    }
