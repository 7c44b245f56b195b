"""Circumstances: what is known of a task, its pool and its limit when it is asked why it waits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskyard.core.states import State
from taskyard.core.task import TaskId

# Why a worker gave a task back, as its row says.
LACKS_TYPE = "no worker knows this type"
PAUSED = "its pool is paused"
_LONGEST_FAULT = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """A task's row as it was at `at`, by the database's clock; `level` is its effective priority.

    `cancelled_by` is who asked for its end, as the audit log names them.
    """

    id: TaskId
    type: str
    pool: str
    state: State
    reason: str | None
    level: int
    attempt: int
    crash_count: int
    due_at: datetime
    expires_at: datetime | None
    publish_at: datetime
    publish_failures: int
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    waits_for: str | None
    worker: str | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    cancelled_by: str | None
    error: dict[str, Any] | None
    at: datetime

    @property
    def fault(self) -> str:
        """What its latest attempt ended with, in a few words."""
        if self.error is None:
            return self.reason or "an error"
        message = str(self.error.get("message", "")).split("\n", 1)[0]
        return f"{self.error.get('code')}: {message[:_LONGEST_FAULT]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the database knows of a pool: how many run and are with the broker, and may be.

    `dispatcher_ago` is how many seconds ago a dispatcher was last seen; None: never. `announced`
    says whether a worker told that it knows the task's type. `paused_at` is since when the pool is
    paused, `pause_reason` what was said about it.
    """

    running: int = 0
    held: int = 0
    window: int | None = None
    dispatcher_ago: float | None = None
    announced: bool = False
    paused_at: datetime | None = None
    pause_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """A pool, and the broker's part in it; `consumers` is None when its queue is missing.

    `ahead` counts who goes before the task, in the broker or in the line.
    """

    name: str
    concurrency: int
    broker_up: bool
    counts: Counts
    blocked: bool = False
    consumers: int | None = None
    ahead: int = 0

    @property
    def slots(self) -> int:
        """How many attempts its workers can run at once."""
        return (self.consumers or 0) * self.concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """The limit in whose line a task waits; `opens_at` is when its rate allows another start."""

    name: str
    running: int = 0
    most: int | None = None
    rate: str | None = None
    waiting: int = 0
    paused_until: datetime | None = None
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """All of it; what a task's state makes pointless to ask is None.

    Without `pool` no pool of the routing table takes the type.
    """

    task: TaskFacts
    pool: PoolFacts | None = None
    limit: LimitFacts | None = None
