"""What a worker tells of itself: its slots, and whether its leases are kept.

The parent process knows all of it, whatever its children do. What became of attempts is counted
from the history of the tasks, and is at /metrics of the API.
"""

import time

from taskyard.core.routing import Pool
from taskyard.role_metrics import Reading
from taskyard.worker.runtime import Runtime


def worker_readings(runtime: Runtime, pool: Pool) -> list[Reading]:
    """Return the metrics of a worker."""
    tally, of = runtime.tally, (pool.name,)

    def age() -> float:
        if not runtime.active:
            return 0.0  # nothing is to be kept
        return time.monotonic() - max(tally.beat_at, runtime.idle_until)

    return [
        Reading(
            name="taskyard_worker_slots",
            meaning="Attempts that the worker can run at once.",
            labels=("pool",),
            read=lambda: {of: pool.concurrency},
        ),
        Reading(
            name="taskyard_worker_attempts",
            meaning="Attempts that it runs now.",
            labels=("pool",),
            read=lambda: {of: len(runtime.active)},
        ),
        Reading(
            name="taskyard_worker_heartbeats",
            meaning="Heartbeats that extended its leases.",
            labels=("pool",),
            counts=True,
            read=lambda: {of: tally.beats},
        ),
        Reading(
            name="taskyard_worker_heartbeat_age_seconds",
            meaning="For how long it runs attempts without a heartbeat; a lease lasts 15 s.",
            labels=("pool",),
            read=lambda: {of: age()},
        ),
        Reading(
            name="taskyard_worker_leases_lost",
            meaning="Attempts whose lease it had and has no more.",
            labels=("pool",),
            counts=True,
            read=lambda: {of: tally.lost},
        ),
        Reading(
            name="taskyard_worker_attempts_killed",
            meaning="Attempts whose process it killed.",
            labels=("pool",),
            counts=True,
            read=lambda: {of: tally.killed},
        ),
        Reading(
            name="taskyard_worker_unwritten_ends",
            meaning="Ends of killed attempts that wait for the database.",
            labels=("pool",),
            read=lambda: {of: len(runtime.owed)},
        ),
    ]
