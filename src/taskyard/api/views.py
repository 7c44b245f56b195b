"""What clients see: each JSON document as a struct."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from taskyard.api.place_views import PlaceView
from taskyard.core.states import State
from taskyard.services.cancel import Receipt
from taskyard.services.field_types import TypeName
from taskyard.services.submit import Submission

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
    """A task as it stands; `place` once it has waited for a second, `trace_id` if it is traced."""

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
    generation: int
    error_count: int
    crash_count: int
    progress: Progress | None
    labels: dict[str, str]
    worker: str | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    deadline_at: datetime | None
    cancel_requested_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    notify_url: str | None
    finish_by: datetime | None
    trace_id: str | None
    place: PlaceView | None
    links: dict[str, str]


class CancelView(msgspec.Struct, kw_only=True):
    """What a cancel came to, and the task as it stands.

    `prevented`: no further attempt runs, and none at all if `task.attempt` is 0. `interrupted`: the
    task runs and was asked to stop; it may still end in another way, and may have had effects.
    """

    receipt: Receipt
    task: TaskView


class TaskPage(msgspec.Struct, kw_only=True):
    """One page of tasks; `next_cursor` is null on the last."""

    items: list[TaskView]
    next_cursor: str | None


class EventView(msgspec.Struct, kw_only=True):
    """One change of a task's state: `error` is that of the attempt that ended with it."""

    seq: int
    at: datetime
    state: State
    generation: int
    attempt: int
    worker: str | None
    reason: str | None
    error: TaskError | None
    detail: Json | None


class EventList(msgspec.Struct, kw_only=True):
    """The history of a task, in order."""

    items: list[EventView]


class Fault(msgspec.Struct, kw_only=True):
    """One fault: where, and what is wrong there.

    `pointer` is a JSON Pointer (RFC 6901) into the body, `?name` of a query parameter, or the name
    of a header.
    """

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


class BatchSubmission(Submission, kw_only=True, forbid_unknown_fields=True):
    """One item of a batch: a submission, which may have an idempotency key of its own."""

    idempotency_key: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[ -~]+$")] | None
    ) = None


class Batch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Up to 10,000 submissions."""

    tasks: Annotated[list[BatchSubmission], msgspec.Meta(min_length=1)]


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
    max_crashes: int
    permanent: list[str]


class DefaultsView(msgspec.Struct, kw_only=True):
    """What holds for a task type unless a submission says otherwise; `max_args` is in bytes."""

    priority: int
    timeout: str
    deadline: str | None
    cancel_grace: str
    at_most_once: bool
    retention: str
    max_args: int
    retry: RetryView
    concurrency: int | None
    rate: str | None
    resources: list[str]


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
    """Which task type to explain, and for which priority the place is asked."""

    type: TypeName
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] | None = None


class Candidate(msgspec.Struct, kw_only=True):
    """One pattern of one pool, held against the task type."""

    pool: str
    pattern: str
    matches: bool


class ExplanationView(msgspec.Struct, kw_only=True):
    """Where a task type goes and why; `announced` tells whether a worker has said it can run it.

    `place` is that of a task which is submitted now.
    """

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
    place: PlaceView


class Live(msgspec.Struct, kw_only=True):
    """That this process serves."""

    status: str


class Ready(msgspec.Struct, kw_only=True):
    """Whether tasks can be accepted, and how the servers behind are."""

    status: str
    checks: dict[str, str]


SCHEMAS = (
    AcceptedView, TaskView, TaskPage, EventList, Problem, Batch, BatchView, TaskTypeList,
    TaskTypeView, CancelView, ExplainRequest, ExplanationView, Live, Ready,
)  # fmt: skip
