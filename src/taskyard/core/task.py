"""The records that pass between the parts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NewType
from uuid import UUID

from taskyard.core.idempotency import KeyedRequest
from taskyard.core.principal import DEFAULT_TENANT, TenantId
from taskyard.core.states import State
from taskyard.core.trace import TraceContext

TaskId = NewType("TaskId", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A submission that passed every check and waits to be stored.

    `args` and `labels` are JSON text: they are stored as they came, never rebuilt. `delay`,
    `expires_in` and `deadline` are seconds on the database's clock, `run_at` is an instant; at
    most one of `delay` and `run_at` is set. `hold` keeps the dispatcher away for so many seconds,
    while the process that stored the row publishes it itself. The end of a `watched` task is
    notified, and `notify_url` is told of it. To be done by
    `finish_by`, it must start by `start_by`. A key may be forgotten `key_life` seconds after the
    task was due. Its spans belong below `trace`.
    """

    id: TaskId
    type: str
    pool: str
    priority: int
    args: str
    labels: str
    max_attempts: int
    tenant: TenantId = DEFAULT_TENANT
    max_crashes: int = 3
    at_most_once: bool = False
    delay: float | None = None
    run_at: datetime | None = None
    expires_in: float | None = None
    deadline: float | None = None
    hold: float = 0.0
    watched: bool = False
    notify_url: str | None = None
    finish_by: datetime | None = None
    start_by: datetime | None = None
    keyed: KeyedRequest | None = None
    key_life: float = 0.0
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What the database made of a NewTask."""

    id: TaskId
    state: State
    created_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Accepted):
    """What it made of the first submission with the same idempotency key, which holds again."""

    pool: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed, as it is stored and shown."""

    code: str
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it stands in the database."""

    id: TaskId
    tenant: TenantId
    type: str
    pool: str
    priority: int
    state: State
    reason: str | None
    args: dict[str, Any]
    result: Any
    error: dict[str, Any] | None
    attempt: int
    max_attempts: int
    generation: int
    error_count: int
    crash_count: int
    progress: dict[str, Any] | None
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
