"""Dispatch: publish wake-ups with confirms, and record what the broker said.

The API dispatches the rows it has just stored while the window of their pool has room (services/
fresh.py), the dispatcher all that is left (services/fill.py).
"""

import time
from collections.abc import Sequence

import structlog

from taskyard import tracing
from taskyard.broker.publisher import Publisher
from taskyard.core.task import TaskId
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection, Pool, borrowed

log = structlog.get_logger(__name__)


async def dispatch(wakeups: Sequence[WakeUp], *, publisher: Publisher, pool: Pool) -> None:
    """Publish wake-ups that this process holds, and record what the broker said."""
    if wakeups:
        confirms = await publish(wakeups, publisher)
        async with borrowed(pool) as connection:
            await record(connection, wakeups, confirms)


async def publish(wakeups: Sequence[WakeUp], publisher: Publisher) -> list[Confirm]:
    """Publish wake-ups; return in order what the broker said, and tell of it in their traces."""
    began = time.time_ns()
    confirms = await publisher.publish(wakeups)
    ended = time.time_ns()
    for wakeup, confirm in zip(wakeups, confirms, strict=True):
        if wakeup.trace is not None:
            tracing.record(
                f"publish {wakeup.type}",
                parent=wakeup.trace,
                start=began,
                end=ended,
                kind="producer",
                attributes={
                    "messaging.system": "rabbitmq",
                    "messaging.operation.name": "publish",
                    "messaging.operation.type": "send",
                    "taskyard.task.id": str(wakeup.id),
                    "taskyard.confirm": confirm,
                },
            )
    return confirms


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
