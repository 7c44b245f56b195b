"""From records to what clients see."""

from hashlib import blake2b
from typing import Any

import msgspec
from quart import Response, request

from taskyard.api.place_views import PlaceView
from taskyard.api.views import (
    AcceptedView,
    Candidate,
    DefaultsView,
    ExplanationView,
    Progress,
    RetryView,
    TaskError,
    TaskTypeView,
    TaskView,
)
from taskyard.broker.wakeup import exchange_name
from taskyard.core.routing import TaskDefaults
from taskyard.core.states import CELERY_STATES, State
from taskyard.core.task import Accepted, NewTask, Repeated, Task
from taskyard.core.units import show_duration
from taskyard.services.explain import Explanation
from taskyard.storage.task_types import Announcement

# Says that a reply is that to an earlier request with the same Idempotency-Key.
REPLAYED = {"Idempotency-Replayed": "true"}


def links(task_id: str) -> dict[str, str]:
    """Where to go on from a task."""
    return {
        "self": f"/v1/tasks/{task_id}",
        "events": f"/v1/tasks/{task_id}/events",
        "attempts": f"/v1/tasks/{task_id}/attempts",
        "cancel": f"/v1/tasks/{task_id}/cancel",
        "replay": f"/v1/tasks/{task_id}/replay",
        "reprioritise": f"/v1/tasks/{task_id}/reprioritise",
        "why": f"/v1/tasks/{task_id}/why",
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


def repeated_view(task_type: str, first: Repeated) -> AcceptedView:
    """Return what the caller saw of the first submission with the same idempotency key."""
    task_id = str(first.id)
    return AcceptedView(
        id=task_id,
        type=task_type,
        pool=first.pool,
        priority=first.priority,
        state=first.state,
        created_at=first.created_at,
        links=links(task_id),
    )


def task_view(task: Task, place: PlaceView | None = None) -> TaskView:
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
        error=TaskError(**task.error) if task.error else None,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        generation=task.generation,
        error_count=task.error_count,
        crash_count=task.crash_count,
        progress=Progress(**task.progress) if task.progress else None,
        labels=task.labels,
        worker=task.worker,
        created_at=task.created_at,
        due_at=task.due_at,
        expires_at=task.expires_at,
        deadline_at=task.deadline_at,
        cancel_requested_at=task.cancel_requested_at,
        queued_at=task.queued_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        notify_url=task.notify_url,
        finish_by=task.finish_by,
        trace_id=task.trace_id,
        place=place,
        links=links(task_id),
    )


def defaults_view(defaults: TaskDefaults) -> DefaultsView:
    """Return what holds for a task type."""
    return DefaultsView(
        priority=defaults.priority,
        timeout=show_duration(defaults.timeout),
        deadline=show_duration(defaults.deadline) if defaults.deadline else None,
        cancel_grace=show_duration(defaults.cancel_grace),
        at_most_once=defaults.at_most_once,
        retention=show_duration(defaults.retention),
        max_args=defaults.max_args,
        retry=RetryView(
            max_attempts=defaults.retry.max_attempts,
            base=show_duration(defaults.retry.base),
            cap=show_duration(defaults.retry.cap),
            max_crashes=defaults.retry.max_crashes,
            permanent=list(defaults.retry.permanent),
        ),
        concurrency=defaults.concurrency,
        rate=str(defaults.rate) if defaults.rate else None,
        resources=list(defaults.resources),
    )


def type_view(announced: Announcement, *, pool: str, defaults: TaskDefaults) -> TaskTypeView:
    """Return what a worker said of a task type, and what the routing table adds."""
    return TaskTypeView(
        type=announced.type,
        pool=pool,
        description=announced.description,
        schema=announced.schema,
        defaults=defaults_view(defaults),
        announced_at=announced.announced_at,
    )


def explanation_view(
    found: Explanation, *, prefix: str, queue: str, announced: bool, place: PlaceView
) -> ExplanationView:
    """Return why a task type goes where it goes."""
    route = found.route
    return ExplanationView(
        type=route.type,
        pool=route.pool.name,
        exchange=exchange_name(prefix),
        routing_key=route.type,
        queue=queue,
        pattern=route.pattern,
        why=found.why,
        announced=announced,
        defaults=defaults_view(route.defaults),
        candidates=[
            Candidate(pool=pool, pattern=pattern, matches=matched)
            for pool, pattern, matched in found.candidates
        ],
        place=place,
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


def respond_tagged(body: Any) -> Response:
    """Return a JSON response with an ETag; 304 when the client has these very bytes already."""
    data = msgspec.json.encode(body)
    tag = blake2b(data, digest_size=12).hexdigest()
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if request.if_none_match.contains_weak(tag):
        return Response(status=304, headers=headers)
    return Response(data, 200, headers, content_type="application/json")
