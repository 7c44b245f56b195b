"""What the server says, each JSON document as a frozen struct.

A field that a newer server adds is passed over, so an older client goes on working with it.
"""

from datetime import datetime
from typing import Any

import msgspec

Json = dict[str, Any]

SUCCEEDED = "succeeded"
ENDED = frozenset({SUCCEEDED, "failed", "cancelled", "expired", "quarantined"})


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is stored, as it was at that moment."""

    id: str
    type: str
    pool: str
    priority: int
    state: str
    created_at: datetime
    links: dict[str, str]


class TaskError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a task failed, or why its latest attempt did."""

    code: str
    message: str
    traceback: str | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the latest attempt is: `fraction` from 0 to 1."""

    fraction: float
    message: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task stands: how many go before it, and when it may start, if that can be told."""

    ahead: int
    starts_p50: datetime | None
    starts_p90: datetime | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it stands."""

    id: str
    type: str
    pool: str
    priority: int
    state: str
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
    trace_id: str | None = None
    place: Place | None
    links: dict[str, str]

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it, unless it is replayed."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well, so that `result` holds what the function returned."""
        return self.state == SUCCEEDED


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task is not running, or what it does, or how it ended, as `code` and `sentence`.

    `until` is when that changes by itself at the earliest, `ahead` counts who goes before it.
    """

    id: str
    code: str
    sentence: str
    advice: str | None
    since: datetime | None
    until: datetime | None
    ahead: int | None


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of tasks; `next_cursor` is None on the last."""

    items: tuple[Task, ...]
    next_cursor: str | None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a cancel came to, and the task as it stands.

    `prevented`: no further attempt runs. `interrupted`: it runs and was asked to stop; it may still
    end in another way, and may have had effects.
    """

    receipt: str
    task: Task


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: where (a JSON Pointer, `?name` or the name of a header), and what is wrong."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457); `code` is stable."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    code: str = "unknown"
    errors: tuple[Fault, ...] = ()


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one submission of a batch: an id, or an error."""

    id: str | None = None
    error: Problem | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, in the order of its items."""

    accepted: int
    rejected: int
    items: tuple[BatchItem, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a task's state: `error` is that of the attempt that ended with it."""

    seq: int
    at: datetime
    state: str
    generation: int
    attempt: int
    worker: str | None
    reason: str | None
    error: TaskError | None
    detail: Json | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a task, in order."""

    items: tuple[Change, ...]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a task; `outcome` is what the task became with its end, or `running`."""

    number: int
    generation: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    reason: str | None
    error: TaskError | None


class AttemptList(msgspec.Struct, frozen=True, kw_only=True):
    """Every attempt of a task, in order."""

    items: tuple[Attempt, ...]


class ReasonGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters of one type that ended alike; `sample` is the id of one of them."""

    type: str
    state: str
    code: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    sample: str


class ReasonGroupList(msgspec.Struct, frozen=True, kw_only=True):
    """The largest reason groups; `total` counts all dead letters looked at."""

    total: int
    items: tuple[ReasonGroup, ...]


class ReplayRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter that would be refused if it were submitted today, and why."""

    id: str
    code: str
    detail: str


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of many did, or would do; `more` says that the limit left some out.

    `refused` would not be accepted today and stay as they are; at most 20 `refusals` are shown.
    `left` were not looked at, because it was `stopped` by the backlog's bound or a quota.
    """

    dry_run: bool
    count: int
    refused: int
    refusals: tuple[ReplayRefusal, ...]
    more: bool
    left: int
    stopped: Problem | None
    spread: str
    groups: tuple[ReasonGroup, ...]
