"""What the parent of a pool of processes and its children hand each other: a lease, and a result.

The parent claims for its children and stores what they made, together with that of others. Leases
go with the request that Celery sends to the child anyway, results come back in the place of the
shortened text that Celery would send for its logs.
"""

from typing import Any
from uuid import UUID

import celery
from celery.app.trace import fast_trace_task

from taskyard import tracing
from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.task import TaskId
from taskyard.core.trace import trace_of
from taskyard.storage.attempts_together import ended
from taskyard.storage.sealing import KeyRing

_LEASE = "taskyard_lease"
_MOST = 64 * 1024  # characters; longer ones would hold up the parent's event loop

_HOOKS = ("on_success", "after_return")

# A child runs one attempt at a time, in its main thread.
_results: list[str] = []


def enclose(request: dict[str, Any], lease: Lease) -> None:
    """Put a lease into the request that is sent to the child, for the parent.

    As plain values: to pickle UUIDs and dataclasses takes several times as long.
    """
    request[_LEASE] = (
        lease.tenant, lease.token.bytes, lease.attempt, lease.max_attempts, lease.errors,
        lease.seconds_left, lease.priority, lease.args, lease.waited,
        lease.trace and (lease.trace.traceparent, lease.trace.tracestate),
    )  # fmt: skip


def lease_of(request: Any, task_type: str) -> Lease | None:
    """Return the lease that came with a request, for the child; None when it must claim itself."""
    values = request.get(_LEASE)
    if values is None:
        return None
    (
        tenant, token, attempt, max_attempts, errors, seconds_left, priority, args, waited, trace,
    ) = values  # fmt: skip
    return Lease(
        id=TaskId(UUID(request.id)),
        tenant=tenant,
        type=task_type,
        token=LeaseToken(UUID(bytes=token)),
        attempt=attempt,
        max_attempts=max_attempts,
        errors=errors,
        seconds_left=seconds_left,
        priority=priority,
        args=args,
        waited=waited,
        trace=trace and trace_of(*trace),
    )


def give(task: celery.Task, ring: KeyRing, lease: Lease, result: str) -> bool:
    """Leave a result to be stored by the parent; return False where the child must do it.

    What Postgres could refuse is not left to it: NUL, and numbers of 131,072 digits. Only the child
    can still make a failure of that. Nor is the result of a task that looks back at it, as a span
    of the finish does.
    """
    if task.request.get(_LEASE) is None or _looks_back(task.__class__) or tracing.is_on():
        return False
    end = ended(ring, lease, result)
    if len(end.result) > _MOST or "\\u0000" in end.result:
        return False
    _results.append(end.result)
    return True


def _looks_back(kind: type) -> bool:
    """Return whether a task has something of its own to do when its result is stored."""
    return any(getattr(kind, name) is not getattr(celery.Task, name) for name in _HOOKS)


def traced(*args: Any, **kwargs: Any) -> tuple[int, Any, float]:
    """Do as Celery's tracer does, in the child; the second value is the result that was given.

    It is an error where Celery says so, and None where the child has stored the outcome itself.
    """
    _results.clear()  # of an attempt that the tracer could not end
    failed, told, took = fast_trace_task(*args, **kwargs)
    return failed, told if failed else _results.pop() if _results else None, took
