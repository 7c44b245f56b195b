"""Wake-ups for which nothing was claimed."""

from taskyard.core.circumstances import PAUSED
from taskyard.core.task import TaskId
from taskyard.storage import attempts, reconciliation
from taskyard.storage.pool import Cursor


def spend(cursor: Cursor, task_id: TaskId, task_type: str, *, pool: str) -> None:
    """Set the task aside if its pool is paused; else it was a wake-up too many, which is counted.

    Ended, cancelled, leased elsewhere or not due is harmless.
    """
    if not attempts.set_aside(cursor, task_id, task_type, PAUSED):
        reconciliation.count_duplicate(cursor, pool)
