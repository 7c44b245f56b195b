"""From records to JSON."""

from datetime import datetime
from typing import Any

import msgspec
from quart import Response

from taskyard.core.states import CELERY_STATES, State
from taskyard.core.task import Accepted, NewTask, Task


class AcceptedView(msgspec.Struct, kw_only=True):
    """What a submission is answered with."""

    id: str
    type: str
    pool: str
    priority: int
    state: State
    created_at: datetime
    links: dict[str, str]


class TaskView(msgspec.Struct, kw_only=True):
    """A task as GET shows it."""

    id: str
    type: str
    pool: str
    priority: int
    state: State
    celery_state: str
    reason: str | None
    args: dict[str, Any]
    result: Any
    error: dict[str, Any] | None
    attempt: int
    max_attempts: int
    progress: dict[str, Any] | None
    labels: dict[str, str]
    worker: str | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


def links(task_id: str) -> dict[str, str]:
    """Where to go on from a task."""
    return {
        "self": f"/v1/tasks/{task_id}",
        "events": f"/v1/tasks/{task_id}/events",
        "cancel": f"/v1/tasks/{task_id}/cancel",
    }


def accepted_view(new: NewTask, accepted: Accepted) -> AcceptedView:
    """Return what the caller sees of a stored submission."""
    task_id = str(new.id)
    return AcceptedView(
        id=task_id,
        type=new.type,
        pool=new.pool,
        priority=new.priority,
        state=accepted.state,
        created_at=accepted.created_at,
        links=links(task_id),
    )


def task_view(task: Task) -> TaskView:
    """Return what the caller sees of a task."""
    task_id = str(task.id)
    state = State(task.state)
    return TaskView(
        id=task_id,
        type=task.type,
        pool=task.pool,
        priority=task.priority,
        state=state,
        celery_state=CELERY_STATES[state],
        reason=task.reason,
        args=task.args,
        result=task.result,
        error=task.error,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        progress=task.progress,
        labels=task.labels,
        worker=task.worker,
        created_at=task.created_at,
        due_at=task.due_at,
        expires_at=task.expires_at,
        queued_at=task.queued_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        links=links(task_id),
    )


def respond(
    body: Any,
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(body), status, headers, content_type=media_type)
