"""Cancel: a task that has not started never will."""

from taskyard.core.errors import AlreadyEnded, AlreadyRunning, TaskNotFound
from taskyard.core.states import TERMINAL
from taskyard.core.task import Task, TaskId
from taskyard.storage import tasks
from taskyard.storage.pool import Pool, borrowed


async def cancel(pool: Pool, task_id: TaskId) -> Task:
    """Cancel a task that has not started, and return it.

    Raises TaskNotFound, AlreadyRunning or AlreadyEnded when there is nothing to prevent.
    """
    async with borrowed(pool) as connection:
        cancelled = await tasks.cancel_unstarted(connection, task_id, "cancelled by the caller")
        task = await tasks.get(connection, task_id)
    if task is None:
        raise TaskNotFound(f"there is no task {task_id}")
    if cancelled:
        return task
    if task.state in TERMINAL:
        raise AlreadyEnded(f"the task is {task.state} since {task.finished_at:%FT%TZ}")
    raise AlreadyRunning("the task has started; it can no longer be prevented")
