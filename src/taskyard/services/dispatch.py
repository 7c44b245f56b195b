"""Dispatch: publish wake-ups with confirms, and record what the broker said.

The API dispatches the rows it has just stored while the window of their pool has room (services/
fresh.py), the dispatcher all that is left (services/fill.py).
"""

from collections.abc import Sequence

import structlog

from taskyard.broker.publisher import Publisher
from taskyard.core.task import TaskId
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection, Pool, borrowed

log = structlog.get_logger(__name__)


async def dispatch(wakeups: Sequence[WakeUp], *, publisher: Publisher, pool: Pool) -> None:
    """Publish wake-ups that this process holds, and record what the broker said."""
    if wakeups:
        confirms = await publisher.publish(wakeups)
        async with borrowed(pool) as connection:
            await record(connection, wakeups, confirms)


async def record(
    connection: AsyncConnection, wakeups: Sequence[WakeUp], confirms: Sequence[Confirm]
) -> None:
    """Record what the broker said of each wake-up.

    Confirm before marking: a crash in between publishes twice, never zero times.
    """
    said: dict[Confirm, list[WakeUp]] = {confirm: [] for confirm in Confirm}
    for wakeup, confirm in zip(wakeups, confirms, strict=True):
        said[confirm].append(wakeup)
    if confirmed := said[Confirm.CONFIRMED]:
        await tasks.mark_queued(connection, confirmed)
    for refusal in (Confirm.UNROUTABLE, Confirm.NACKED):
        if refused := said[refusal]:
            log.error("wake-ups refused by the broker", why=refusal, count=len(refused))
            await tasks.put_back(connection, _ids(refused), refusal)
    if unanswered := said[Confirm.UNANSWERED]:
        await tasks.release(connection, _ids(unanswered), Confirm.UNANSWERED)


def _ids(wakeups: Sequence[WakeUp]) -> list[TaskId]:
    return [wakeup.id for wakeup in wakeups]
