"""What a worker does with a task: claim it, tell of its progress, end it. Blocking."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.principal import TenantId
from taskyard.core.sealed import Place
from taskyard.core.states import State
from taskyard.core.task import Failure, TaskId
from taskyard.core.trace import trace_of
from taskyard.storage.failures import sealed_failure
from taskyard.storage.opened import opened_row
from taskyard.storage.pool import AsyncConnection, Cursor, ring_of
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries

_SQL = queries("attempts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease that was extended: seconds since its task was cancelled, and past its deadline.

    `overdue_by` is negative before the deadline; each is None when there is none.
    """

    cancelled_for: float | None
    overdue_by: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The lease of an attempt whose process was killed; `errors` counts the earlier ones."""

    id: TaskId
    tenant: TenantId
    token: LeaseToken
    errors: int
    max_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a Celery result backend shows of a task."""

    state: State
    type: str
    result: Any
    error: dict[str, Any] | None
    finished_at: datetime | None
    attempt: int


def claim(
    cursor: Cursor, task_id: TaskId, task_type: str, worker: str, token: LeaseToken
) -> Lease | None:
    """Take the lease of a task, or return None when there is nothing to run.

    Said again with the same token it returns the same lease: the first answer may have been lost.
    """
    given = {"id": task_id, "type": task_type, "worker": worker, "token": token}
    row = cursor.execute(_SQL["claim"], given).fetchone()
    if row is None:
        return find_claimed(cursor, task_id, task_type, token)
    return lease_of(task_id, task_type, token, row)


def find_claimed(
    cursor: Cursor, task_id: TaskId, task_type: str, token: LeaseToken
) -> Lease | None:
    """Return the lease that an earlier claim with this token took, or None."""
    row = cursor.execute(_SQL["find_claimed"], {"id": task_id, "token": token}).fetchone()
    return None if row is None else lease_of(task_id, task_type, token, row)


def lease_of(task_id: TaskId, task_type: str, token: LeaseToken, row: tuple[Any, ...]) -> Lease:
    """Return a lease from what a claim returns of its row."""
    tenant, args, attempt, max_attempts, errors, priority, seconds_left, waited, *trace = row
    return Lease(
        id=task_id,
        tenant=tenant,
        type=task_type,
        token=token,
        attempt=attempt,
        max_attempts=max_attempts,
        errors=errors,
        seconds_left=seconds_left,
        priority=priority,
        args=args,
        waited=max(0.0, waited),
        trace=trace_of(*trace),
    )


def finish(cursor: Cursor, lease: Lease, result: str) -> bool:
    """Store the result, JSON text; return False when the lease was no longer ours."""
    given = _finishing(ring_of(cursor), lease, result)
    return cursor.execute(_SQL["finish"], given).fetchone() is not None


async def finish_async(connection: AsyncConnection, lease: Lease, result: str) -> bool:
    """Do as `finish` does, for the finishing transaction of an async task."""
    given = _finishing(connection.ring, lease, result)
    return await (await connection.execute(_SQL["finish"], given)).fetchone() is not None


def _finishing(ring: KeyRing, lease: Lease, result: str) -> dict[str, Any]:
    sealed = ring.seal(result, Place(lease.tenant, lease.id, "result"))
    return {"id": lease.id, "token": lease.token, "result": sealed}


def fail(cursor: Cursor, lease: Lease | Lost, failure: Failure) -> bool:
    """End the task as failed; return False when the lease was no longer ours."""
    given = _failing(cursor, lease, failure)
    return cursor.execute(_SQL["fail"], given).fetchone() is not None


def retry(cursor: Cursor, lease: Lease | Lost, failure: Failure, delay: timedelta) -> bool:
    """Let the task run again after `delay`; return False when the lease was no longer ours."""
    given = _failing(cursor, lease, failure) | {"delay": delay.total_seconds()}
    return cursor.execute(_SQL["retry"], given).fetchone() is not None


def put_off(cursor: Cursor, lease: Lease | Lost, failure: Failure, delay: timedelta) -> bool:
    """Do as `retry` does for what is no fault of the task: no attempt is used up."""
    given = _failing(cursor, lease, failure) | {"delay": delay.total_seconds()}
    return cursor.execute(_SQL["put_off"], given).fetchone() is not None


