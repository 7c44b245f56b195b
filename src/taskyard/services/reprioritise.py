"""Reprioritise: what waits gets another place in the order."""

from datetime import datetime

import msgspec

from taskyard.broker.publisher import Publisher
from taskyard.core.audit import Action
from taskyard.core.errors import AlreadyStarted, Fault, InvalidRequest, TooLate
from taskyard.core.retention import why_absent
from taskyard.core.routing import HIGHEST_PRIORITY, LOWEST_PRIORITY, RoutingTable
from taskyard.core.states import TERMINAL, State
from taskyard.core.task import Task, TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.services import audit
from taskyard.services.field_types import Priority
from taskyard.storage import tasks
from taskyard.storage.pool import OwnPool, borrowed


class ReprioritiseRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/tasks/{id}/reprioritise."""

    priority: Priority


async def reprioritise(
    pool: OwnPool,
    task_id: TaskId,
    wish: ReprioritiseRequest,
    *,
    publisher: Publisher,
    table: RoutingTable,
    now: datetime,
) -> Task:
    """Give a task that waits another priority, and return it.

    Raises InvalidRequest, TaskNotFound, TaskGone, AlreadyStarted and TooLate.
    """
    require_priority(wish.priority)
    async with borrowed(pool) as connection:
        moved = await tasks.reprioritise(connection, task_id, wish.priority)
        task = await tasks.get(connection, task_id)
        if moved:
            detail = {"priority": wish.priority}
            await audit.record(connection, Action.TASK_REPRIORITISED, f"task:{task_id}", detail)
    if task is None:
        raise why_absent(task_id, table=table, now=now)
    if not moved:
        _refuse(task)
    if task.state == State.QUEUED:
        await _wake_anew(task, publisher)
    return task


def require_priority(priority: int) -> None:
    """Raise InvalidRequest unless there is such a priority."""
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        problem = f"is {priority}; it must be {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
        raise InvalidRequest(
            "the request has invalid fields", faults=(Fault("/priority", problem),)
        )


def _refuse(task: Task) -> None:
    if task.state in TERMINAL:
        raise TooLate(f"the task is {task.state} since {task.finished_at:%FT%TZ}")
    raise AlreadyStarted(f"the task is {task.state}, in attempt {task.attempt}")


async def _wake_anew(task: Task, publisher: Publisher) -> None:
    """The broker holds its wake-up, and cannot move it: a second one with the new priority.

    Whichever comes first is claimed, the other finds nothing. Without an answer from the broker the
    task starts when the first one would have it start.
    """
    wakeup = WakeUp(id=task.id, type=task.type, priority=task.priority, attempt=task.attempt)
    await publisher.publish([wakeup])
