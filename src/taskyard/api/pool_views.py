"""JSON documents of pools and their workers."""

from datetime import datetime
from typing import Any

import msgspec

from taskyard.services.pause import PauseRequest
from taskyard.services.pools import PoolLife, PoolStatus
from taskyard.storage.pauses import Pause
from taskyard.storage.reconciliation import Reckoning
from taskyard.storage.workers import Worker


class ReckoningView(msgspec.Struct, kw_only=True):
    """What the reconciler found in a pool so far, as numbers of wake-ups.

    `lost`: confirmed by the broker, and gone. `repaired`: of those, published again. `duplicated`:
    a worker got it and found nothing to claim.
    """

    checked_at: datetime
    lost: int
    repaired: int
    duplicated: int


class PauseView(msgspec.Struct, kw_only=True):
    """Since when a pool is paused, and why, if somebody said so."""

    since: datetime
    reason: str | None


class PoolView(msgspec.Struct, kw_only=True):
    """A pool; `depth` and `consumers` are null when the broker does not answer.

    `draining` are queues that were replaced and still hold wake-ups, which `depth` counts too.
    `paused` is null unless nothing of the pool is begun.
    """

    name: str
    tasks: list[str]
    execution: str
    concurrency: int
    queue: str
    draining: list[str]
    depth: int | None
    consumers: int | None
    running: int
    reckoning: ReckoningView | None
    paused: PauseView | None


class WorkerView(msgspec.Struct, kw_only=True):
    """A worker that was seen lately; `draining_since` is since when it is to leave."""

    name: str
    pool: str
    slots: int
    running: int
    started_at: datetime
    seen_at: datetime
    draining_since: datetime | None


class RunningView(msgspec.Struct, kw_only=True):
    """An attempt of the caller's that runs for so many seconds; `fraction` as it says itself."""

    id: str
    type: str
    worker: str | None
    attempt: int
    seconds: float
    fraction: float | None


class PoolWhole(PoolView, kw_only=True):
    """A pool with its workers, and which of the caller's tasks run there, the longest first.

    At most 100 of these are shown.
    """

    workers: list[WorkerView]
    attempts: list[RunningView]


class PoolList(msgspec.Struct, kw_only=True):
    """All pools."""

    broker_up: bool
    items: list[PoolView]


SCHEMAS = (PoolList, PoolView, PoolWhole, WorkerView, PauseRequest)


def pool_view(status: PoolStatus) -> PoolView:
    """Return how a pool stands."""
    return PoolView(**_standing(status))


def whole_view(life: PoolLife) -> PoolWhole:
    """Return a pool with its workers and what runs there."""
    return PoolWhole(
        **_standing(life.status),
        workers=[worker_view(each) for each in life.workers],
        attempts=[
            RunningView(
                id=str(each.id),
                type=each.type,
                worker=each.worker,
                attempt=each.attempt,
                seconds=each.seconds,
                fraction=each.fraction,
            )
            for each in life.attempts
        ],
    )


def worker_view(worker: Worker) -> WorkerView:
    """Return how a worker stands."""
    return WorkerView(
        name=worker.name,
        pool=worker.pool,
        slots=worker.slots,
        running=worker.running,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        draining_since=worker.drain_requested_at,
    )


def _standing(status: PoolStatus) -> dict[str, Any]:
    pool = status.pool
    return {
        "name": pool.name,
        "tasks": list(pool.tasks),
        "execution": pool.execution,
        "concurrency": pool.concurrency,
        "queue": status.queues.current,
        "draining": list(status.queues.draining),
        "depth": status.depth.ready if status.depth else None,
        "consumers": status.depth.consumers if status.depth else None,
        "running": status.running,
        "reckoning": _reckoning_view(status.reckoning) if status.reckoning else None,
        "paused": _pause_view(status.pause) if status.pause else None,
    }


def _pause_view(pause: Pause) -> PauseView:
    return PauseView(since=pause.since, reason=pause.reason)


def _reckoning_view(found: Reckoning) -> ReckoningView:
    return ReckoningView(
        checked_at=found.checked_at,
        lost=found.lost,
        repaired=found.repaired,
        duplicated=found.duplicated,
    )