def cancel(cursor: Cursor, task_id: TaskId, token: LeaseToken) -> bool:
    """End the task as cancelled; return False when the lease was no longer ours."""
    given = {"id": task_id, "token": token}
    return cursor.execute(_SQL["cancel"], given).fetchone() is not None


def _failing(cursor: Cursor, lease: Lease | Lost, failure: Failure) -> dict[str, Any]:
    place = Place(lease.tenant, lease.id, "error")
    error = sealed_failure(failure, place, ring_of(cursor))
    return {"id": lease.id, "token": lease.token, "error": error, "reason": failure.code}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def find_lost(cursor: Cursor, task_id: TaskId, worker: str) -> Lost | None:
    """Return what `worker` runs under this id, or None."""
    row = cursor.execute(_SQL["find_lost"], {"id": task_id, "worker": worker}).fetchone()
    if row is None:
        return None
    tenant, token, errors, max_attempts = row
    return Lost(id=task_id, tenant=tenant, token=token, errors=errors, max_attempts=max_attempts)


def take_back(
    cursor: Cursor, ids: Sequence[TaskId], *, worker: str, failure: Failure, crashed: bool
) -> dict[TaskId, State]:
    """End attempts of this worker that will not end by themselves; return what became of each.

    `crashed` counts against the task's max_crashes. What had ended after all is left alone.
    """
    given = taking_back(ids, worker=worker, failure=failure, crashed=crashed)
    rows = cursor.execute(_SQL["take_back"], given).fetchall()
    return {TaskId(row[0]): State(row[1]) for row in rows}


def taking_back(
    ids: Sequence[TaskId], *, worker: str | None, failure: Failure, crashed: bool
) -> dict[str, Any]:
    """Return what the statement take_back is given; without a worker, only leases that ran out."""
    return {
        "ids": list(ids),
        "worker": worker,
        "code": failure.code,
        "why": failure.message,
        "crashed": crashed,
    }


def extend_leases(cursor: Cursor, ids: Sequence[TaskId], worker: str) -> dict[TaskId, Held]:
    """Extend the leases that this worker holds, and return them. One missing is not its own."""
    rows = cursor.execute(_SQL["extend_leases"], {"ids": list(ids), "worker": worker})
    return {TaskId(row[0]): Held(cancelled_for=row[1], overdue_by=row[2]) for row in rows}


def give_back(cursor: Cursor, task_id: TaskId, task_type: str, reason: str) -> bool:
    """Schedule a task anew whose wake-up this worker cannot serve."""
    given = {"id": task_id, "type": task_type, "reason": reason}
    return cursor.execute(_SQL["give_back"], given).fetchone() is not None


def set_aside(cursor: Cursor, task_id: TaskId, task_type: str, reason: str) -> bool:
    """Let a task wait whose pool is paused; return False when it could not be claimed anyway."""
    given = {"id": task_id, "type": task_type, "reason": reason}
    return cursor.execute(_SQL["set_aside"], given).fetchone() is not None


def report_progress(cursor: Cursor, lease: Lease, progress: dict[str, Any]) -> bool | None:
    """Store how far an attempt is; return whether the task was cancelled.

    Returns None when the lease was no longer ours.
    """
    told, place = _json({"message": progress["message"]}), Place(lease.tenant, lease.id, "progress")
    fraction = f'"fraction":{_json(progress["fraction"])}'
    sealed = ring_of(cursor).seal(told, place, beside=fraction)
    given = {"id": lease.id, "token": lease.token, "progress": sealed}
    row = cursor.execute(_SQL["report_progress"], given).fetchone()
    return None if row is None else bool(row[0])


def is_cancelled(cursor: Cursor, lease: Lease) -> bool | None:
    """Return whether the task was cancelled; None when the lease is no longer ours."""
    given = {"id": lease.id, "token": lease.token}
    row = cursor.execute(_SQL["is_cancelled"], given).fetchone()
    return None if row is None else bool(row[0])


def read_outcome(cursor: Cursor, task_id: UUID) -> Outcome | None:
    """Return what became of a task so far, or None when there is no such task."""
    with cursor.connection.cursor(row_factory=opened_row(Outcome)) as rows:
        return rows.execute(_SQL["read_outcome"], {"id": task_id}).fetchone()
