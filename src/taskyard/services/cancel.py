"""Cancel: what has not started never will, what runs is asked to stop."""

from enum import StrEnum

from taskyard.core.audit import Action
from taskyard.core.errors import TaskNotFound, TooLate
from taskyard.core.states import TERMINAL
from taskyard.core.task import Task, TaskId
from taskyard.services import audit
from taskyard.storage import tasks
from taskyard.storage.pool import OwnPool, borrowed


class Receipt(StrEnum):
    """What a cancel came to, so that the caller knows about side effects.

    `prevented`: this task will have none of another attempt; if it never started, none at all.
    `interrupted`: it runs, and was asked to stop; it may have had any, and may still succeed.
    """

    PREVENTED = "prevented"
    INTERRUPTED = "interrupted"


async def cancel(pool: OwnPool, task_id: TaskId) -> tuple[Receipt, Task]:
    """Cancel a task; return what it came to, and the task as it stands.

    Raises TaskNotFound, and TooLate when the task has ended.
    """
    async with borrowed(pool) as connection:
        # Between two looks the task may start, or go back to wait for another attempt.
        while True:
            prevented = await tasks.cancel_unstarted(connection, task_id, "cancelled by the caller")
            interrupted = not prevented and await tasks.request_cancel(connection, task_id)
            task = await tasks.get(connection, task_id, told=True)
            if task is None:
                raise TaskNotFound(f"there is no task {task_id}")
            if prevented or interrupted:
                receipt = Receipt.PREVENTED if prevented else Receipt.INTERRUPTED
                detail = {"receipt": receipt}
                await audit.record(connection, Action.TASK_CANCELLED, f"task:{task_id}", detail)
                return receipt, task
            if task.state in TERMINAL:
                raise TooLate(f"the task is {task.state} since {task.finished_at:%FT%TZ}")
