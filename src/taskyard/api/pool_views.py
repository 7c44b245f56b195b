"""JSON documents of pools and their workers."""

from datetime import datetime

import msgspec

from taskyard.services.pause import PauseRequest
from taskyard.services.pools import PoolStatus
from taskyard.storage.pauses import Pause
from taskyard.storage.reconciliation import Reckoning


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


class PoolList(msgspec.Struct, kw_only=True):
    """All pools."""

    broker_up: bool
    items: list[PoolView]


SCHEMAS = (PoolList, PoolView, PauseRequest)


def pool_view(status: PoolStatus) -> PoolView:
    """Return how a pool stands."""
    pool = status.pool
    return PoolView(
        name=pool.name,
        tasks=list(pool.tasks),
        execution=pool.execution,
        concurrency=pool.concurrency,
        queue=status.queues.current,
        draining=list(status.queues.draining),
        depth=status.depth.ready if status.depth else None,
        consumers=status.depth.consumers if status.depth else None,
        running=status.running,
        reckoning=_reckoning_view(status.reckoning) if status.reckoning else None,
        paused=_pause_view(status.pause) if status.pause else None,
    )


def _pause_view(pause: Pause) -> PauseView:
    return PauseView(since=pause.since, reason=pause.reason)


def _reckoning_view(found: Reckoning) -> ReckoningView:
    return ReckoningView(
        checked_at=found.checked_at,
        lost=found.lost,
        repaired=found.repaired,
        duplicated=found.duplicated,
    )
