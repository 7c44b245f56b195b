"""What the server says of itself: task types, routes, pools."""

from datetime import datetime

import msgspec

from taskyard.client.documents import Json, Place


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a failed attempt is followed by another."""

    max_attempts: int
    base: str
    cap: str
    max_crashes: int
    permanent: tuple[str, ...]


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a task type unless a submission says otherwise; `max_args` is in bytes."""

    priority: int
    timeout: str
    deadline: str | None
    cancel_grace: str
    at_most_once: bool
    retention: str
    max_args: int
    retry: RetryPolicy
    concurrency: int | None
    rate: str | None
    resources: tuple[str, ...]


class TaskType(msgspec.Struct, frozen=True, kw_only=True):
    """A task type that a worker has announced, with the JSON Schema of its arguments."""

    type: str
    pool: str
    description: str
    schema: Json
    defaults: Defaults
    announced_at: datetime | None


class TaskTypeList(msgspec.Struct, frozen=True, kw_only=True):
    """All task types."""

    items: tuple[TaskType, ...]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One pattern of one pool, held against the task type."""

    pool: str
    pattern: str
    matches: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task type goes and why; `announced` tells whether a worker said it can run it."""

    type: str
    pool: str
    exchange: str
    routing_key: str
    queue: str
    pattern: str
    why: str
    announced: bool
    defaults: Defaults
    candidates: tuple[Candidate, ...]
    place: Place


class Reckoning(msgspec.Struct, frozen=True, kw_only=True):
    """What the reconciler found in a pool so far, as numbers of wake-ups."""

    checked_at: datetime
    lost: int
    repaired: int
    duplicated: int


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a pool is paused, and why, if somebody said so."""

    since: datetime
    reason: str | None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool; `depth` and `consumers` are None when the broker does not answer."""

    name: str
    tasks: tuple[str, ...]
    execution: str
    concurrency: int
    queue: str
    draining: tuple[str, ...]
    depth: int | None
    consumers: int | None
    running: int
    reckoning: Reckoning | None
    paused: Pause | None


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was seen lately; `draining_since` is since when it is to leave."""

    name: str
    pool: str
    slots: int
    running: int
    started_at: datetime
    seen_at: datetime
    draining_since: datetime | None


class RunningAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that runs for so many seconds; `fraction` as it says itself."""

    id: str
    type: str
    worker: str | None
    attempt: int
    seconds: float
    fraction: float | None


class PoolWhole(Pool, frozen=True, kw_only=True):
    """A pool with its workers, and which of your tasks run there, the longest first."""

    workers: tuple[Worker, ...]
    attempts: tuple[RunningAttempt, ...]


class PoolList(msgspec.Struct, frozen=True, kw_only=True):
    """All pools."""

    broker_up: bool
    items: tuple[Pool, ...]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts may run at once, and start within a time such as `20/s`."""

    concurrency: int | None
    rate: str | None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that task types share: the whole, what of it may be used now, what is in use."""

    name: str
    budget: Budget
    allowed: Budget
    share: float
    paused_for: float
    running: int
    started: int
    waiting: int
    reports: int
    reported_at: datetime | None
    types: tuple[str, ...]


class ResourceList(msgspec.Struct, frozen=True, kw_only=True):
    """All resources."""

    items: tuple[Resource, ...]
