"""Memos: what a task's steps returned the first time, for its later attempts. Blocking."""

from taskyard.core.lease import Lease
from taskyard.core.task import TaskId
from taskyard.storage.pool import Cursor
from taskyard.storage.sql import queries

_SQL = queries("memos")


def find(cursor: Cursor, task_id: TaskId, step: str) -> str | None:
    """Return the JSON text kept for a step, or None."""
    row = cursor.execute(_SQL["find_memo"], {"id": task_id, "step": step}).fetchone()
    return None if row is None else str(row[0])


def keep(cursor: Cursor, lease: Lease, step: str, value: str) -> bool:
    """Keep the JSON text of a step; return False when the lease was no longer ours."""
    given = {"id": lease.id, "token": lease.token, "step": step, "value": value}
    return cursor.execute(_SQL["keep_memo"], given).fetchone() is not None
