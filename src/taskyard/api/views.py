"""What clients see: each JSON document as a struct, made from records."""

from datetime import datetime
from typing import Any

import msgspec
from quart import Response

from taskyard.broker.wakeup import exchange_name
from taskyard.core.routing import TaskDefaults
from taskyard.core.states import CELERY_STATES, State
from taskyard.core.task import Accepted, NewTask, Task
from taskyard.core.units import show_duration
from taskyard.services.explain import Explanation
from taskyard.services.pools import PoolStatus
from taskyard.services.submit import Submission
from taskyard.storage.task_types import Announcement

Json = dict[str, Any]


class AcceptedView(msgspec.Struct, kw_only=True):
    """What a submission is answered with."""

    id: str
    type: str
    pool: str
    priority: int
    state: State
    created_at: datetime
    links: dict[str, str]


class TaskError(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a task failed, or why its latest attempt did."""

    code: str
    message: str
    traceback: str | None = None


class Progress(msgspec.Struct, kw_only=True):
    """How far the latest attempt is: `fraction` from 0 to 1."""

    fraction: float
    message: str


class TaskView(msgspec.Struct, kw_only=True):
    """A task as it stands."""

    id: str
    type: str
    pool: str
    priority: int
    state: State
    celery_state: str
    reason: str | None
    args: Json
    result: Any
    error: TaskError | None
    attempt: int
    max_attempts: int
    progress: Progress | None
    labels: dict[str, str]
    worker: str | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


class TaskPage(msgspec.Struct, kw_only=True):
    """One page of tasks; `next_cursor` is null on the last."""

    items: list[TaskView]
    next_cursor: str | None


class EventView(msgspec.Struct, kw_only=True):
    """One change of a task's state."""

    seq: int
    at: datetime
    state: State
    attempt: int
    worker: str | None
    reason: str | None


class EventList(msgspec.Struct, kw_only=True):
    """The history of a task, in order."""

    items: list[EventView]


class Fault(msgspec.Struct, kw_only=True):
    """One faulty field: a JSON Pointer (RFC 6901) into the request, and what is wrong there."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457); `code` is stable, and explained at `type`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] = []


class Batch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Up to 10,000 submissions."""

    tasks: list[Submission]


class BatchItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one submission: an id, or an error."""

    id: str | None = None
    error: Problem | None = None


class BatchView(msgspec.Struct, kw_only=True):
    """What became of a batch, in the order of its items."""

    accepted: int
    rejected: int
    items: list[BatchItem]


class RetryView(msgspec.Struct, kw_only=True):
    """When a failed attempt is followed by another."""

    max_attempts: int
    base: str
    cap: str


class DefaultsView(msgspec.Struct, kw_only=True):
    """What holds for a task type unless a submission says otherwise; `max_args` is in bytes."""

    priority: int
    timeout: str
    retention: str
    max_args: int
    retry: RetryView


class TaskTypeView(msgspec.Struct, kw_only=True):
    """A task type that a worker has announced, with the JSON Schema of its arguments."""

    type: str
    pool: str
    description: str
    schema: Json
    defaults: DefaultsView
    announced_at: datetime | None


class TaskTypeList(msgspec.Struct, kw_only=True):
    """All task types."""

    items: list[TaskTypeView]


class ExplainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which task type to explain."""

    type: str


class Candidate(msgspec.Struct, kw_only=True):
    """One pattern of one pool, held against the task type."""

    pool: str
    pattern: str
    matches: bool


class ExplanationView(msgspec.Struct, kw_only=True):
    """Where a task type goes and why; `announced` tells whether a worker has said it can run it."""

    type: str
    pool: str
    exchange: str
    routing_key: str
    queue: str
    pattern: str
    why: str
    announced: bool
    defaults: DefaultsView
    candidates: list[Candidate]


class PoolView(msgspec.Struct, kw_only=True):
    """A pool; `depth` and `consumers` are null when the broker does not answer."""

    name: str
    tasks: list[str]
    execution: str
    concurrency: int
    queue: str
    depth: int | None
    consumers: int | None
    running: int


class PoolList(msgspec.Struct, kw_only=True):
    """All pools."""

    broker_up: bool
    items: list[PoolView]


class Live(msgspec.Struct, kw_only=True):
    """That this process serves."""

    status: str


class Ready(msgspec.Struct, kw_only=True):
    """Whether tasks can be accepted, and how the servers behind are."""

    status: str
    checks: dict[str, str]


SCHEMAS = (
    AcceptedView, TaskView, TaskPage, EventList, Problem, Batch, BatchView, TaskTypeList,
    TaskTypeView, ExplainRequest, ExplanationView, PoolList, PoolView, Live, Ready,
)  # fmt: skip


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
        error=TaskError(**task.error) if task.error else None,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        progress=Progress(**task.progress) if task.progress else None,
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


def defaults_view(defaults: TaskDefaults) -> DefaultsView:
    """Return what holds for a task type."""
    return DefaultsView(
        priority=defaults.priority,
        timeout=show_duration(defaults.timeout),
        retention=show_duration(defaults.retention),
        max_args=defaults.max_args,
        retry=RetryView(
            max_attempts=defaults.retry.max_attempts,
            base=show_duration(defaults.retry.base),
            cap=show_duration(defaults.retry.cap),
        ),
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
    found: Explanation, *, prefix: str, queue: str, announced: bool
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
    )


def pool_view(status: PoolStatus) -> PoolView:
    """Return how a pool stands."""
    pool = status.pool
    return PoolView(
        name=pool.name,
        tasks=list(pool.tasks),
        execution=pool.execution,
        concurrency=pool.concurrency,
        queue=status.queue,
        depth=status.depth.ready if status.depth else None,
        consumers=status.depth.consumers if status.depth else None,
        running=status.running,
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
