"""Running a Celery worker for one pool until it is told to stop."""

import logging
from collections.abc import Callable
from typing import Any

import celery
from celery import signals

from taskyard.core.routing import Pool
from taskyard.worker.keeper import Keeper


def serve(
    app: celery.Celery, pool: Pool, *, name: str, drain: float, on_ready: Callable[[], None]
) -> int:
    """Consume the pool's queue until SIGTERM or SIGINT; return the exit code.

    The first signal lets running tasks end within `drain` seconds and gives back the rest; a
    second one stops at once.
    """
    keeper = Keeper(app.taskyard, pool)

    # Logging is ours already; Celery must not set it up again.
    @signals.setup_logging.connect(weak=False)
    def leave_logging_alone(**_: Any) -> None: ...

    @signals.worker_ready.connect(weak=False)
    def say_ready(**_: Any) -> None:
        keeper.start()
        on_ready()

    @signals.worker_shutting_down.connect(weak=False)
    def begin_drain(**_: Any) -> None:
        keeper.drain(drain)

    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    worker = app.Worker(
        hostname=name,
        concurrency=pool.concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    keeper.end()
    return int(worker.exitcode or 0)
