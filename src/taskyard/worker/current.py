"""`current`: the task that runs here, seen from its own code."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import psycopg

from taskyard.core.task import Lease
from taskyard.storage import attempts
from taskyard.worker.runtime import Runtime

_LEAST_INTERVAL = 0.2  # seconds between two writes of progress


@dataclass(slots=True)
class _Running:
    runtime: Runtime
    lease: Lease
    told_at: float = float("-inf")


_running: ContextVar[_Running | None] = ContextVar("running", default=None)


class Current:
    """What task code may know and say of its own task. Outside a worker, it says nothing."""

    @property
    def task_id(self) -> str | None:
        """The id of the task, or None outside a worker."""
        running = _running.get()
        return str(running.lease.id) if running else None

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        running = _running.get()
        return running.lease.attempt if running else 1

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the task is: `fraction` from 0 to 1, and what it is doing.

        Calls that follow each other within 0.2 s are dropped, so it costs little in a loop.
        """
        running = _running.get()
        now = time.monotonic()
        if running is None or now - running.told_at < _LEAST_INTERVAL:
            return
        running.told_at = now
        bounded = min(1.0, max(0.0, float(fraction)))
        progress = {"fraction": bounded, "message": message[:200].replace("\0", "")}
        try:
            attempts.report_progress(running.runtime.cursor(), running.lease, progress)
        except psycopg.OperationalError:
            return  # progress is worth nothing that a retry would cost; the finish is what counts


current = Current()


@contextmanager
def running(runtime: Runtime, lease: Lease) -> Iterator[None]:
    """Make `current` speak of this lease."""
    token = _running.set(_Running(runtime, lease))
    try:
        yield
    finally:
        _running.reset(token)
