"""What a worker does with a task: claim it, tell of its progress, end it. Blocking."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from psycopg.rows import class_row

from taskyard.core.states import State
from taskyard.core.task import Failure, Lease, LeaseToken, TaskId
from taskyard.storage.pool import Cursor
from taskyard.storage.sql import queries

_SQL = queries("attempts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a Celery result backend shows of a task."""

    state: State
    type: str
    result: Any
    error: dict[str, Any] | None
    finished_at: datetime | None
    attempt: int


def claim(cursor: Cursor, task_id: TaskId, task_type: str, worker: str) -> Lease | None:
    """Take the lease of a task, or return None when there is nothing to run."""
    token = LeaseToken(uuid4())
    given = {"id": task_id, "type": task_type, "worker": worker, "token": token}
    row = cursor.execute(_SQL["claim"], given).fetchone()
    if row is None:
        return None
    args, attempt, max_attempts, priority = row
    return Lease(
        id=task_id,
        type=task_type,
        token=token,
        attempt=attempt,
        max_attempts=max_attempts,
        priority=priority,
        args=args,
    )


def finish(cursor: Cursor, lease: Lease, result: str) -> bool:
    """Store the result, JSON text; return False when the lease was no longer ours."""
    given = {"id": lease.id, "token": lease.token, "result": result}
    return cursor.execute(_SQL["finish"], given).fetchone() is not None


def fail(cursor: Cursor, task_id: TaskId, token: LeaseToken, failure: Failure) -> bool:
    """End the task as failed; return False when the lease was no longer ours."""
    given = {
        "id": task_id,
        "token": token,
        "error": _json(failure),
        "reason": failure.code,
    }
    return cursor.execute(_SQL["fail"], given).fetchone() is not None


def retry(
    cursor: Cursor,
    task_id: TaskId,
    token: LeaseToken,
    failure: Failure,
    delay: timedelta,
) -> bool:
    """Let the task run again after `delay`; return False when the lease was no longer ours."""
    given = {
        "id": task_id,
        "token": token,
        "error": _json(failure),
        "reason": failure.code,
        "delay": delay.total_seconds(),
    }
    return cursor.execute(_SQL["retry"], given).fetchone() is not None


def _json(failure: Failure) -> str:
    shown = {key: value for key, value in asdict(failure).items() if value is not None}
    # Postgres refuses NUL in text; an error message may hold one.
    return msgspec.json.encode(shown).decode().replace("\\u0000", "\\ufffd")


def find_lost(cursor: Cursor, task_id: TaskId, worker: str) -> tuple[LeaseToken, int, int] | None:
    """Return token, attempt and max_attempts of what `worker` runs under this id, or None."""
    row = cursor.execute(_SQL["find_lost"], {"id": task_id, "worker": worker}).fetchone()
    return None if row is None else (LeaseToken(row[0]), row[1], row[2])


def give_back(cursor: Cursor, task_id: TaskId, task_type: str, reason: str) -> bool:
    """Schedule a task anew whose wake-up this worker cannot serve."""
    given = {"id": task_id, "type": task_type, "reason": reason}
    return cursor.execute(_SQL["give_back"], given).fetchone() is not None


def report_progress(cursor: Cursor, lease: Lease, progress: dict[str, Any]) -> bool:
    """Store how far an attempt is; return False when the lease was no longer ours."""
    given = {
        "id": lease.id,
        "token": lease.token,
        "progress": msgspec.json.encode(progress).decode(),
    }
    return cursor.execute(_SQL["report_progress"], given).fetchone() is not None


def read_outcome(cursor: Cursor, task_id: UUID) -> Outcome | None:
    """Return what became of a task so far, or None when there is no such task."""
    with cursor.connection.cursor(row_factory=class_row(Outcome)) as rows:
        return rows.execute(_SQL["read_outcome"], {"id": task_id}).fetchone()
