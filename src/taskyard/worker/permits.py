"""Permits: what an attempt must hold before it may start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg
import structlog

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.limits import Limit, Standing, opens_in, room
from taskyard.core.task import TaskId
from taskyard.storage import attempts, limits
from taskyard.storage.limits import Found
from taskyard.storage.pool import Cursor
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

_LOOK_AGAIN = 60.0  # seconds; the dispatcher releases long before, this is the net below it
_HALF = 0.5
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Deferred:
    """The task went into the line of a limit: it was due, but there was no room to start it."""

    limit: str


def claim(
    cursor: Cursor,
    task_id: TaskId,
    task_type: str,
    worker: str,
    token: LeaseToken,
    bounds: Sequence[Limit],
) -> Lease | Deferred | None:
    """Take the lease and every permit of a task, or put it into a line.

    Returns None when there is nothing to run. Without limits it is a plain claim.
    """
    if not bounds:
        return attempts.claim(cursor, task_id, task_type, worker, token)
    lease = None
    with cursor.connection.transaction() as transaction:
        # Each statement sees what was committed when it began, so what others hold is counted after
        # the lock was had. In one statement it would be counted before.
        standings = limits.lock(cursor, [bound.name for bound in bounds])
        allowed = [bound.shrunk(standings[bound.name].share_now) for bound in bounds]
        found = limits.usage(cursor, allowed, standings, task_id)
        full = next((each for each in allowed if not _may_start(each, found[each.name])), None)
        if full is not None and _defer(cursor, task_id, task_type, full, found[full.name]):
            return Deferred(full.name)
        lease = attempts.claim(cursor, task_id, task_type, worker, token) if full is None else None
        if lease is None:
            raise psycopg.Rollback(transaction)
        limits.keep(cursor, allowed, task_id, token)
    # An earlier claim with this token may have been heard, and only its answer lost.
    return lease or attempts.find_claimed(cursor, task_id, task_type, token)


def _may_start(allowed: Limit, found: Found) -> bool:
    """Room that was kept for this task is its own; else nobody passes those who wait."""
    if found.is_reserved:
        return room(allowed, replace(found.usage, reserved=0)) > 0
    return not found.has_line and room(allowed, found.usage) > 0


def _defer(cursor: Cursor, task_id: TaskId, task_type: str, full: Limit, found: Found) -> bool:
    wait = max(_LOOK_AGAIN, opens_in(full, found.usage) or 0.0)
    reason = f"waits for {full.name}"
    return limits.defer(cursor, task_id, task_type, name=full.name, reason=reason, wait=wait)


def tell_freed(runtime: Runtime, bounds: Sequence[Limit]) -> None:
    """Tell the dispatchers that room may have been freed: they would notice within a second."""
    if any(bound.concurrency is not None for bound in bounds):
        try:
            runtime.aside(lambda: limits.tell_freed(runtime.cursor()))
        except psycopg.Error as error:
            log.warning("freed permits not told", error=str(error).strip())


def report_throttled(cursor: Cursor, bound: Limit, *, pause: float, task_id: TaskId) -> None:
    """Halve the budget of a limit, and let nothing start for `pause` seconds."""
    with cursor.connection.transaction():
        standings: Mapping[str, Standing] = limits.lock(cursor, [bound.name])
        share = max(_LEAST_SHARE, standings[bound.name].share_now * _HALF)
        limits.shrink(cursor, bound.name, share=share, pause=pause, task_id=task_id)
    log.warning("resource throttled", limit=bound.name, share=share, pause=pause)
